"""Which generations and snapshots of one environment stay when nothing else needs them (pure)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from venvctl.environments import Event
    from venvctl.specification import SnapshotRetention

_BEGINNING = datetime.min.replace(tzinfo=UTC)


def moment(text: str) -> datetime:
    """A time as RFC 3339 has it, nanoseconds cut to microseconds; the earliest if it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return _BEGINNING
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def timeline(events: Iterable[Event]) -> list[tuple[datetime, int]]:
    """When which generation is known to have been current, in the order of the history.

    An event is written after its switch, and names what was current before it too.
    """
    return [
        (moment(event.time), number)
        for event in events
        if event.kind != "removal"
        for number in (event.previous, event.generation)
        if number
    ]


def generations(
    numbers: Sequence[int],
    *,
    current: int,
    keep: int,
    timelines: Sequence[Sequence[tuple[datetime, int]]],
    since: datetime | None,
) -> set[int]:
    """The numbers of the generations that stay.

    Args:
        numbers: of all that are there.
        current: of the current one; 0 if none is.
        keep: how many others stay, the latest first.
        timelines: what is known of which was current when, by independent witnesses.
        since: when the holder that has been running longest started; None if none runs.
    """
    old = sorted((number for number in numbers if number != current), reverse=True)
    kept = {current, *old[:keep]} & set(numbers)
    if since is None:
        return kept
    known = False
    for witnessed in timelines:
        kept |= {number for time, number in witnessed if time >= since}
        before = [number for time, number in witnessed if time < since]
        if before:
            known = True
            kept.add(before[-1])
    # Nobody can tell what the holder started on: it may be any of them.
    return kept & set(numbers) if known else set(numbers)


def snapshots(
    had: Mapping[str, datetime], retention: SnapshotRetention, *, now: datetime
) -> set[str]:
    """The keys of the snapshots that an environment's retention keeps.

    Args:
        had: key → when it last became the environment's current one.
        retention: what its owner asks for.
        now: the time.
    """
    latest = sorted(had, key=lambda key: had[key], reverse=True)
    if retention.count is not None:
        return set(latest[: retention.count])
    if retention.age is not None:
        oldest = now - timedelta(seconds=retention.age)
        return {key for key in latest if had[key] >= oldest}
    return set(latest)
