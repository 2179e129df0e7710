"""Containers that the engine does not start again: which of it the generation is to blame for."""

from __future__ import annotations

import shutil
import socket
from typing import TYPE_CHECKING, Any

import pytest

from venvctl.errors import EngineError, RolloutFailedError, RolloutStuckError, RolloutWaitsError
from venvctl.plan import Action
from venvctl.restore import restore
from venvctl.rollback import rollback
from venvctl.sync import SyncOptions
from wheelhouse import make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine_fixtures import Unique
    from wheelhouse import BuiltWheel
    from world import World

pytestmark = pytest.mark.engine


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def squat(
    world: World, unique: Unique, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Callable[[], None]]:
    """Has another container take the port of one, in the moment in which that is stopped."""

    def arrange(container: str) -> Callable[[], None]:
        address = world.docker("port", container, "80/tcp")
        real = world.root.engine.restart

        def restart(identifier: str) -> None:
            if identifier == container:
                monkeypatch.undo()
                world.docker("stop", "--time", "1", container)
                world.docker(
                    "run", "--detach", "--name", unique("squatter"),
                    "--publish", f"{address}:80", world.image, "sleep", "600",
                )  # fmt: skip
            real(identifier)

        monkeypatch.setattr(world.root.engine, "restart", restart)
        return lambda: world.docker("rm", "--force", unique("squatter"))  # type: ignore[return-value]

    return arrange


def published(world: World, name: str, *arguments: str) -> str:
    publish = ("--publish", f"127.0.0.1:{free_port()}:80")
    container = world.start(name, *publish, *arguments)
    world.wait_for_line(container, "start 1.0 1")
    return container


def with_command(world: World, version: str, command: str) -> BuiltWheel:
    """An alpha with a command of that name, which runs until it is killed."""
    made = make_wheel(
        world.folder,
        "alpha",
        version,
        files={"alpha/__init__.py": "import time\ndef main(): time.sleep(600)\n"},
        entry_points=f"[console_scripts]\n{command} = alpha:main\n",
    )
    world.index.add(made.path)
    return made


def start_command(world: World, name: str, *arguments: str) -> str:
    """A container that is started with that command."""
    world.write_lock(with_command(world, "1.0", "serve"))
    world.sync()
    return world.docker(
        "run", "--detach", "--name", name, "--volume", f"{world.name}:/venv",
        "--label", "venvctl.grace=0.3s", "--stop-timeout", "1", *arguments,
        world.image, "/venv/bin/serve",
    )  # fmt: skip


def test_a_port_that_is_taken_is_no_bad_generation_and_the_rollout_goes_on_when_it_is_free(
    world: World, unique: Unique, squat: Callable[[str], Callable[[], None]]
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    web = published(world, unique("web-1"))
    other = world.start(unique("web-2"))
    world.wait_for_line(other, "start 1.0 1")
    leave = squat(web)
    world.write_lock(world.wheel("alpha", "2.0"))

    with pytest.raises(RolloutWaitsError) as caught:
        world.sync()

    name = world.container(web).name
    assert caught.value.message.startswith(
        f"A container of {world.name} is not on its current generation yet. The Docker Engine "
        f"refused to restart the container {name}: "
    )
    assert caught.value.message.endswith("failed: port is already allocated.")
    assert caught.value.hint == (
        "No package is to blame for that. Mend it; the daemon then goes on by itself, and so does "
        f"`venvctl sync {world.name}`."
    )
    state = world.environment.state()
    assert state.held == {}
    assert set(state.pending) == {web, other}
    assert state.error == caught.value.message
    current = world.environment.current()
    assert current is not None
    assert current.number == 2
    # Still down, and the other was not stopped to meet the same.
    with pytest.raises(RolloutWaitsError):
        world.sync()
    assert world.said(other) == ["start 1.0 1"]
    kinds = [event.kind for event in world.environment.history()]
    assert kinds.count("failure") == 1  # however long it lasts

    leave()
    result = world.sync()

    assert result.reasons == ("its last rollout was interrupted",)
    for each in (web, other):
        world.wait_for_line(each, "start 2.0 2")
        assert world.said(each) == ["start 1.0 1", "start 2.0 2"]
    assert world.sync().action is Action.NOTHING


def test_a_port_that_is_taken_on_the_way_back_is_waited_for_too(
    world: World, unique: Unique, squat: Callable[[str], Callable[[], None]]
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    web = published(world, unique("web"))
    world.write_lock(world.wheel("alpha", "2.0"))
    world.sync()
    world.wait_for_line(web, "start 2.0 2")
    leave = squat(web)

    with pytest.raises(RolloutWaitsError):
        rollback(world.name, world.root, to=1, progress=world.progress)

    assert world.container(web).state == "exited"
    leave()
    result = world.sync()
    assert (result.action, result.generation) == (Action.HOLD, 1)
    world.wait_for_line(web, "start 1.0 1")
    assert world.said(web)[-1] == "start 1.0 1"


def test_an_engine_in_trouble_is_no_bad_generation_either(
    world: World, unique: Unique, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    web = world.start(unique("web"))
    world.wait_for_line(web, "start 1.0 1")
    world.write_lock(world.wheel("alpha", "2.0"))

    def restart(identifier: str) -> None:
        raise EngineError(f"The Docker Engine refused to restart {identifier}: context canceled.")

    with monkeypatch.context() as patch:
        patch.setattr(world.root.engine, "restart", restart)
        with pytest.raises(RolloutWaitsError):
            world.sync()
    assert world.said(web) == ["start 1.0 1"]

    world.sync()

    world.wait_for_line(web, "start 2.0 2")
    assert world.said(web) == ["start 1.0 1", "start 2.0 2"]


@pytest.mark.parametrize("restart", ["no", "always"])
def test_a_program_that_the_generation_has_no_more_is_gone_back_from(
    world: World, unique: Unique, restart: str
) -> None:
    web = start_command(world, unique("web"), "--restart", restart)
    world.write_lock(with_command(world, "2.0", "other"))

    with pytest.raises(RolloutFailedError) as caught:
        world.sync()

    name = world.container(web).name
    assert f"generation 1 is current again, and {name} went back to it." in caught.value.message
    assert 'exec: "/venv/bin/serve"' in caught.value.message
    assert world.container(web).running
    assert world.sync().action is Action.NOTHING


def test_the_same_is_found_by_whoever_comes_after_an_engine_that_died(
    world: World, unique: Unique, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = start_command(world, unique("web"))
    world.write_lock(with_command(world, "2.0", "other"))
    engine = world.root.engine

    def die(identifier: str) -> None:
        engine.stop(identifier)
        raise EngineError("The Docker Engine is shutting down.")

    with monkeypatch.context() as patch:
        patch.setattr(engine, "restart", die)
        with pytest.raises(RolloutWaitsError):
            world.sync()
    assert world.container(web).state == "exited"

    with pytest.raises(RolloutFailedError):
        world.sync()

    assert world.container(web).running
    assert world.environment.state().held


def test_where_there_is_nothing_to_go_back_to_it_says_failed_and_keeps_its_hands_off(
    world: World, unique: Unique
) -> None:
    web = start_command(world, unique("web"))
    world.write_lock(with_command(world, "2.0", "other"))
    world.sync(SyncOptions(restart=False))
    shutil.rmtree(world.environment.volume)

    with pytest.raises(RolloutStuckError):
        restore(world.name, world.root, snapshot=None, progress=world.progress)

    assert world.container(web).state == "exited"
    assert world.environment.state().stopped == ()
    assert world.sync().action is not Action.BUILD


def test_one_that_ended_before_it_was_signalled_is_left_alone(
    world: World, unique: Unique, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    label = ("--label", "venvctl.on-change=signal:SIGHUP", "--env", "VENVCTL_PIN=0")
    web = world.start(unique("web"), *label)
    world.write_lock(world.wheel("alpha", "2.0"))
    engine = world.root.engine
    real: Any = engine.signal

    def signal(identifier: str, name: str) -> None:
        world.docker("stop", web)
        real(identifier, name)

    monkeypatch.setattr(engine, "signal", signal)

    result = world.sync()

    assert [(step.outcome, step.because) for step in result.steps] == [
        ("left alone", "it is exited")
    ]
    assert world.sync().action is Action.NOTHING
