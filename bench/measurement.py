"""How long things take: side by side in turns, so that a busy machine is busy for both."""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One row of the table.

    Attributes:
        what: what venvctl was asked to do.
        peer: what the same work was done with.
        ours: what it took, one for each turn; seconds, or bytes where `unit` says so.
        theirs: the same of the peer.
        goal: the highest that ours may be; with `beyond` so many seconds more than the peer, else
            so many times the peer's.
        beyond: see `goal`.
        unit: ``s`` or ``bytes``.
    """

    what: str
    peer: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    goal: float
    beyond: bool = False
    unit: str = "s"

    @property
    def our_median(self) -> float:
        """The middle one of ours."""
        return statistics.median(self.ours)

    @property
    def their_median(self) -> float:
        """The middle one of the peer's."""
        return statistics.median(self.theirs)

    @property
    def result(self) -> float:
        """What is compared with the goal."""
        if self.beyond:
            return self.our_median - self.their_median
        return self.our_median / self.their_median

    @property
    def reached(self) -> bool:
        """Whether the goal is."""
        return self.result <= self.goal


def run(
    command: Sequence[str], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """Run a command that must succeed; what it printed."""
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def seconds(action: Callable[[], object]) -> float:
    """How long an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def in_turns(
    actions: Mapping[str, Callable[[], float]], turns: int
) -> dict[str, tuple[float, ...]]:
    """Measure some things in turns.

    Args:
        actions: each does its thing once, and says what it took; by name.
        turns: how often.

    Returns:
        What each took, a number for each turn, by the same names.
    """
    found: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(turns):
        for name, action in actions.items():
            found[name].append(action())
    return {name: tuple(took) for name, took in found.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one process took, with everything that it started and waited for.

    Attributes:
        wall, cpu: seconds; those of all processors together.
        peak: bytes of memory that the largest of those processes had at its most.
    """

    wall: float
    cpu: float
    peak: int


# What the kernel says of a process's memory counts what its parent had before it: so the parent is
# one that has little.
_LAUNCHER = """
import os, sys, time
begin = time.perf_counter()
process = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, spent = os.wait4(process, 0)
wall = time.perf_counter() - begin
with open(sys.argv[1], "w") as told:
    told.write(f"{wall} {spent.ru_utime + spent.ru_stime} {spent.ru_maxrss}")
sys.exit(os.waitstatus_to_exitcode(status))
"""


def used(command: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> Usage:
    """Run a command that must succeed, and see what it takes.

    Args:
        command: the argument vector.
        cwd: where it runs.
        environment: its variables.
    """
    with NamedTemporaryFile("r") as told:
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, told.name]
        run([*launcher, *command], cwd=cwd, environment=environment)
        wall, cpu, peak = told.read().split()
    return Usage(wall=float(wall), cpu=float(cpu), peak=int(peak) << 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """How something grows.

    Attributes:
        what: was done.
        against: what there was more and more of, e.g. ``files``.
        points: how many there were, and what it took.
        unit: ``s``, or ``bytes``.
    """

    what: str
    against: str
    points: tuple[tuple[int, float], ...]
    unit: str = "s"

    @property
    def slope(self) -> float:
        """What one more takes: the least-squares line's."""
        return statistics.linear_regression(*self._columns()).slope

    @property
    def exponent(self) -> float:
        """The power with which it grows between half of the largest number, or less, and it.

        1 is linear. What is there always, however few there are, makes it smaller.
        """
        last, value = self.points[-1]
        at, before = max((point for point in self.points if 2 * point[0] <= last), default=(1, 0.0))
        if before <= 0 or value <= 0:
            return 0.0
        return math.log(value / before) / math.log(last / at)

    def _columns(self) -> tuple[list[int], list[float]]:
        return [number for number, _ in self.points], [value for _, value in self.points]
