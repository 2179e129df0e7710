"""Rollouts on the real engine: the good ones, the bad ones, and the way back by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from venvctl import delivery
from venvctl.errors import EngineUnreachableError, RolloutFailedError, RolloutStuckError
from venvctl.plan import Action
from venvctl.status import status
from venvctl.sync import SyncOptions
from wheelhouse import BuiltWheel, make_wheel
from world import SERVER

if TYPE_CHECKING:
    from engine_fixtures import Unique
    from world import World

pytestmark = pytest.mark.engine

_QUICK = ("--label", "venvctl.grace=1s")
_HEALTH = (
    "--label", "venvctl.grace=1s", "--label", "venvctl.health-timeout=10s",
    "--health-interval", "0.3s", "--health-retries", "2",
    "--health-cmd", "/venv/bin/python -c 'import alpha; alpha.check()'",
)  # fmt: skip
_SICK_AFTER_A_SECOND = """
import os, time
BORN = os.stat("/proc/1").st_ctime
def check():
    if time.time() - BORN > 1.0:
        raise SystemExit(1)
"""


def _version(world: World, version: str, code: str) -> BuiltWheel:
    """An alpha whose package does something at its import, or has a `check`."""
    made = make_wheel(
        world.folder,
        "alpha",
        version,
        files={
            "alpha/__init__.py": f"VERSION = {version!r}\n{code}\n",
            "alpha/late.py": f"VERSION = {version!r}\n",
        },
    )
    world.index.add(made.path)
    return made


def _start_on_good(world: World, name: str, *arguments: str) -> str:
    container = world.start(name, *arguments)
    world.wait_for_line(container, "start 1.0 1")
    return container


def _sync_good(world: World) -> BuiltWheel:
    good = _version(world, "1.0", "def check(): pass")
    world.write_lock(good)
    world.sync()
    return good


@pytest.mark.parametrize("restart", ["no", "always"])
def test_a_package_that_fails_at_import_is_gone_back_from(
    world: World, unique: Unique, restart: str
) -> None:
    _sync_good(world)
    web = _start_on_good(world, unique("web"), "--restart", restart, *_QUICK)
    world.write_lock(_version(world, "2.0", "raise ImportError('no such luck')"))

    with pytest.raises(RolloutFailedError) as caught:
        world.sync()

    name = world.container(web).name
    assert caught.value.message.startswith(
        f"The new generation of {world.name} was bad ({name}: it ended"
    )
    assert "exit code 0" not in caught.value.message
    assert f"generation 1 is current again, and {name} went back to it." in caught.value.message
    assert "ImportError: no such luck" in caught.value.message
    assert world.container(web).running
    assert world.said(web)[-1] == "start 1.0 1"
    told = status(world.registration, world.root)
    assert [(each.generation, each.current) for each in told.holders] == [(1, True)]
    assert told.current_since


def test_a_bad_key_is_not_tried_again_until_the_lock_selects_another_or_force(
    world: World, unique: Unique
) -> None:
    _sync_good(world)
    web = _start_on_good(world, unique("web"), *_QUICK)
    bad = _version(world, "2.0", "raise SystemExit(3)")
    world.write_lock(bad)
    with pytest.raises(RolloutFailedError):
        world.sync()
    started = world.container(web).started_at

    assert world.sync().action is Action.NOTHING
    world.write_lock(bad, comment="# nothing else")
    held = world.sync()

    assert (held.action, held.generation) == (Action.HOLD, 1)
    assert held.because.startswith(f"generation 2 was bad: {world.container(web).name}: ")
    assert world.container(web).started_at == started
    with pytest.raises(RolloutFailedError):
        world.sync(SyncOptions(force=True))
    world.write_lock(_version(world, "3.0", "def check(): pass"))
    assert world.sync().generation == 3
    world.wait_for_line(web, "start 3.0 3")


@pytest.mark.parametrize(
    ("code", "because"),
    [
        ("def check(): raise SystemExit(1)", "its healthcheck says unhealthy"),
        (
            # good at first: the healthcheck fails when the container has run for a second
            _SICK_AFTER_A_SECOND,
            "its healthcheck says unhealthy",
        ),
    ],
)
def test_a_healthcheck_that_fails_sooner_or_later_is_gone_back_from(
    world: World, unique: Unique, code: str, because: str
) -> None:
    _sync_good(world)
    web = _start_on_good(world, unique("web"), *_HEALTH)
    world.write_lock(_version(world, "2.0", code))

    with pytest.raises(RolloutFailedError) as caught:
        world.sync()

    assert f"({world.container(web).name}: {because})" in caught.value.message
    assert world.said(web)[-1] == "start 1.0 1"
    assert world.container(web).health == "healthy"


def test_one_that_started_on_the_bad_generation_goes_back_too(
    world: World, unique: Unique, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sync_good(world)
    web = _start_on_good(world, unique("web"), *_HEALTH)
    world.write_lock(_version(world, "2.0", "def check(): raise SystemExit(1)"))
    begin = delivery._begin_to_go_back

    def start_and_begin(*arguments: Any) -> None:
        world.start(unique("late"), *_QUICK)
        world.wait_for_line(unique("late"), "start 2.0 2")
        begin(*arguments)

    monkeypatch.setattr(delivery, "_begin_to_go_back", start_and_begin)

    with pytest.raises(RolloutFailedError):
        world.sync()

    for name in (web, unique("late")):
        assert world.said(name)[-1] == "start 1.0 1"
        assert world.container(name).running


def test_one_that_hangs_at_its_start_is_gone_back_from_after_the_health_timeout(
    world: World, unique: Unique
) -> None:
    _sync_good(world)
    web = world.start(
        unique("web"), "--label", "venvctl.health-timeout=3s", "--stop-timeout", "1",
        "--health-interval", "0.3s", "--health-retries", "1000", "--health-cmd", "test -e /tmp/up",
        code="import os\nif os.path.exists('/tmp/up'): os.unlink('/tmp/up')\n"
        + SERVER.replace("import alpha\n", "import alpha\nopen('/tmp/up', 'w').close()\n"),
    )  # fmt: skip
    world.wait_for_line(web, "start 1.0 1")
    hang = "import os, time\nif os.getpid() == 1: time.sleep(600)"
    world.write_lock(_version(world, "2.0", hang))

    with pytest.raises(RolloutFailedError) as caught:
        world.sync()

    assert "it was not healthy within 3 seconds" in caught.value.message
    assert world.said(web) == ["start 1.0 1", "start 1.0 1"]


def test_one_replica_at_a_time_and_the_next_only_when_the_one_before_is_well(
    world: World, unique: Unique
) -> None:
    _sync_good(world)
    replicas = [_start_on_good(world, unique(f"web-{n}"), *_HEALTH) for n in (1, 2, 3)]
    world.write_lock(_version(world, "2.0", "def check(): pass"))

    result = world.sync()

    assert [step.name.rpartition("-")[2] for step in result.steps] == ["1", "2", "3"]
    times = [world.container(replica).started_at for replica in replicas]
    assert times == sorted(times)
    for replica in replicas:
        world.wait_for_line(replica, "start 2.0 2")


def test_what_works_in_the_canary_and_fails_in_the_second_is_gone_back_from_in_both(
    world: World, unique: Unique
) -> None:
    _sync_good(world)
    canary = _start_on_good(world, unique("web-1"), *_QUICK)
    second = _start_on_good(world, unique("web-2"), "--env", "FAIL=1", *_QUICK)
    untouched = _start_on_good(world, unique("web-3"), *_QUICK)
    started = world.container(untouched).started_at
    world.write_lock(
        _version(world, "2.0", "import os\nif os.environ.get('FAIL'): raise SystemExit(3)")
    )

    with pytest.raises(RolloutFailedError) as caught:
        world.sync()

    names = [world.container(each).name for each in (second, canary)]
    assert f"generation 1 is current again, and {', '.join(names)} went back to it." in (
        caught.value.message
    )
    assert world.said(canary) == ["start 1.0 1", "start 2.0 2", "start 1.0 1"]
    assert world.said(second) == ["start 1.0 1", "start 1.0 1"]
    assert world.container(untouched).started_at == started


def test_when_going_back_fails_too_it_says_failed_and_keeps_its_hands_off(
    world: World, unique: Unique
) -> None:
    _sync_good(world)
    code = "import os, sys\nif os.path.exists('/tmp/broken'): sys.exit(7)\nimport alpha\n"
    code += "print('start', alpha.VERSION, '1', flush=True)\nimport signal\n"
    code += "signal.signal(15, lambda *_: os._exit(0)); signal.pause()"
    web = world.start(unique("web"), *_QUICK, code=code)
    world.wait_for_line(web, "start 1.0 1")
    world.docker("exec", web, "touch", "/tmp/broken")  # noqa: S108 - in the container
    world.write_lock(_version(world, "2.0", ""))

    with pytest.raises(RolloutStuckError) as caught:
        world.sync()

    name = world.container(web).name
    assert caught.value.message == (
        f"FAILED: the new generation of {world.name} was bad ({name}: it ended with exit code 7), "
        f"and going back to generation 1 failed too ({name}: it ended with exit code 7). "
        "The end of its log:\nstart 1.0 1"
    )
    current = world.environment.current()
    assert current is not None
    assert current.number == 1
    assert not world.environment.state().pending
    assert world.environment.state().error == caught.value.message


def test_a_container_that_its_user_stops_in_the_middle_stays_stopped_and_is_no_bad_sign(
    world: World, unique: Unique
) -> None:
    _sync_good(world)
    web = _start_on_good(world, unique("web"), "--label", "venvctl.grace=4s")
    # The package stops nothing: the user does, as soon as the new generation runs.
    world.write_lock(_version(world, "2.0", "def check(): pass"))
    world.sync(SyncOptions(defer_rollout=True))
    world.docker("restart", web)
    world.docker("stop", web)

    result = world.sync()

    assert result.action is Action.KEEP
    assert world.container(web).state == "exited"
    assert result.generation == 2


def test_an_engine_that_dies_between_its_stop_and_its_start_leaves_nobody_down(
    world: World, unique: Unique, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sync_good(world)
    web = _start_on_good(world, unique("web"))
    world.write_lock(_version(world, "2.0", "def check(): pass"))
    engine = world.root.engine

    def die(identifier: str) -> None:
        engine.stop(identifier)
        raise EngineUnreachableError("The engine went away.")

    monkeypatch.setattr(engine, "restart", die)
    with pytest.raises(EngineUnreachableError):
        world.sync()
    monkeypatch.undo()
    assert world.container(web).state == "exited"

    world.sync()

    assert world.said(web) == ["start 1.0 1", "start 2.0 2"]
    assert world.container(web).running
    assert world.sync().action is Action.NOTHING


def test_a_way_back_that_was_interrupted_is_finished_by_whoever_comes_next(
    world: World, unique: Unique, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sync_good(world)
    web = _start_on_good(world, unique("web"), *_QUICK)
    world.write_lock(_version(world, "2.0", "raise SystemExit(3)"))

    class KilledError(BaseException):
        pass

    def die(*_: object) -> None:
        raise KilledError

    monkeypatch.setattr("venvctl.environments.Environment.switch", _switch_once_then(die))
    with pytest.raises(KilledError):
        world.sync()
    monkeypatch.undo()
    assert world.environment.state().back_to == 1

    with pytest.raises(RolloutFailedError):
        world.sync()

    assert world.container(web).running
    assert world.said(web)[-1] == "start 1.0 1"
    assert world.sync().action is Action.NOTHING


def _switch_once_then(die: object) -> object:
    """The real switch the first time, then death: as a kill between decision and switch."""
    from venvctl.environments import Environment, Generation  # noqa: PLC0415 - the real one

    real = Environment.switch
    calls: list[Generation] = []

    def switch(self: Environment, generation: Generation) -> None:
        calls.append(generation)
        if len(calls) > 1:
            assert callable(die)
            die()
        real(self, generation)

    return switch
