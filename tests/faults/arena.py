"""A world in which verbs are killed, or lose their power, and what must live through it."""

from __future__ import annotations

import os
import random
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from powerloss import Luck, overlay
from promises import broken_at_rest, helpers, left_over, picture, restorable
from venvctl import trees
from world import World, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from killing import Killer, Run
    from wheelhouse import BuiltWheel

# Read here: the tests themselves run without any variable of venvctl.
_KILLS = os.environ.get("VENVCTL_KILLS", "")
SEED = os.environ.get("VENVCTL_KILL_SEED", "") or secrets.token_hex(4)
_VARIABLE = re.compile(r"[0-9a-f]{8,}|[0-9.]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One verb about to be run and killed.

    Attributes:
        verb, arguments: for the child.
        old, new: numbers of the generation that is current before, and after a success.
        recover: what a person, or the daemon, does next.
        ends_on: numbers that the current generation may have in the end; 0 for none.
        damaged: part of the path of a file that is damaged before.
        done: what holds once the verb is done, also after a power loss.
        goes_back: whether it ends on the old generation by going back to it.
        may_be_gone: whether the environment may have no current generation at any time.
    """

    verb: str
    arguments: dict[str, object]
    old: int
    new: int
    ends_on: tuple[int, ...]
    recover: Callable[[], object]
    damaged: str = ""
    done: Callable[[], bool] = lambda: True
    goes_back: bool = False
    may_be_gone: bool = False


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

    def try_one(
        self,
        case: Case,
        *,
        step: int = 0,
        seconds: float = 0.0,
        at: str = "",
        luck: Luck | None = None,
    ) -> Run:
        """Kill a verb, recover twice, and check everything after each.

        Args:
            case: the verb.
            step: when, from 1.
            seconds: the same by time.
            at: the same by what is done there; none of them lets it end by itself.
            luck: the power goes as well, then.
        """
        run = self.killer.run(
            case.verb,
            self.world.name,
            case.arguments,
            step=step,
            seconds=seconds,
            at=at,
            luck=luck,
        )
        how = "without power" if luck else "killed"
        where = f"{case.verb}, seed {SEED}, {how} at {step or seconds or 'the end'}: {run.last}"
        assert run.killed or case.goes_back or not run.error, f"{where}: {run.error}"
        # Promise 9: whatever a lock, an index or a wheel says.
        _none(run.strayed, f"outside of the root in {where}")
        if luck is not None:
            self._lose_power()
        starts = self._starts()
        may_be = {case.old, case.new} if run.killed else {case.new}
        if case.goes_back:
            may_be.add(case.old)
        if case.may_be_gone:
            may_be.add(0)
        broken = broken_at_rest(self.world, sorted(may_be))
        broken = [line for line in broken if not case.damaged or case.damaged not in line]
        _none(broken, f"at rest in {where}")
        _none(self._disturbed(), f"at rest in {where}")
        assert run.killed or case.done(), f"not done in {where}"
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
            _none(broken, f"recovered {time} in {where}")
            pictures.append((picture(self.world.root.path), self._starts()))
        assert case.done(), f"not done after the recovery in {where}"
        changed = {
            path
            for path in pictures[0][0].keys() | pictures[1][0].keys()
            if pictures[0][0].get(path) != pictures[1][0].get(path)
        }
        _none(sorted(changed), f"changed by the second recovery in {where}")
        assert pictures[0][1] == pictures[1][1], f"restarted again in {where}"
        if helpers(self.world):
            case.recover()
            _none(helpers(self.world), f"came late and is left in {where}")
        if self.running and run.killed and self.number() == case.old and not case.goes_back:
            assert pictures[0][1] == starts, f"restarted for nothing in {where}"
        return run

    def _lose_power(self) -> None:
        """Nothing runs any more; what was on disk is there, and the engine starts its containers.

        As far as it does so by itself, which one that was stopped is not.
        """
        overlay(self.killer.image, self.world.root.path)
        for identifier in self.running:
            self.world.docker("kill", identifier)
            self.world.docker("start", identifier)

    def try_all(self, make: Callable[[], Case], budget: int) -> None:
        """Run it whole once, then kill it at each step that is chosen."""
        steps = self._whole(make).steps
        chosen = _chosen(steps, budget)
        for step in chosen:
            self.try_one(make(), step=step)
            self.forget()
        print(f"{len(chosen)} of {len(steps)} steps, seed {SEED}")  # noqa: T201 - for `-s`

    def try_power(self, make: Callable[[], Case], budget: int) -> None:
        """Take the power away at the end, and at each step that is chosen, with all kinds of luck.

        What was not flushed is gone; or every name is there and its content is not; or each part
        is there or not, as it is drawn.
        """
        steps = self._whole(make, Luck(names=0, content=0, seed=SEED)).steps
        chosen = _chosen(steps, budget)
        for place, step in enumerate(chosen):
            names, content = ((0, 0), (1, 0), (0.5, 0.5))[place % 3]
            luck = Luck(names=names, content=content, seed=f"{SEED} {step}")
            self.try_one(make(), step=step, luck=luck)
            self.forget()
        print(f"{len(chosen)} of {len(steps)} steps, seed {SEED}")  # noqa: T201 - for `-s`

    def try_times(self, make: Callable[[], Case], budget: int, longest: float) -> None:
        """Kill it at times that are drawn, each in its own slice of how long it may take."""
        draw = random.Random(SEED)  # noqa: S311 - to be drawn again
        kills = {"": budget, "all": 100}.get(_KILLS) or int(_KILLS)
        for place in range(kills):
            self.try_one(make(), seconds=longest * (place + draw.random()) / kills)
            self.forget()

    def _whole(self, make: Callable[[], Case], luck: Luck | None = None) -> Run:
        run = self.try_one(make(), luck=luck)
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
    draw = random.Random(SEED)  # noqa: S311 - to be drawn again
    count = min(int(_KILLS or budget), len(kinds))
    return sorted(draw.choice(kinds[kind]) for kind in draw.sample(sorted(kinds), count))
