"""Going back on the real engine, and that nothing undoes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from venvctl import changeover
from venvctl.errors import UsageError
from venvctl.plan import Action
from venvctl.restore import restore
from venvctl.rollback import rollback
from venvctl.sync import SyncOptions
from world import wait_for

if TYPE_CHECKING:
    from engine_fixtures import Unique
    from world import World

pytestmark = pytest.mark.engine


def test_the_generation_before_becomes_current_and_the_holder_serves_it(
    world: World, unique: Unique
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    web = world.start(unique("web"))
    world.wait_for_line(web, "start 1.0 1")
    world.write_lock(world.wheel("alpha", "2.0"))
    left = world.sync()
    world.wait_for_line(web, "start 2.0 2")

    result = rollback(world.name, world.root, to=None, progress=world.progress)

    assert (result.generation, result.previous, result.held) == (1, 2, left.key)
    assert result.changes == ("alpha 2.0 → 1.0",)
    assert [step.name for step in result.steps] == [world.container(web).name]
    wait_for(lambda: world.said(web) == ["start 1.0 1", "start 2.0 2", "start 1.0 1"], "the return")


@pytest.mark.parametrize("to", [1, None])
@pytest.mark.parametrize("told", [False, True])
def test_one_that_was_killed_after_its_switch_goes_on_when_it_is_asked_for_again(
    world: World, unique: Unique, monkeypatch: pytest.MonkeyPatch, *, to: int | None, told: bool
) -> None:
    world.write_lock(world.wheel("alpha", "0.9"))
    world.sync()
    web = world.start(unique("web"))
    for version in ("1.0", "2.0"):
        world.write_lock(world.wheel("alpha", version))
        left = world.sync()
    world.wait_for_line(web, "start 2.0 3")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):  # noqa: PT012 - once
        patch.setattr(changeover, "finish" if told else "note_current", die)
        rollback(world.name, world.root, to=2, progress=world.progress)

    result = rollback(world.name, world.root, to=to and 2, progress=world.progress)

    assert (result.generation, result.previous, result.held) == (2, 3, left.key)
    assert result.changes == ("alpha 2.0 → 1.0",)
    world.wait_for_line(web, "start 1.0 2")
    kinds = [event.kind for event in world.environment.history() if event.kind != "rollout"]
    assert kinds == ["sync"] * 3 + ["rollback"]
    with pytest.raises(UsageError, match="is the current one already"):
        rollback(world.name, world.root, to=2, progress=world.progress)


def test_the_key_that_was_left_is_held_until_the_lock_selects_another_or_force(
    world: World,
) -> None:
    one, two, three = (world.wheel("alpha", version) for version in ("1.0", "2.0", "3.0"))
    for wheel in (one, two):
        world.write_lock(wheel)
        world.sync()
    rollback(world.name, world.root, to=None, progress=world.progress)

    assert world.sync().action is Action.NOTHING
    world.write_lock(two, comment="# a comment is no other selection")
    held = world.sync()
    assert (held.action, held.generation) == (Action.HOLD, 1)
    assert held.because.startswith("`venvctl rollback` left generation 2 at 20")

    forced = world.sync(SyncOptions(force=True))
    assert (forced.action, forced.generation) == (Action.REUSE, 2)

    rollback(world.name, world.root, to=None, progress=world.progress)
    world.write_lock(three)
    assert world.sync().generation == 3
    world.write_lock(two)
    assert world.sync().action is Action.REUSE  # the hold ended when another was selected


def test_going_back_twice_goes_further_back(world: World) -> None:
    for version in ("1.0", "2.0", "3.0"):
        world.write_lock(world.wheel("alpha", version))
        world.sync()

    first = rollback(world.name, world.root, to=None, progress=world.progress)
    second = rollback(world.name, world.root, to=None, progress=world.progress)

    assert (first.generation, second.generation) == (2, 1)
    with pytest.raises(UsageError) as caught:
        rollback(world.name, world.root, to=None, progress=world.progress)
    assert caught.value.message == (
        f"Environment {world.name} has no earlier generation than 1 with other files."
    )


def test_one_with_the_same_files_is_nothing_to_go_back_to_unless_it_is_named(world: World) -> None:
    for version in ("1.0", "2.0"):
        world.write_lock(world.wheel("alpha", version))
        world.sync()
    restore(world.name, world.root, snapshot=None, progress=world.progress)

    named = rollback(world.name, world.root, to=2, progress=world.progress)

    assert (named.previous, named.held) == (3, "")
    assert world.environment.state().held == {}
    assert rollback(world.name, world.root, to=None, progress=world.progress).generation == 1


def test_a_number_that_is_not_there_is_an_error_that_names_those_that_are(world: World) -> None:
    for version in ("1.0", "2.0"):
        world.write_lock(world.wheel("alpha", version))
        world.sync()

    with pytest.raises(UsageError) as caught:
        rollback(world.name, world.root, to=7, progress=world.progress)

    assert caught.value.message == f"Environment {world.name} has no generation 7; it has 1, 2."
