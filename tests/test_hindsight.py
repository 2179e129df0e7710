"""What was left on purpose, or was bad, is told by the history alone."""

from __future__ import annotations

import pytest

from venvctl.environments import Event
from venvctl.hindsight import held

TIME = "2026-03-04T05:06:07.000000Z"
A, B, C = "a" * 32, "b" * 32, "c" * 32


def sync(number: int, key: str, previous: int = 0, note: str = "build: new") -> Event:
    return Event(
        time=TIME, kind="sync", generation=number, key=key, previous=previous, notes=(note,)
    )


def other(kind: str, number: int, key: str, previous: int = 0) -> Event:
    return Event(time=TIME, kind=kind, generation=number, key=key, previous=previous)


ROLLED_BACK = f"`venvctl rollback` left generation 2 at {TIME}"


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], {}),
        ([sync(1, A), sync(2, B, 1)], {}),
        ([sync(1, A), sync(2, B, 1), other("rollback", 1, A, 2)], {B: ROLLED_BACK}),
        (
            [sync(1, A), sync(2, B, 1), other("restore", 3, A, 2)],
            {B: ROLLED_BACK.replace("rollback", "restore")},
        ),
        ([sync(1, A), other("restore", 2, A, 1)], {}),
        # A sync that holds it says why, in the words of the state; one that goes on lets go of it.
        (
            [
                *(sync(1, A), sync(2, B, 1), other("rollback", 1, A, 2)),
                sync(1, B, 1, "hold: it was left"),
            ],
            {B: ROLLED_BACK},
        ),
        ([sync(1, A), sync(1, B, 1, "hold: it was left")], {B: "it was left"}),
        ([sync(1, A), sync(2, B, 1), other("rollback", 1, A, 2), sync(3, C, 1)], {}),
        (
            [sync(1, A), sync(2, B, 1), other("rollback", 1, A, 2), other("rollback", 2, B, 1)],
            {A: f"`venvctl rollback` left generation 1 at {TIME}"},
        ),
        (
            [sync(1, A), sync(2, B, 1), other("rollout-rolled-back", 1, A)],
            {B: f"its generation was bad at {TIME}"},
        ),
        (
            [sync(1, A), sync(2, B, 1), other("switch", 1, A, 2)],
            {B: f"its generation was bad at {TIME}"},
        ),
        ([sync(1, A), sync(2, B, 1), other("rollout-failed", 2, B)], {}),
    ],
)
def test_what_is_held(events: list[Event], expected: dict[str, str]) -> None:
    assert held(events) == expected
