"""Containers that start while a generation is switched: after the holders were listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from venvctl.environments import Environment
from venvctl.plan import Action
from venvctl.sync import SyncOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine_fixtures import Unique
    from venvctl.environments import Generation
    from world import World

pytestmark = pytest.mark.engine


@pytest.fixture
def before_switch(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Has something happen each time after the holders were listed, and before the switch."""
    switch = Environment.switch

    def arrange(happen: Callable[[], None]) -> None:
        def happen_and_switch(environment: Environment, generation: Generation) -> None:
            happen()
            switch(environment, generation)

        monkeypatch.setattr(Environment, "switch", happen_and_switch)

    return arrange


def starting(world: World, name: str) -> Callable[[], None]:
    """A container that comes onto the first generation."""

    def start() -> None:
        world.start(name)
        world.wait_for_line(name, "start 1.0 1")

    return start


def test_one_that_starts_before_the_switch_is_brought_onto_the_new_generation(
    world: World, unique: Unique, before_switch: Callable[[Callable[[], None]], None]
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()

    before_switch(starting(world, unique("web")))
    world.write_lock(world.wheel("alpha", "2.0"))

    result = world.sync()

    assert [step.name for step in result.steps] == [unique("web")]
    world.wait_for_line(unique("web"), "start 2.0 2")
    assert world.sync().action is Action.NOTHING


def test_one_that_starts_beside_another_holder_is_brought_over_with_it(
    world: World, unique: Unique, before_switch: Callable[[Callable[[], None]], None]
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    world.start(unique("first"))

    before_switch(starting(world, unique("second")))
    world.write_lock(world.wheel("alpha", "2.0"))

    result = world.sync()

    assert [step.name for step in result.steps] == [unique("first"), unique("second")]
    for name in (unique("first"), unique("second")):
        world.wait_for_line(name, "start 2.0 2")


def test_one_that_is_restarted_before_the_switch_is_restarted_after_it(
    world: World, unique: Unique, before_switch: Callable[[Callable[[], None]], None]
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    web = world.start(unique("web"))

    def restart() -> None:
        world.docker("restart", web)

    before_switch(restart)
    world.write_lock(world.wheel("alpha", "2.0"))

    world.sync()

    world.wait_for_line(web, "start 2.0 2")


def test_whoever_comes_next_brings_it_over_where_the_rollout_never_came(
    world: World, unique: Unique, before_switch: Callable[[Callable[[], None]], None]
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()

    before_switch(starting(world, unique("web")))
    world.write_lock(world.wheel("alpha", "2.0"))
    world.sync(SyncOptions(defer_rollout=True))  # as if it had been killed then

    result = world.sync()

    assert result.reasons == ("its last rollout was interrupted",)
    world.wait_for_line(unique("web"), "start 2.0 2")
    assert world.sync().action is Action.NOTHING


def test_no_container_is_looked_for_where_none_is_to_be_restarted(
    world: World, unique: Unique, before_switch: Callable[[Callable[[], None]], None]
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()

    before_switch(starting(world, unique("web")))
    world.write_lock(world.wheel("alpha", "2.0"))

    result = world.sync(SyncOptions(restart=False))

    assert result.steps == ()
    assert world.sync().action is Action.NOTHING
    assert world.said(unique("web")) == ["start 1.0 1"]
