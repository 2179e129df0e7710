"""FAULTS 26: what somebody did to a container before a rollout reached it stays done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from venvctl.sync import SyncOptions

if TYPE_CHECKING:
    from engine_fixtures import Unique
    from world import World

pytestmark = pytest.mark.engine


@pytest.mark.parametrize(
    ("deed", "state", "note"),
    [
        (("stop",), "exited", "it is exited"),
        (("kill",), "exited", "it is exited"),
        (("pause",), "paused", "it is paused"),
        (("rm", "--force"), "", ""),
    ],
)
def test_it_is_left_as_its_user_wants_it_and_the_others_go_on(
    world: World, unique: Unique, deed: tuple[str, ...], state: str, note: str
) -> None:
    world.labels = {"venvctl.bytecode": "off"}
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    touched, other = world.start(unique("a")), world.start(unique("b"))
    for holder in (touched, other):
        world.wait_for_line(holder, "start 1.0 1")
    world.write_lock(world.wheel("alpha", "2.0"))
    world.sync(SyncOptions(defer_rollout=True))
    world.docker(*deed, touched)

    result = world.sync()

    found = world.root.engine.container(touched)
    assert (found.state if found else "") == state
    notes = [step.because for step in result.steps if step.name.endswith("-a")]
    assert notes == ([note] if note else [])
    world.wait_for_line(other, "start 2.0 2")
    assert not world.environment.state().pending
