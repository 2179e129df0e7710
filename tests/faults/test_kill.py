"""FAULTS 1: `kill -9` at any step of any verb, and at any time, loses nothing and blocks nobody.

Without further words a sample of the steps is tried, another one each time. What was chosen is in
the message of a failure, and comes again with the same seed::

    make test ARGS=tests/faults/test_kill.py
    VENVCTL_KILLS=all make test ARGS=tests/faults/test_kill.py     # every step, some two hours
    VENVCTL_KILLS=30 VENVCTL_KILL_SEED=4711 make test ARGS=tests/faults/test_kill.py
"""

from __future__ import annotations

import dataclasses
import os
import random
import re
import secrets
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from killing import Killer
from promises import broken_at_rest, left_over, picture, restorable
from venvctl import trees
from venvctl.collection import collect
from venvctl.errors import IntegrityError, RolloutFailedError
from venvctl.restore import restore
from venvctl.root import Root
from venvctl.sync import SyncOptions
from venvctl.transfer import export_snapshot, import_snapshot
from venvctl.verification import verify
from wheelhouse import BuiltWheel, make_wheel
from world import World, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from engine_fixtures import Docker, Unique
    from killing import Run
    from venvctl.sync import SyncResult

pytestmark = pytest.mark.engine

# Read here: the tests themselves run without any variable of venvctl.
_KILLS = os.environ.get("VENVCTL_KILLS", "")
_SEED = os.environ.get("VENVCTL_KILL_SEED", "") or secrets.token_hex(4)
_VARIABLE = re.compile(r"[0-9a-f]{8,}|[0-9.]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One verb about to be run and killed.

    Attributes:
        verb, arguments: for the child.
        old, new: numbers of the generation that is current before, and after a success.
        recover: what a person, or the daemon, does next.
        ends_on: numbers that the current generation may have in the end.
    """

    verb: str
    arguments: dict[str, object]
    old: int
    new: int
    ends_on: tuple[int, ...]
    recover: Callable[[], object]
    damaged: str = ""


@dataclass(slots=True)
class Arena:
    """A world in which things are killed, and what must live through it.

    Attributes:
        running: holders that have to end on the current generation, each with its log's lines.
        holders_on: number of the generation that they run on, where that is not the current one.
        forgetful: whether old generations go after each kill, so that each check is quick.
        untouched: ID of each container that must not be touched → when it had started.
    """

    world: World
    killer: Killer
    count: int = 0
    running: list[str] = field(default_factory=list)
    holders_on: int = 0
    forgetful: bool = True
    untouched: dict[str, str] = field(default_factory=dict)
    wheels: list[BuiltWheel] = field(default_factory=list)

    def next_lock(self) -> None:
        """Let the lock select two packages that nobody has seen before."""
        self.count += 1
        version = f"{self.count}.0"
        self.wheels = [self.world.wheel("alpha", version), self.world.wheel("beta", version)]
        self.world.write_lock(*self.wheels)

    def start(self, name: str) -> None:
        self.running.append(self.world.start(name))

    def leave_alone(self, identifier: str) -> None:
        self.untouched[identifier] = self.world.container(identifier).started_at

    def number(self) -> int:
        current = self.world.environment.current()
        assert current is not None
        return current.number

    def next_number(self) -> int:
        return self.world.environment.next_number()

    def forget(self) -> None:
        """Keep what a rollback needs, and nothing older: each check looks at everything."""
        if not self.forgetful:
            return
        root, environment = self.world.root, self.world.environment
        current = environment.current()
        kept = {current.key if current else ""}
        for generation in environment.generations()[:-2]:
            if generation != current:
                environment.remove_generation(generation)
        kept |= {generation.key for generation in environment.generations()}
        for key in root.snapshots.keys():  # noqa: SIM118 - not a mapping
            if key not in kept:
                for file in root.snapshots.load(key).files:
                    root.store.remove(file.sha256)
                    for tree in list(trees.iterate(root.store)):
                        if tree.name.startswith(file.sha256):
                            trees.remove(root.store, tree.name)
                root.snapshots.remove(key)

    def try_one(self, case: Case, *, step: int = 0, seconds: float = 0.0) -> Run:
        """Kill a verb, recover twice, and check everything after each."""
        run = self.killer.run(
            case.verb, self.world.name, case.arguments, step=step, seconds=seconds
        )
        where = f"{case.verb}, seed {_SEED}, step {step} or {seconds:.4f} s: {run.last}"
        broken = broken_at_rest(self.world, (case.old, case.new))
        broken = [line for line in broken if not case.damaged or case.damaged not in line]
        _none(broken, f"killed in {where}")
        _none(self._disturbed(), f"killed in {where}")
        pictures = []
        for time in ("once", "twice"):
            case.recover()
            broken = [
                *broken_at_rest(self.world, case.ends_on),
                *left_over(self.world),
                *restorable(self.world),
                *self._disturbed(),
                *self._behind(),
            ]
            _none(broken, f"recovered {time} after a kill in {where}")
            pictures.append((picture(self.world.root.path), self._starts()))
        changed = {
            path
            for path in pictures[0][0].keys() | pictures[1][0].keys()
            if pictures[0][0].get(path) != pictures[1][0].get(path)
        }
        _none(sorted(changed), f"changed by the second recovery after a kill in {where}")
        assert pictures[0][1] == pictures[1][1], f"restarted again after a kill in {where}"
        return run

    def try_all(self, make: Callable[[], Case], budget: int) -> None:
        """Run it whole once, then kill it at each step that is chosen, and at some times."""
        steps = self._whole(make).steps
        chosen = _chosen(steps, budget)
        for step in chosen:
            self.try_one(make(), step=step)
            self.forget()
        print(f"{len(chosen)} of {len(steps)} steps, seed {_SEED}")  # noqa: T201 - for `-s`

    def try_times(self, make: Callable[[], Case], budget: int, longest: float) -> None:
        """Kill it at times that are drawn, each in its own slice of how long it may take."""
        draw = random.Random(_SEED)  # noqa: S311 - to be drawn again
        kills = {"": budget, "all": 100}.get(_KILLS) or int(_KILLS)
        for place in range(kills):
            self.try_one(make(), seconds=longest * (place + draw.random()) / kills)
            self.forget()

    def _whole(self, make: Callable[[], Case]) -> Run:
        run = self.try_one(make())
        assert not run.killed
        self.forget()
        return run

    def _starts(self) -> list[str]:
        return [self.world.container(identifier).started_at for identifier in self.running]

    def _disturbed(self) -> list[str]:
        """Promise 7: what is none of venvctl's business is as it was."""
        return [
            f"{identifier} was touched"
            for identifier, started_at in self.untouched.items()
            if self.world.container(identifier).started_at != started_at
        ]

    def _behind(self) -> list[str]:
        """Promise 5: every running holder runs, and on what it should."""
        number = self.holders_on or (self.number() if self.running else 0)
        found = []
        for identifier in self.running:
            container = self.world.container(identifier)
            if not container.running:
                found.append(f"{container.name} is {container.state}")
                continue
            self._wait_for_generation(container.name, number)
        return found

    def _wait_for_generation(self, container: str, number: int) -> None:
        wait_for(
            lambda: "".join(self.world.said(container)[-1:]).endswith(f" {number}"),
            f"{container} on generation {number}",
        )


def _none(broken: Sequence[str], when: str) -> None:
    assert not broken, f"{when}:\n" + "\n".join(broken)


def _chosen(steps: Sequence[str], budget: int) -> list[int]:
    """Numbers of the steps to kill at, counted from 1: all, or a sample of different ones."""
    if _KILLS == "all":
        return list(range(1, len(steps) + 1))
    kinds: dict[str, list[int]] = {}
    for number, step in enumerate(steps, start=1):
        kinds.setdefault(_VARIABLE.sub("*", step), []).append(number)
    draw = random.Random(_SEED)  # noqa: S311 - to be drawn again
    count = min(int(_KILLS or budget), len(kinds))
    return sorted(draw.choice(kinds[kind]) for kind in draw.sample(sorted(kinds), count))


@pytest.fixture
def arena(world: World, tmp_path: Path) -> Iterator[Arena]:
    with Killer(world.root.path, tmp_path / "trace") as killer:
        yield Arena(world=world, killer=killer)


@pytest.fixture
def busy(arena: Arena, unique: Unique, docker: Docker) -> Arena:
    """An arena with two running holders, one that its user stopped, and a stranger."""
    world = arena.world
    world.labels = {"venvctl.bytecode": "off"}
    arena.next_lock()
    world.sync()
    arena.start(unique("web"))
    arena.start(unique("worker"))
    stopped = world.start(unique("stopped"))
    # Not earlier: a first process without a handler yet is deaf to SIGTERM for ten seconds.
    for identifier in (*arena.running, stopped):
        world.wait_for_line(identifier, "start 1.0 1")
    docker("stop", stopped)
    stranger = docker(
        "run", "--detach", "--name", unique("stranger"), world.image,
        "python3", "-c", "import signal; signal.pause()",
    )  # fmt: skip
    for identifier in (stopped, stranger):
        arena.leave_alone(identifier)
    return arena


def _sync_case(arena: Arena) -> Case:
    """A lock that selects what nobody has seen before."""
    arena.next_lock()
    new = arena.next_number()
    return Case(
        verb="sync",
        arguments={"registration": arena.world.registration.to_dict()},
        old=arena.number(),
        new=new,
        # A kill may cost a number that nothing has got.
        ends_on=(new, new + 1),
        recover=arena.world.sync,
    )


def test_a_first_sync_that_is_killed(arena: Arena, unique: Unique) -> None:
    world = arena.world

    def make() -> Case:
        arena.next_lock()
        shutil.rmtree(world.root.path / "targets", ignore_errors=True)
        world.name = unique(f"env-{arena.count}")
        return Case(
            verb="sync",
            arguments={"registration": world.registration.to_dict()},
            old=0,
            new=1,
            ends_on=(1, 2),
            recover=world.sync,
        )

    arena.try_all(make, budget=7)


def test_a_sync_that_is_killed_while_containers_run(busy: Arena) -> None:
    busy.try_all(lambda: _sync_case(busy), budget=5)


def test_a_sync_that_is_killed_at_any_time(busy: Arena) -> None:
    busy.try_times(lambda: _sync_case(busy), budget=2, longest=3.0)


def test_a_rollback_that_is_killed(busy: Arena) -> None:
    busy.next_lock()
    busy.world.sync()

    def make() -> Case:
        left = busy.number()
        (to,) = {item.number for item in busy.world.environment.generations()} - {left}
        return Case(
            verb="rollback",
            arguments={"to": to},
            old=left,
            new=to,
            ends_on=(left, to),
            recover=busy.world.sync,
        )

    busy.try_all(make, budget=4)


def test_a_restore_of_a_lost_volume_that_is_killed(busy: Arena) -> None:
    world = busy.world

    def recover() -> None:
        try:
            world.sync()
        except IntegrityError as error:
            assert f"`venvctl restore {world.name}` rebuilds it" in error.hint  # noqa: PT017
            restore(world.name, world.root, snapshot=None, progress=world.progress)
            world.sync()

    def make() -> Case:
        lost = world.environment
        new = busy.next_number()
        shutil.rmtree(lost.volume if busy.count % 2 else lost.directory)
        busy.count += 1
        return Case(
            verb="restore",
            arguments={},
            old=0,
            new=new,
            ends_on=tuple(range(new, new + 4)),
            recover=recover,
        )

    busy.try_all(make, budget=4)


def test_going_back_from_a_bad_generation_that_is_killed(busy: Arena) -> None:
    world = busy.world

    def recover() -> SyncResult | None:
        try:
            return world.sync()
        except RolloutFailedError:
            return None

    def make() -> Case:
        busy.count += 1
        bad = make_wheel(
            world.folder,
            "alpha",
            f"{busy.count}.0",
            files={"alpha/__init__.py": "raise SystemExit(3)"},
        )
        world.index.add(bad.path)
        world.write_lock(bad)
        old, new = busy.number(), busy.next_number()
        return Case(
            verb="sync",
            arguments={"registration": world.registration.to_dict()},
            old=old,
            new=new,
            ends_on=(old,),
            recover=recover,
        )

    busy.try_all(make, budget=4)


def test_a_repair_that_is_killed(arena: Arena) -> None:
    world = arena.world
    arena.next_lock()
    world.sync()

    def make() -> Case:
        number = arena.number()
        module = next(world.environment.volume.glob("lib/*/site-packages/alpha/__init__.py"))
        module.write_text("VERSION = 'evil'\n")
        return Case(
            verb="repair",
            arguments={},
            old=number,
            new=number,
            ends_on=(number,),
            recover=lambda: verify([world.name], world.root, repair=True, progress=world.progress),
            damaged="alpha/__init__.py",
        )

    arena.try_all(make, budget=6)


def test_a_collection_that_is_killed_beside_running_containers(busy: Arena) -> None:
    world = busy.world
    world.labels = {**world.labels, "venvctl.keep": "1", "venvctl.keep-snapshots": "1"}
    busy.forgetful = False

    def make() -> Case:
        busy.next_lock()
        busy.holders_on = world.sync().generation
        for _ in range(2):
            busy.next_lock()
            world.sync(SyncOptions(restart=False))
        number = busy.number()
        return Case(
            verb="collect",
            arguments={},
            old=number,
            new=number,
            ends_on=(number,),
            recover=lambda: collect(world.root, dry_run=False, progress=world.progress),
        )

    busy.try_all(make, budget=2)
    kept = [generation.number for generation in world.environment.generations()]
    assert kept == [busy.holders_on, busy.number() - 1, busy.number()]


def test_an_import_that_is_killed(arena: Arena, unique: Unique) -> None:
    world = arena.world
    home = Root(world.folder / "elsewhere", engine=world.root.engine)
    world.labels = {"venvctl.bytecode": "off"}

    def make() -> Case:
        arena.next_lock()
        there = dataclasses.replace(world, root=home, name=unique(f"there-{arena.count}"))
        file = world.folder / "snapshot.tar"
        file.unlink(missing_ok=True)
        export_snapshot(there.sync().key, file, home, progress=world.progress)
        return Case(
            verb="import",
            arguments={"file": str(file)},
            old=0,
            new=0,
            ends_on=(0,),
            recover=lambda: import_snapshot(file, world.root, progress=world.progress),
        )

    arena.try_all(make, budget=6)
