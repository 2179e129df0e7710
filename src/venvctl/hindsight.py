"""What an environment's history still says when its state is lost (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from venvctl.errors import RolloutFailedError, RolloutStuckError
from venvctl.plan import Action

if TYPE_CHECKING:
    from collections.abc import Iterable

    from venvctl.environments import Event

# Going back is a switch of its own; it is told before its end.
_BAD = frozenset({"switch", RolloutFailedError.code, RolloutStuckError.code})


def held(events: Iterable[Event]) -> dict[str, str]:
    """The keys that no sync switches to → why: what was left on purpose, or was bad.

    Args:
        events: of one environment, oldest first.
    """
    found: dict[str, str] = {}
    keys: dict[int, str] = {}
    latest = ""  # what the last sync switched to
    for event in events:
        if event.kind == "sync":
            action, _, because = event.notes[0].partition(": ") if event.notes else ("", "", "")
            if action == Action.HOLD:
                found = {event.key: because, **found}
                continue
            found, latest = {}, event.key
        elif event.kind in {"rollback", "restore"}:
            found.pop(event.key, None)
            left = keys.get(event.previous, "")
            if left not in {"", event.key}:
                found[left] = (
                    f"`venvctl {event.kind}` left generation {event.previous} at {event.time}"
                )
        elif event.kind in _BAD and latest not in {"", event.key}:
            found[latest] = f"its generation was bad at {event.time}"
        if event.generation:
            keys[event.generation] = event.key
    return found
