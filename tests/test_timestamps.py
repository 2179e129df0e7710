"""Times that go on, whatever the clock does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from venvctl import timestamps

if TYPE_CHECKING:
    import pytest


def test_what_comes_after_has_a_later_time_though_the_clock_goes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.25)
    now = "2023-11-14T22:13:20.250000Z"

    assert timestamps.now() == timestamps.after("") == now
    assert timestamps.after("2023-11-14T22:13:20.249999Z") == now
    assert timestamps.after(now) == "2023-11-14T22:13:20.250001Z"
    assert timestamps.after("2033-12-31T23:59:59.999999Z") == "2034-01-01T00:00:00.000000Z"
