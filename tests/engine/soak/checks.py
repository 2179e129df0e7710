"""What must hold whenever a soak holds still: promises about locks, restarts, and what is left."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from stage import SERVICES
from venvctl.root import Root

if TYPE_CHECKING:
    from mischief import Mischief
    from stage import Lock, Stage
    from venvctl.environments import Event

_CALM_SECONDS = 90.0
_SAMPLES_FEWEST = 6
# How much more a process may have at its end than in its beginning, once it is warm.
_MORE_DESCRIPTORS = 4
_MORE_THREADS = 9  # the workers come one by one
_MORE_MEMORY = 25 << 20
# The second: what a sync or daemon came to that ended between a switch and its line of history.
_SWITCHING = frozenset({"sync", "switch"})
_LOCK_CHANGED = (" changed", " is new", " is gone")


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process takes: bytes, and numbers of open files and threads."""

    memory: int
    descriptors: int
    threads: int


@dataclass(slots=True)
class Checks:
    """Looks at a stage between two acts.

    Attributes:
        samples: of each daemon process, in order.
    """

    stage: Stage
    mischief: Mischief
    samples: dict[int, list[Sample]] = field(default_factory=dict)

    def calm(self) -> None:
        """Wait until everything is what its lock says; fail after a deadline."""
        deadline = time.monotonic() + _CALM_SECONDS
        while wrong := self.wrong():
            assert time.monotonic() < deadline, (
                f"not calm after {_CALM_SECONDS:g} s: {wrong}\n{self._tail()}"
            )
            time.sleep(0.2)

    def wrong(self) -> str:
        """What is not yet as it should be."""
        health = self.stage.daemon.health()
        if health is None:
            return "the daemon does not answer"
        if health["working"] or health["problems"] or not health["healthy"]:
            return f"the daemon says {health}"
        running = self.stage.engine.docker("ps", "--format", "{{.Names}}").split()
        if len(running) != len(SERVICES):
            return f"only {running} run"
        for lock in self.stage.locks:
            if found := self._wrong_with(lock):
                return f"{lock.environment}: {found}"
        return ""

    def history(self, lock: Lock) -> list[Event]:
        """Everything that happened to a lock's environment."""
        return list(Root(self.stage.root).environment(lock.environment).history())

    def take_sample(self) -> None:
        """Note what the daemon takes now."""
        process = self.stage.daemon.process
        assert process is not None
        status = dict(
            line.split(":", 1)
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()
        )
        self.samples.setdefault(process.pid, []).append(
            Sample(
                memory=int(status["VmRSS"].split()[0]) << 10,
                descriptors=len(list(Path(f"/proc/{process.pid}/fd").iterdir())),
                threads=int(status["Threads"]),
            )
        )

    def check(self) -> None:
        """Hold everything that happened against the promises."""
        contents = self.mischief.written + len(self.stage.locks)
        syncs = [event for lock in self.stage.locks for event in self._served(lock)]
        assert len(syncs) <= contents, f"{len(syncs)} syncs of {contents} contents"
        for lock in self.stage.locks:
            self._check_history(lock)
            for service in lock.services:
                self._check_restarts(lock, service)
        self._check_leftovers()
        self._check_growth()

    def _wrong_with(self, lock: Lock) -> str:
        environment = Root(self.stage.root).environment(lock.environment)
        digest = hashlib.sha256(lock.path.read_bytes()).hexdigest()
        if environment.state().inputs.get(f"lock {lock.path}", "").rpartition(":")[2] != digest:
            return f"serves another content than {lock.path.name} has"
        current = environment.current()
        if current is None:
            return "has no generation"
        if environment.state().pending or environment.state().error:
            return f"its state is {environment.state()}"
        (module,) = current.path.glob("lib/python3*/site-packages/alpha/__init__.py")
        if module.read_text() != f"VERSION={lock.version!r}\n":
            return f"is not alpha {lock.version}"
        for service in lock.services:
            said = self.stage.logs(service)
            if not said or said[-1] != f"start {lock.version} {current.number}":
                return f"{service} runs {said[-1:]}, not {lock.version} {current.number}"
        return ""

    def _served(self, lock: Lock) -> list[Event]:
        """The syncs that a lock's content was the reason for."""
        return [
            event
            for event in self.history(lock)
            if event.kind == "sync" and any(r.endswith(_LOCK_CHANGED) for r in event.reasons)
        ]

    def _check_history(self, lock: Lock) -> None:
        numbers: list[int] = []
        for event in self.history(lock):
            if event.kind not in _SWITCHING:
                assert event.kind in {"rollout", "failure", "removal"}, event
                continue
            # Each sync had a reason that makes it needed: nothing is done twice.
            assert event.reasons or event.kind == "switch", event
            if event.generation != event.previous:
                numbers.append(event.generation)
        assert all(a != b for a, b in pairwise(numbers)), numbers

    def _check_restarts(self, lock: Lock, service: str) -> None:
        """One start for each change that mattered, and for each start of the engine's."""
        switches = [
            event.generation
            for event in self.history(lock)
            if event.kind in _SWITCHING and event.generation != event.previous
        ]
        starts = [int(line.split()[2]) for line in self.stage.logs(service)]
        runs = [starts[0]]
        repeats = 0
        for before, after in pairwise(starts):
            if before == after:
                repeats += 1
            else:
                runs.append(after)
        left = iter(switches)
        assert all(any(run == switch for switch in left) for run in runs), (
            f"{service} ran {runs}, the switches were {switches}\n{self._tail()}"
        )
        # An engine or a daemon that was away can have one switch follow another without a restart,
        # and the second may lead back to what runs.
        engine_starts = self.stage.engine.starts - 1
        missed = len(switches) - len(runs)
        assert missed <= engine_starts + self.stage.daemon.starts - 1, (
            f"{service} missed {missed} of {switches}: {runs}"
        )
        assert repeats <= engine_starts + missed, (
            f"{service} was started {repeats} times on what it ran already, the engine "
            f"{engine_starts} times, {missed} switches were missed: {starts}\n{self._tail()}"
        )

    def _check_leftovers(self) -> None:
        names = self.stage.engine.docker("ps", "--all", "--format", "{{.Names}}").split()
        assert sorted(names) == [f"soak-{service}-1" for service in SERVICES]
        assert list((self.stage.root / "tmp").iterdir()) == []
        for lock in self.stage.locks:
            environment = Root(self.stage.root).environment(lock.environment)
            unsealed = [each.name for each in environment.generations_directory.iterdir()]
            assert len(unsealed) == len(environment.generations()), unsealed
        verified = self.stage.venvctl("verify", "--json")
        assert verified.code == 0, verified.stdout
        done = self.stage.venvctl("sync", "--json")
        actions = {each["action"] for each in done.data["environments"]}
        assert actions == {"nothing"}, done.stdout

    def _check_growth(self) -> None:
        for process, samples in self.samples.items():
            if len(samples) < _SAMPLES_FEWEST:
                continue
            third = len(samples) // 3
            first, last = samples[:third], samples[-third:]
            story = f"daemon {process}: {samples}"
            grown = median(s.memory for s in last) - median(s.memory for s in first)
            assert grown <= _MORE_MEMORY, story
            most = max(s.descriptors for s in first) + _MORE_DESCRIPTORS
            assert median(s.descriptors for s in last) <= most, story
            most = max(s.threads for s in first) + _MORE_THREADS
            assert median(s.threads for s in last) <= most, story

    def summary(self) -> dict[str, Any]:
        """What happened, in figures."""
        memory = [sample.memory >> 20 for samples in self.samples.values() for sample in samples]
        return {
            "contents written": self.mischief.written,
            "syncs of contents": sum(len(self._served(lock)) for lock in self.stage.locks),
            "switches": sum(
                event.generation != event.previous
                for lock in self.stage.locks
                for event in self.history(lock)
                if event.kind in _SWITCHING
            ),
            "engine starts": self.stage.engine.starts,
            "daemon starts": self.stage.daemon.starts,
            "memory, MiB": f"{min(memory)} to {max(memory)}",
            "threads": sorted({s.threads for each in self.samples.values() for s in each}),
            "descriptors": sorted({s.descriptors for each in self.samples.values() for s in each}),
        }

    def _tail(self) -> str:
        states = {
            lock.environment: [
                json.dumps([e.time, e.kind, e.previous, e.generation, e.reasons, e.notes])
                for e in self.history(lock)[-8:]
            ]
            for lock in self.stage.locks
        }
        log = self.stage.daemon.log.read_text().splitlines()[-40:]
        return json.dumps(states, indent=1) + "\n" + "\n".join(log)
