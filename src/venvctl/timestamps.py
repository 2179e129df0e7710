"""Times as histories and snapshots have them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_STEP = timedelta(microseconds=1)


def now() -> str:
    """The time, UTC, as RFC 3339 with microseconds."""
    return of(time.time())


def after(before: str) -> str:
    """The time; or just after an earlier one, where the clock was ahead then or is behind now.

    Args:
        before: as `now` had given it, or empty.
    """
    time = now()
    return time if time > before else _text(datetime.fromisoformat(before) + _STEP)


def of(seconds: float) -> str:
    """A time in seconds since the epoch, in the same way."""
    return _text(datetime.fromtimestamp(seconds, UTC))


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
