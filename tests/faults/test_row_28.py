"""FAULTS 28: the clock jumps, and a storm of changes."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

import pytest

from promises import unharmed
from venvctl import pacing
from venvctl.collection import collect
from venvctl.plan import Action
from venvctl.rollback import rollback
from venvctl.sync import SyncOptions

if TYPE_CHECKING:
    from engine_fixtures import Unique
    from world import World

pytestmark = pytest.mark.engine
_DAY = 86_400.0


@pytest.mark.parametrize("days", [-1, 3650])
def test_the_wall_clock_jumps_between_a_switch_and_what_follows(
    settled: World, unique: Unique, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    web = settled.start(unique("web"))
    settled.wait_for_line(web, "start 1.0 1")
    settled.write_lock(settled.wheel("alpha", "2.0"))
    settled.sync(SyncOptions(defer_rollout=True))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + days * _DAY)

    assert settled.sync().steps[0].outcome == "done"
    settled.wait_for_line(web, "start 2.0 2")
    assert settled.sync().action is Action.NOTHING
    assert rollback(settled.name, settled.root, to=None, progress=settled.progress).generation == 1
    settled.wait_for_line(web, "start 1.0 1")
    assert not collect(settled.root, dry_run=True, progress=settled.progress).generations
    assert not unharmed(settled, 1)


def test_restarts_of_the_future_hold_nobody_up(settled: World, unique: Unique) -> None:
    web = settled.start(unique("web"))
    settled.wait_for_line(web, "start 1.0 1")
    state = settled.environment.state()
    ahead = tuple(time.time() + _DAY + number for number in range(pacing.LIMIT))
    settled.environment.save_state(dataclasses.replace(state, restarts={web: ahead}))
    settled.write_lock(settled.wheel("alpha", "2.0"))

    settled.sync()

    settled.wait_for_line(web, "start 2.0 2")
    assert not [line for line in settled.progress.warnings if "restarted" in line]
