"""When a sync that failed is tried again: only where nothing has to change but time."""

from __future__ import annotations

from dataclasses import dataclass

from venvctl.errors import (
    BusyError,
    DiskFullError,
    EngineError,
    EngineUnreachableError,
    RolloutWaitsError,
    UnavailableError,
    VenvctlError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before the next attempt.

    Attributes:
        first: seconds before the second attempt; each further wait is twice as long.
        longest: seconds that no wait exceeds.
        attempts: how many in a row; 0 for no end.
    """

    first: float
    longest: float
    attempts: int = 0

    def wait(self, failures: int) -> float | None:
        """Seconds until the next attempt after so many failures in a row; None for no further."""
        if self.attempts and failures >= self.attempts:
            return None
        # 2 ** 20 doublings are beyond any `longest`, and far from where a float overflows.
        return float(min(self.longest, self.first * 2 ** min(failures - 1, 20)))


# Another writer, an engine, an index, a disk.
_BACKOFFS: tuple[tuple[type[VenvctlError], Backoff], ...] = (
    (BusyError, Backoff(first=0.5, longest=30)),
    (EngineUnreachableError, Backoff(first=1, longest=60)),
    (UnavailableError, Backoff(first=5, longest=1800)),
    (DiskFullError, Backoff(first=60, longest=3600)),
    # A container may be down because of it, and whoever mends it does not tell us.
    (RolloutWaitsError, Backoff(first=2, longest=60)),
    # The engine refused: it may have been in the middle of something, but not for ever.
    (EngineError, Backoff(first=2, longest=60, attempts=5)),
)


def backoff(error: VenvctlError) -> Backoff | None:
    """How to try again after this error; None where only a change can help."""
    for kind, found in _BACKOFFS:
        if isinstance(error, kind):
            return found
    return None
