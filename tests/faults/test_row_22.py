"""FAULTS 22: an index that answers 429, 5xx, other refusals, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from index import Fault
from promises import unharmed
from venvctl.errors import UnavailableError

if TYPE_CHECKING:
    from world import World

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("status", [429, 502])
def test_it_is_asked_again_and_it_may_say_when(
    settled: World, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    # What is left is what the index asked for.
    monkeypatch.setattr("venvctl.fetch.random.uniform", lambda *_: 0.0)
    wheel = settled.wheel("alpha", "2.0")
    settled.write_lock(wheel)
    fault = Fault(status=status, headers={"Retry-After": "1"}, times=2)
    settled.index.fault(wheel.file, fault)

    assert settled.sync().generation == 2

    assert len(settled.index.requested(wheel.file)) == 3


@pytest.mark.parametrize("status", [403, 404])
def test_other_refusals_are_final(settled: World, status: int) -> None:
    wheel = settled.wheel("alpha", "2.0")
    settled.write_lock(wheel)
    settled.index.fault(wheel.file, Fault(status=status))

    with pytest.raises(UnavailableError, match=str(status)):
        settled.sync()

    assert len(settled.index.requested(wheel.file)) == 1
    assert not unharmed(settled, 1)


def test_nobody_answers_and_the_store_is_enough(settled: World) -> None:
    settled.write_lock(settled.wheel("alpha", "2.0"))
    settled.sync()
    settled.index.fault("/simple/alpha/", Fault(status=503))
    settled.write_lock(settled.wheel("alpha", "1.0"), comment="# as it was")

    assert settled.sync().changes == ("alpha 2.0 → 1.0",)
