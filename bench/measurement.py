"""How long things take: side by side in turns, so that a busy machine is busy for both."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
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
    ours: Callable[[], float], theirs: Callable[[], float], turns: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Measure both in turns.

    Args:
        ours: does it once, and says what it took.
        theirs: the same of the peer.
        turns: how often.
    """
    pairs = [(ours(), theirs()) for _ in range(turns)]
    return tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)
