"""One environment on disk: its generations, which one is current, its state and its history."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from venvctl import disk
from venvctl.errors import BusyError, IntegrityError, RootError, UsageError
from venvctl.generations import SEAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_GENERATION = re.compile(r"([1-9][0-9]{0,8})-([0-9a-f]{32})")
# What a generation has for venvctl itself; everything else gets a link in the volume's root.
_PRIVATE = frozenset({SEAL})


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Generation:
    """One complete environment directory.

    Attributes:
        number: counts up within its environment, never used twice.
        key: names what is in it; two locks with the same key share a generation.
        path: on the host.
    """

    number: int
    key: str
    path: Path

    @property
    def name(self) -> str:
        """The directory's name."""
        return f"{self.number}-{self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the last sync saw, so that the next one can tell whether anything changed.

    Attributes:
        inputs: fingerprint by name of everything that was looked at (see `plan.Inputs`).
        held: keys that are not switched to until the lock selects another → why.
        last_number: the highest generation number ever used.
        volume_inode: inode of the `volume` directory that the engine was given; 0 before that.
        pending: containers that a rollout still has to reach: ID → when it had started.
        toward: number of the generation that they are to be brought onto by a switch; 0 if that is
            the current one, whichever it is.
        before: all that it had to reach when it began, in the same way; empty between rollouts.
        switching: whether containers may have started beside the switch, and nobody has looked yet.
        reached: IDs of those that it signalled or executed a command in.
        good: number of the last generation that was rolled out well, 0 if there is none.
        back_to: number of the generation that a rollout is going back to, 0 if it does not.
        back_because: why it is.
        restarts: container ID → when rollouts restarted it lately (seconds since the epoch).
        stopped: IDs of containers that were stopped to be started again, and may not have been.
        error: what the last sync failed with; empty after one that did not.
        error_files: of the lock, which it may quote.
    """

    inputs: Mapping[str, str] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)
    last_number: int = 0
    volume_inode: int = 0
    pending: Mapping[str, str] = field(default_factory=dict)
    toward: int = 0
    before: Mapping[str, str] = field(default_factory=dict)
    switching: bool = False
    reached: tuple[str, ...] = ()
    good: int = 0
    back_to: int = 0
    back_because: str = ""
    restarts: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    stopped: tuple[str, ...] = ()
    error: str = ""
    error_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of an environment's history.

    Attributes:
        time: UTC, RFC 3339. kind: sync, switch, rollback, restore, rollout, failure, removal.
        generation: number, 0 if there is none. key: its key. previous: number before, 0 if none.
        reasons, changes, notes: sentences for a person.
        files: of the lock, which the notes may quote.
    """

    time: str
    kind: str
    generation: int = 0
    key: str = ""
    previous: int = 0
    reasons: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


class Environment:
    """The directory ``environments/<name>`` of one root.

    Args:
        root: the root directory.
        name: a volume's name, checked by whoever parsed it.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.name = name
        self.directory = root / "environments" / name
        self.volume = self.directory / "volume"
        self._private = self.volume / ".venvctl"
        self.generations_directory = self._private / "generations"

    @property
    def exists(self) -> bool:
        """Whether anything of it is on disk."""
        return self.directory.is_dir()

    @contextmanager
    def writing(self, *, wait: float = 0.0) -> Iterator[None]:
        """Be the one writer; a crashed writer's lock is free at once.

        Args:
            wait: seconds to wait for another writer.

        Raises:
            BusyError: somebody else still works on it; the message says which process.
        """
        from filelock import FileLock, Timeout  # noqa: PLC0415 - who only reads does without

        disk.make_directory(self.directory)
        path = self.directory / "lock"
        lock = FileLock(path, mode=0o600)
        try:
            with disk.translate(path):
                lock.acquire(timeout=wait)
        except Timeout:
            holder = self.writer()
            raise BusyError(
                f"Environment {self.name} is being worked on by {holder or 'another process'}.",
                hint="Try again when it is done.",
            ) from None
        try:
            # Neither durable nor needed: it is only read while the process that wrote it lives.
            with suppress(OSError):
                (self.directory / "writer").write_text(f"{os.getpid()}\n")
            yield
        finally:
            (self.directory / "writer").unlink(missing_ok=True)
            lock.release()

    def writer(self) -> str:
        """Who holds the lock, for a message; empty when it can't be told."""
        try:
            pid = int((self.directory / "writer").read_text())
            with open(f"/proc/{pid}/cmdline", "rb") as stream:  # noqa: PTH123 - not a file of ours
                words = stream.read().decode(errors="replace").split("\0")
        except (OSError, ValueError):
            return ""
        return f"process {pid} ({' '.join(words).strip()[:80]})"

    def generations(self) -> list[Generation]:
        """All complete generations, oldest first."""
        if not self.generations_directory.is_dir():
            return []
        found = []
        for entry in os.scandir(self.generations_directory):
            match = _GENERATION.fullmatch(entry.name)
            path = self.generations_directory / entry.name
            if match and (path / SEAL).exists():
                found.append(Generation(number=int(match[1]), key=match[2], path=path))
        return sorted(found)

    def current(self) -> Generation | None:
        """The generation that new processes get.

        Raises:
            IntegrityError: `current` names something that is no complete generation.
        """
        try:
            target = os.readlink(self._private / "current")  # noqa: PTH115 - its text is what counts
        except FileNotFoundError:
            return None
        for generation in self.generations():
            if target == f"generations/{generation.name}":
                return generation
        raise IntegrityError(
            f"Environment {self.name} has {target!r} as its current generation, "
            f"which is not in {self.generations_directory}.",
            hint=f"Bring it back from the store: `venvctl restore {self.name}`.",
        )

    def current_or_none(self) -> Generation | None:
        """The generation that new processes get; None also where `current` names nothing whole."""
        try:
            return self.current()
        except IntegrityError:
            return None

    def numbered(self, number: int) -> Generation:
        """The generation of that number; raises `UsageError` naming those that are there."""
        for generation in self.generations():
            if generation.number == number:
                return generation
        there = ", ".join(str(generation.number) for generation in self.generations()) or "none"
        raise UsageError(
            f"Environment {self.name} has no generation {number}; it has {there}.",
            hint=f"`venvctl history {self.name}` shows them.",
        )

    def with_key(self, key: str) -> Generation | None:
        """The latest generation made of that snapshot."""
        found = [generation for generation in self.generations() if generation.key == key]
        return found[-1] if found else None

    def switch(self, generation: Generation) -> None:
        """Make it current: links in the root first, then one rename."""
        for entry in os.scandir(generation.path):
            link = self.volume / entry.name
            if entry.name not in _PRIVATE and not link.is_symlink():
                disk.replace_symlink(link, f".venvctl/current/{entry.name}")
        disk.replace_symlink(self._private / "current", f"generations/{generation.name}")

    @property
    def switched_at(self) -> float:
        """When the current generation became that, in seconds since the epoch."""
        return os.lstat(self._private / "current").st_ctime  # rename(2) changes it

    def prepare(self) -> None:
        """Create what is missing of the environment's directories."""
        disk.make_directory(self.generations_directory)

    def remove_generation(self, generation: Generation) -> None:
        """Remove a generation; the caller knows that nobody needs it."""
        disk.retire_tree(generation.path, self.root)

    def remove_stale_links(self) -> None:
        """Remove links in the volume's root that no generation needs any more."""
        needed = {
            entry.name for item in self.generations() for entry in os.scandir(item.path)
        } - _PRIVATE
        for entry in os.scandir(self.volume):
            if entry.is_symlink() and entry.name not in needed:
                disk.remove_file(self.volume / entry.name)

    def state(self) -> State:
        """What the last sync saw; the empty state when there was none, or it is damaged.

        Raises:
            RootError: the disk does not give it.
        """
        path = self.directory / "state.json"
        try:
            document = json.loads(path.read_bytes())
            state = _state(document)
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            # Without it the next sync compares everything, and finds `current` as it is.
            return State()
        except OSError as error:
            raise RootError(
                f"Cannot read {path}: {error.strerror}.",
                hint="Check the file system and its owner.",
            ) from error
        waits = state.pending or state.switching
        if waits and state.toward and not self._is_current(state.toward):
            # A crash came between this and the switch: nobody is behind a switch that never came.
            return dataclasses.replace(
                state, pending={}, before={}, switching=False, reached=(), toward=0
            )
        return state

    def _is_current(self, number: int) -> bool:
        try:
            target = os.readlink(self._private / "current")  # noqa: PTH115 - its text is what counts
        except FileNotFoundError:
            return False
        return target.startswith(f"generations/{number}-")

    def save_state(self, state: State) -> None:
        """Write what this sync saw."""
        document = {
            "schema": 1,
            "inputs": dict(state.inputs),
            "held": dict(state.held),
            "last-number": state.last_number,
            "volume-inode": state.volume_inode,
            "pending": dict(state.pending),
            "toward": state.toward,
            "before": dict(state.before),
            "switching": state.switching,
            "reached": list(state.reached),
            "good": state.good,
            "back-to": state.back_to,
            "back-because": state.back_because,
            "restarts": {name: list(moments) for name, moments in state.restarts.items()},
            "stopped": list(state.stopped),
            "error": state.error,
            "error-files": list(state.error_files),
        }
        disk.write_file(self.directory / "state.json", json.dumps(document, indent=1).encode())

    def next_number(self) -> int:
        """A number that no generation of this environment ever had."""
        numbers = [generation.number for generation in self.generations()]
        return max([self.state().last_number, *numbers, 0]) + 1

    def record(self, event: Event) -> None:
        """Append to the history."""
        document = {
            name: list(value) if isinstance(value, tuple) else value
            for name in Event.__slots__
            if (value := getattr(event, name))
        }
        disk.append_line(self.directory / "history.jsonl", json.dumps(document))

    def history(self) -> list[Event]:
        """Everything that happened to it, oldest first; torn lines are left out."""
        try:
            # A damaged line is left out like a torn one: it must not hide all the others.
            text = (self.directory / "history.jsonl").read_text("utf-8", errors="replace")
        except FileNotFoundError:
            return []
        events = []
        for line in text.splitlines():
            try:
                document = json.loads(line)
                events.append(
                    Event(
                        time=document["time"],
                        kind=document["kind"],
                        generation=document.get("generation", 0),
                        key=document.get("key", ""),
                        previous=document.get("previous", 0),
                        reasons=tuple(document.get("reasons", ())),
                        changes=tuple(document.get("changes", ())),
                        notes=tuple(document.get("notes", ())),
                        files=tuple(document.get("files", ())),
                    )
                )
            except (ValueError, KeyError, TypeError):
                continue
        return events


def _state(document: dict[str, Any]) -> State:
    """Read `State`; a field that an earlier version did not write is as it is at first."""
    return State(
        inputs={str(name): str(value) for name, value in document.get("inputs", {}).items()},
        held={str(key): str(why) for key, why in document.get("held", {}).items()},
        last_number=int(document.get("last-number", 0)),
        volume_inode=int(document.get("volume-inode", 0)),
        pending={str(name): str(when) for name, when in document.get("pending", {}).items()},
        toward=int(document.get("toward", 0)),
        before={str(name): str(when) for name, when in document.get("before", {}).items()},
        switching=bool(document.get("switching", False)),
        reached=tuple(str(name) for name in document.get("reached", ())),
        good=int(document.get("good", 0)),
        back_to=int(document.get("back-to", 0)),
        back_because=str(document.get("back-because", "")),
        restarts={
            str(name): tuple(float(moment) for moment in moments)
            for name, moments in document.get("restarts", {}).items()
        },
        stopped=tuple(str(name) for name in document.get("stopped", ())),
        error=str(document.get("error", "")),
        error_files=tuple(str(path) for path in document.get("error-files", ())),
    )
