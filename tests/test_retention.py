"""What stays is decided by numbers and times alone, and in doubt everything stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from venvctl import retention
from venvctl.environments import Event
from venvctl.specification import SnapshotRetention

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def at(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


def kept(
    *numbers: int,
    current: int,
    keep: int = 0,
    timelines: tuple[list[tuple[datetime, int]], ...] = (),
    since: datetime | None = None,
) -> list[int]:
    return sorted(
        retention.generations(numbers, current=current, keep=keep, timelines=timelines, since=since)
    )


def test_the_current_one_and_the_latest_others_stay() -> None:
    assert kept(1, 2, 3, 4, 5, current=5, keep=2) == [3, 4, 5]
    assert kept(1, 2, 3, 4, 5, current=2, keep=2) == [2, 4, 5]
    assert kept(1, 2, 3, current=3, keep=0) == [3]
    assert kept(1, 2, 3, current=3, keep=9) == [1, 2, 3]


def test_without_a_current_one_the_latest_stay() -> None:
    assert kept(1, 2, 3, current=0, keep=1) == [3]


def test_what_was_current_since_the_oldest_start_stays() -> None:
    line = [(at(0), 1), (at(10), 2), (at(20), 3), (at(30), 4)]
    assert kept(1, 2, 3, 4, current=4, timelines=(line,), since=at(25)) == [3, 4]
    assert kept(1, 2, 3, 4, current=4, timelines=(line,), since=at(15)) == [2, 3, 4]
    assert kept(1, 2, 3, 4, current=4, timelines=(line,), since=at(35)) == [4]


def test_a_start_in_the_very_moment_of_a_switch_may_have_had_either() -> None:
    line = [(at(0), 1), (at(10), 2), (at(20), 3)]
    assert kept(1, 2, 3, current=3, timelines=(line,), since=at(10)) == [1, 2, 3]


def test_a_return_counts_too() -> None:
    line = [(at(0), 1), (at(10), 2), (at(20), 1), (at(30), 3)]
    assert kept(1, 2, 3, current=3, timelines=(line,), since=at(25)) == [1, 3]


def test_every_witness_is_believed() -> None:
    history = [(at(0), 1), (at(20), 3)]
    uses = [(at(10), 2)]
    assert kept(1, 2, 3, current=3, timelines=(history, uses), since=at(15)) == [1, 2, 3]


def test_when_nobody_knows_what_a_holder_started_on_everything_stays() -> None:
    line = [(at(10), 2), (at(20), 3)]
    assert kept(1, 2, 3, current=3, timelines=(line,), since=at(5)) == [1, 2, 3]
    assert kept(1, 2, 3, current=3, timelines=([],), since=at(5)) == [1, 2, 3]


def test_after_the_clock_was_set_back_the_order_of_the_history_counts() -> None:
    # Generation 2 came at what the clock then called 12:30; a holder started on it at "12:05".
    line = [(at(0), 1), (at(30), 2), (at(10), 3)]
    assert kept(1, 2, 3, current=3, timelines=(line,), since=at(5)) == [1, 2, 3]


def test_numbers_that_are_gone_are_not_kept() -> None:
    line = [(at(0), 1), (at(10), 2)]
    assert kept(2, 3, current=3, timelines=(line,), since=at(5)) == [2, 3]
    assert kept(2, 3, current=7) == []


def test_the_timeline_names_what_was_before_and_what_came() -> None:
    events = [
        Event(time="2026-03-04T12:00:00Z", kind="sync", generation=1),
        Event(time="2026-03-04T12:10:00Z", kind="failure", generation=1),
        Event(time="2026-03-04T12:20:00Z", kind="rollback", generation=3, previous=2),
        Event(time="2026-03-04T12:30:00Z", kind="removal", generation=9),
    ]
    assert retention.timeline(events) == [(at(0), 1), (at(10), 1), (at(20), 2), (at(20), 3)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-04T12:00:00.123456789Z", NOON.replace(microsecond=123456)),
        ("2026-03-04T13:00:00+01:00", NOON),
        ("2026-03-04T12:00:00", NOON),
        ("", datetime.min.replace(tzinfo=UTC)),
        ("yesterday", datetime.min.replace(tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime.min.replace(tzinfo=UTC)),
    ],
)
def test_a_time_is_read_as_the_engine_and_the_history_write_it(
    text: str, expected: datetime
) -> None:
    assert retention.moment(text) == expected


HAD = {"a": at(0), "b": at(10), "c": at(20)}


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("all", "abc"),
        ("0", ""),
        ("1", "c"),
        ("2", "bc"),
        ("9", "abc"),
        ("15m", "bc"),
        ("1s", ""),
        ("99999999d", "abc"),
    ],
)
def test_snapshots_stay_as_their_label_says(label: str, expected: str) -> None:
    parsed = SnapshotRetention.parse(label)
    assert parsed is not None
    assert "".join(sorted(retention.snapshots(HAD, parsed, now=at(21)))) == expected
