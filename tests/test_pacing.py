"""How often one container may be restarted."""

from __future__ import annotations

from venvctl.pacing import LIMIT, WINDOW, pause_before, recent


def test_up_to_the_limit_nobody_waits() -> None:
    assert pause_before([100.0 + number for number in range(LIMIT - 1)], 110.0) == 0.0


def test_at_the_limit_the_oldest_must_leave_the_window_first() -> None:
    restarts = [100.0 + number for number in range(LIMIT)]

    assert pause_before(restarts, 120.0) == WINDOW - 20.0
    assert pause_before(restarts, 100.0 + WINDOW) == 0.0


def test_restarts_from_before_the_window_and_from_a_clock_that_jumped_do_not_count() -> None:
    assert recent([1.0, 90.0, 5000.0], 100.0 + WINDOW / 2) == (90.0,)
    assert pause_before([5000.0] * LIMIT, 100.0) == 0.0
