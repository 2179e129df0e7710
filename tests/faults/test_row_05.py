"""FAULTS 5: what arrives cut short, or goes on in the wrong place, never enters the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from index import Fault
from promises import unharmed
from venvctl.errors import UnavailableError

if TYPE_CHECKING:
    from world import World

pytestmark = pytest.mark.engine


@pytest.mark.parametrize(
    "fault",
    [
        Fault(truncate_at=0),
        Fault(truncate_at=701),
        Fault(truncate_at=300, wrong_range=17),
        Fault(truncate_at=300, ignore_range=True),
    ],
    ids=["nothing", "the last part missing", "goes on elsewhere", "starts anew each time"],
)
def test_it_is_asked_for_a_few_times_and_given_up(
    settled: World, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    monkeypatch.setattr("venvctl.fetch.random.uniform", lambda *_: 0.0)
    wheel = settled.wheel("alpha", "2.0")
    settled.write_lock(wheel)
    settled.index.fault(wheel.file, fault)

    with pytest.raises(UnavailableError) as caught:
        settled.sync()

    assert wheel.file in caught.value.message
    assert 1 < len(settled.index.requested(wheel.file)) <= 5
    assert settled.root.store.wheel(wheel.sha256) is None
    assert not unharmed(settled, 1)
    settled.index.heal()
    assert settled.sync().generation == 2
