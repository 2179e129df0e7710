"""Times as histories and snapshots have them."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> str:
    """The time, UTC, as RFC 3339 with microseconds."""
    return of(time.time())


def of(seconds: float) -> str:
    """A time in seconds since the epoch, in the same way."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
