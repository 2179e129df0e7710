"""How often a rollout may restart one container: a storm of changes must not keep it down."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# At most so many restarts of one container within so many seconds.
LIMIT = 10
WINDOW = 60.0


def recent(restarts: Sequence[float], now: float) -> tuple[float, ...]:
    """The restarts that still count; one that lies in the future is a clock that jumped back.

    Args:
        restarts: when a container was restarted, oldest first, in seconds since the epoch.
        now: in the same way.
    """
    return tuple(moment for moment in restarts if now - WINDOW < moment <= now)[-LIMIT:]


def pause_before(restarts: Sequence[float], now: float) -> float:
    """Seconds to wait before a container may be restarted once more; 0 if it may be now."""
    counted = recent(restarts, now)
    return counted[0] + WINDOW - now if len(counted) >= LIMIT else 0.0
