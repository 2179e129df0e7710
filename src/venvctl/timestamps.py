"""Times as histories and snapshots have them."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """The time, UTC, as RFC 3339 with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
