"""FAULTS 27: a generation that crash-loops is left again once; going back that fails is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from promises import broken_at_rest, left_over
from venvctl.errors import RolloutFailedError, RolloutStuckError
from venvctl.plan import Action
from venvctl.sync import SyncOptions
from wheelhouse import make_wheel
from world import SERVER

if TYPE_CHECKING:
    from engine_fixtures import Unique
    from world import World

pytestmark = pytest.mark.engine


def _bad(world: World, text: str) -> None:
    wheel = make_wheel(world.folder, "alpha", "6.6", files={"alpha/__init__.py": text})
    world.index.add(wheel.path)
    world.write_lock(wheel)


@pytest.mark.parametrize("text", ["import os\nos.abort()\n", "raise SystemExit(1)\n"])
def test_back_once_and_not_tried_again(settled: World, unique: Unique, text: str) -> None:
    web = settled.start(unique("web"), "--restart", "on-failure", "--label", "venvctl.grace=4s")
    settled.wait_for_line(web, "start 1.0 1")
    _bad(settled, text)

    with pytest.raises(RolloutFailedError) as caught:
        settled.sync()

    assert settled.container(web).name in caught.value.message
    settled.wait_for_line(web, "start 1.0 1")
    assert settled.sync().action in {Action.HOLD, Action.NOTHING}
    assert not broken_at_rest(settled, (1,))
    assert settled.container(web).running
    started = settled.container(web).started_at
    settled.lock.write_text(settled.lock.read_text() + "# a comment\n")
    assert settled.sync().action is Action.HOLD
    assert settled.container(web).started_at == started
    with pytest.raises(RolloutFailedError):
        settled.sync(SyncOptions(force=True))
    settled.write_lock(settled.wheel("alpha", "7.0"))
    assert settled.sync().changes == ("alpha 1.0 → 7.0",)
    settled.wait_for_line(web, "start 7.0 3")
    assert not left_over(settled)


def test_going_back_that_fails_too_keeps_its_hands_off(settled: World, unique: Unique) -> None:
    # It starts once and never again, whatever the generation.
    code = "import os\nif os.path.exists('/tmp/seen'): raise SystemExit(9)\n"
    code += "open('/tmp/seen', 'w')\n"
    web = settled.start(unique("web"), "--label", "venvctl.grace=4s", code=code + SERVER)
    settled.wait_for_line(web, "start 1.0 1")
    settled.write_lock(settled.wheel("alpha", "2.0"))

    with pytest.raises(RolloutStuckError, match=r"^FAILED: "):
        settled.sync()

    started = settled.container(web).started_at
    for _ in range(2):
        assert settled.sync().action in {Action.HOLD, Action.NOTHING}
    assert settled.container(web).started_at == started
    assert not broken_at_rest(settled, (1,))
    assert not left_over(settled)
