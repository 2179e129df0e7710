"""The road of a lockfile on the real engine: what a sync does, and what it leaves alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import uv

from venvctl import delivery, plan
from venvctl.errors import (
    EngineUnreachableError,
    TargetError,
    UnavailableError,
    VenvctlError,
)
from venvctl.plan import Action
from venvctl.status import since
from venvctl.sync import SyncOptions, unchanged

if TYPE_CHECKING:
    from pathlib import Path

    from engine_fixtures import Docker, Unique
    from world import World

pytestmark = pytest.mark.engine


def test_the_first_sync_makes_a_volume_that_containers_can_use_but_not_write(world: World) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))

    result = world.sync()

    assert (result.action, result.generation, result.fetched) == (Action.BUILD, 1, 1)
    assert result.reasons == ("it was never synced",)
    assert result.changes == ("+ alpha 1.0",)
    assert result.volume_created
    prefix = world.python("import sys; print(sys.prefix)")
    assert prefix == f"/venv/.venvctl/generations/1-{result.key}"
    with pytest.raises(AssertionError, match="Read-only file system"):
        world.python("open('/venv/lib/x', 'w')")


def test_a_user_who_is_not_root_can_read_it_whatever_the_umask_was(world: World) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    os.umask(0o077)

    world.sync()

    assert world.python("import alpha.late; print(alpha.late.VERSION)", "--user", "1234") == "1.0"


def test_nothing_changed_means_nothing_done(world: World) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    asked = len(world.index.requests)

    result = world.sync()

    assert (result.action, result.reasons, result.generation) == (Action.NOTHING, (), 1)
    assert len(world.index.requests) == asked


def test_a_comment_makes_no_generation_and_no_restart_and_says_why(
    world: World, unique: Unique
) -> None:
    alpha = world.wheel("alpha", "1.0")
    world.write_lock(alpha)
    world.sync()
    container = world.start(unique("web"))
    started = world.container(container).started_at
    world.write_lock(alpha, comment="# hello")

    result = world.sync()

    assert (result.action, result.generation) == (Action.KEEP, 1)
    assert result.reasons == (f"{world.lock} changed",)
    assert result.because == "it selects the same files for this target"
    assert world.container(container).started_at == started
    assert [generation.number for generation in world.environment.generations()] == [1]
    assert world.sync().action is Action.NOTHING


def test_an_update_restarts_the_running_holder_and_no_other_container(
    world: World, unique: Unique
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    web = world.start(unique("web"))
    stopped = world.start(unique("stopped"))
    world.wait_for_line(web, "start 1.0 1")
    world.docker("stop", stopped)
    stranger = world.docker(
        "run", "-d", "--name", unique("stranger"), world.image, "python3", "-c",
        "import signal; signal.pause()",
    )  # fmt: skip
    one_off = world.start(unique("one-off"), "--label", "com.docker.compose.oneoff=True")
    shell = world.start(unique("shell"), "--tty")
    passing = world.start(unique("passing"), "--rm")
    before = {
        name: world.container(name).started_at for name in (stranger, one_off, shell, passing)
    }
    world.write_lock(world.wheel("alpha", "2.0"))

    result = world.sync()

    assert result.changes == ("alpha 1.0 → 2.0",)
    world.wait_for_line(web, "start 2.0 2")
    assert world.container(stopped).state == "exited"
    assert {name: world.container(name).started_at for name in before} == before
    outcomes = {step.name.rpartition("-")[2]: str(step.outcome) for step in result.steps}
    assert outcomes["web"] == "done"
    assert {outcomes["off"], outcomes["shell"], outcomes["passing"]} == {"left alone"}


def test_a_process_that_started_before_a_switch_never_imports_from_after_it(
    world: World, unique: Unique
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    web = world.start(unique("web"), "--label", "venvctl.on-change=none")
    world.wait_for_line(web, "start 1.0 1")
    world.write_lock(world.wheel("alpha", "2.0"))
    world.sync()

    world.docker("kill", "--signal", "HUP", web)

    world.wait_for_line(web, "late 1.0")


def test_the_other_policies_signal_and_execute(world: World, unique: Unique) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    signalled = world.start(
        unique("signalled"), "--env", "VENVCTL_PIN=0", "--label", "venvctl.on-change=signal:SIGHUP"
    )
    executed = world.start(
        unique("executed"), "--label", "venvctl.on-change=exec:/venv/bin/python -c"
        " 'import alpha; open(\"/tmp/seen\", \"w\").write(alpha.VERSION)'",
    )  # fmt: skip
    world.wait_for_line(signalled, "start 1.0 venv")
    before = world.container(signalled).started_at
    world.write_lock(world.wheel("alpha", "2.0"))

    world.sync()

    # A process that reloads in place is not pinned, so it takes the new generation.
    world.wait_for_line(signalled, "late 2.0")
    assert world.container(signalled).started_at == before
    assert world.docker("exec", executed, "cat", "/tmp/seen") == "2.0"  # noqa: S108 - in a container


def test_what_shares_the_network_of_a_restarted_container_is_restarted_after_it(
    world: World, unique: Unique
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    web = world.start(unique("web"))
    sidecar = world.docker(
        "run", "-d", "--name", unique("a-sidecar"), "--network", f"container:{web}", world.image,
        "python3", "-c", "import signal; signal.signal(15, lambda *_: exit(0)); signal.pause()",
    )  # fmt: skip
    world.write_lock(world.wheel("alpha", "2.0"))

    result = world.sync()

    assert [step.name.rpartition("-")[2] for step in result.steps] == ["web", "sidecar"]
    assert world.container(sidecar).started_at > world.container(web).started_at
    assert world.container(sidecar).running


def test_services_with_different_interpreters_are_an_error_that_shows_the_difference(
    world: World, image_313: str
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.images = {"web": world.image, "worker": image_313}

    with pytest.raises(TargetError) as caught:
        world.sync()

    assert caught.value.message == (
        f"Services web and worker share the environment {world.name}, and their interpreters "
        f"differ: version {_version(world, world.image)} and {_version(world, image_313)}."
    )
    assert not world.environment.generations()


def test_no_switch_under_a_container_that_runs_another_interpreter(
    world: World, image_313: str, unique: Unique
) -> None:
    alpha = world.wheel("alpha", "1.0")
    world.write_lock(alpha)
    world.sync()
    web = world.start(unique("web"))
    world.wait_for_line(web, "start 1.0 1")
    old, world.image = world.image, image_313

    with pytest.raises(TargetError) as caught:
        world.sync()

    name = world.container(web).name
    versions = f"{_version(world, old)} and {_version(world, image_313)}"
    assert caught.value.message == (
        f"Environment {world.name} was not switched: the generation is for another interpreter "
        f"than what runs in {name} (version {versions})."
    )
    current = world.environment.current()
    assert current is not None
    assert current.number == 1
    world.docker("rm", "--force", web)
    assert world.sync().action is Action.REUSE
    assert world.python("import sys, alpha; print(sys.version_info[1])") == "13"


def test_a_file_that_only_the_store_has_is_enough(world: World) -> None:
    one, two = world.wheel("alpha", "1.0"), world.wheel("alpha", "2.0")
    for wheel in (one, two):
        world.write_lock(wheel)
        world.sync()
    world.index.remove(one.file)
    for generation in world.environment.generations()[:-1]:
        world.environment.remove_generation(generation)
    world.write_lock(one)

    result = world.sync(SyncOptions(offline=True))

    assert (result.action, result.generation, result.fetched) == (Action.BUILD, 3, 0)


def test_files_that_nobody_has_are_all_named_and_nothing_changes(
    world: World, unique: Unique
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    web = world.start(unique("web"))
    started = world.container(web).started_at
    lost = [world.wheel("alpha", "2.0"), world.wheel("beta", "1.0")]
    world.write_lock(*lost)
    for wheel in lost:
        world.index.remove(wheel.file)

    with pytest.raises(UnavailableError) as caught:
        world.sync()

    assert "alpha" in caught.value.message
    assert "beta" in caught.value.message
    assert [generation.number for generation in world.environment.generations()] == [1]
    assert world.container(web).started_at == started
    assert world.environment.state().error == caught.value.message


def test_a_dry_run_names_every_reason_and_does_nothing(world: World) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    world.write_lock(world.wheel("alpha", "2.0"), world.wheel("beta", "1.0"))
    world.labels = {"venvctl.bytecode": "off"}

    result = world.sync(SyncOptions(dry_run=True))

    assert result.reasons == (
        "the label venvctl.bytecode changed from ahead to off",
        f"{world.lock} changed",
    )
    assert result.changes == ("alpha 1.0 → 2.0", "+ beta 1.0")
    assert result.missing == ("alpha-2.0-py3-none-any.whl", "beta-1.0-py3-none-any.whl")
    assert [generation.number for generation in world.environment.generations()] == [1]
    assert world.sync(SyncOptions(dry_run=True)) == result


def test_no_restart_leaves_the_holders_and_a_later_sync_has_nothing_to_do(
    world: World, unique: Unique
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    web = world.start(unique("web"))
    started = world.container(web).started_at
    world.write_lock(world.wheel("alpha", "2.0"))

    result = world.sync(SyncOptions(restart=False))

    assert (result.generation, result.steps) == (2, ())
    assert world.container(web).started_at == started
    assert world.sync().action is Action.NOTHING


def test_an_interrupted_rollout_is_taken_up_without_restarting_anything_twice(
    world: World, unique: Unique
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    first, second = world.start(unique("first")), world.start(unique("second"))
    world.write_lock(world.wheel("alpha", "2.0"))
    # As if it had been killed after the switch, when the first one was restarted already.
    world.sync(SyncOptions(defer_rollout=True))
    world.docker("restart", first)
    started = world.container(first).started_at

    result = world.sync()

    assert result.reasons == ("its last rollout was interrupted",)
    assert world.container(first).started_at == started
    world.wait_for_line(second, "start 2.0 2")
    assert world.sync().action is Action.NOTHING


def test_a_volume_removed_by_hand_is_made_again_and_nothing_is_fetched(
    world: World, docker: Docker
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    docker("volume", "rm", world.name)
    asked = len(world.index.requests)

    result = world.sync()

    assert result.reasons == (f"the volume {world.name} is missing",)
    assert (result.action, result.volume_created) == (Action.KEEP, True)
    assert len(world.index.requests) == asked
    assert world.python("import alpha; print(alpha.VERSION)") == "1.0"


def test_a_lost_state_is_no_lost_volume(world: World, unique: Unique) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    web = world.start(unique("web"))
    started = world.container(web).started_at
    (world.environment.directory / "state.json").write_text("{}")

    result = world.sync()

    assert (result.action, result.reasons) == (Action.KEEP, ("it was never synced",))
    assert world.container(web).started_at == started
    assert world.sync().action is Action.NOTHING


def test_an_interrupted_rollout_is_not_taken_up_in_a_container_of_another_interpreter(
    world: World, image_313: str, unique: Unique
) -> None:
    alpha = world.wheel("alpha", "1.0")
    world.write_lock(alpha)
    world.sync()
    web = world.start(unique("web"), "--label", "com.docker.compose.service=web")
    started = world.container(web).started_at
    world.image = image_313
    # As `venvctl up` leaves it whose compose could not recreate the container.
    world.sync(SyncOptions(defer_rollout=True, recreated=frozenset({"web"})))

    with pytest.raises(TargetError):
        world.sync()

    assert world.container(web).started_at == started


def test_a_generation_holds_what_uv_installs(world: World, tmp_path: Path) -> None:
    world.write_lock(world.wheel("alpha", "1.0"), world.wheel("beta", "3.0"))
    world.sync()
    current = world.environment.current()
    assert current is not None
    peer = tmp_path / "peer"
    _run(uv.find_uv_bin(), "venv", "--quiet", "--python", sys.executable, str(peer))
    _run(
        uv.find_uv_bin(), "pip", "sync", "--quiet", "--python", str(peer / "bin/python"),
        "--allow-insecure-host", "127.0.0.1", str(world.lock),
    )  # fmt: skip

    ours = _contents(next(current.path.glob("lib/*/site-packages")))
    theirs = _contents(next(peer.glob("lib/*/site-packages")))

    generated = {"INSTALLER", "RECORD", "direct_url.json", "_virtualenv.py", "_virtualenv.pth"}
    generated |= {"_venvctl_pin.py", "!venvctl.pth", "~venvctl.pth", "uv_cache.json"}
    assert _without(ours, generated) == _without(theirs, generated)
    assert "alpha/late.py" in ours


def test_a_failure_is_remembered_until_a_sync_succeeds(world: World) -> None:
    alpha = world.wheel("alpha", "1.0")
    world.lock.write_text("alpha\n")
    with pytest.raises(VenvctlError) as caught:
        world.sync()
    assert world.environment.state().error == caught.value.message
    world.write_lock(alpha)

    world.sync()

    assert world.environment.state().error == ""
    kinds = [event.kind for event in world.environment.history()]
    assert kinds == ["failure", "sync"]
    assert len(world.environment.current().key) == plan.KEY_LENGTH  # type: ignore[union-attr] # synced


def test_a_failure_is_over_when_what_failed_was_taken_back(world: World) -> None:
    alpha = world.wheel("alpha", "1.0")
    world.write_lock(alpha)
    world.sync()
    world.lock.write_text("alpha\n")
    with pytest.raises(VenvctlError):
        world.sync()
    world.write_lock(alpha)

    assert unchanged(world.registration, world.root) is None
    assert world.sync().action == "nothing"

    assert world.environment.state().error == ""
    assert unchanged(world.registration, world.root) is not None


def test_what_a_rollout_failed_with_is_told_on_where_nothing_is_to_do(world: World) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    delivery.end(world.environment, good=1, error="The new generation was bad.")

    assert world.sync().action == "nothing"

    assert world.environment.state().error == "The new generation was bad."
    assert unchanged(world.registration, world.root) is not None


def _version(world: World, image: str) -> str:
    words = world.docker("run", "--rm", image, "python3", "--version")
    return words.removeprefix("Python ")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def _contents(site_packages: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(site_packages)): path.read_bytes()
        for path in site_packages.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def _without(contents: dict[str, bytes], names: set[str]) -> dict[str, bytes]:
    return {path: data for path, data in contents.items() if path.rpartition("/")[2] not in names}


def test_an_environment_that_was_lost_goes_on_counting(world: World) -> None:
    for version in ("1.0", "2.0"):
        world.write_lock(world.wheel("alpha", version))
        world.sync()
    shutil.rmtree(world.environment.directory)

    assert world.sync().generation == 3
    assert world.python("import alpha; print(alpha.VERSION)") == "2.0"


def test_a_switch_that_was_never_written_down_is_found_by_whoever_comes_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    world.write_lock(world.wheel("alpha", "2.0"))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("venvctl.volumes.ensure", die)
        with pytest.raises(KeyboardInterrupt):
            world.sync()

    world.sync()

    switches = [
        (event.kind, event.previous, event.generation)
        for event in world.environment.history()
        if event.previous != event.generation
    ]
    assert switches == [("sync", 0, 1), ("switch", 1, 2)]
    assert since(world.environment.history(), 2)


def test_an_engine_that_goes_right_after_a_switch_leaves_it_in_the_history(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    world.write_lock(world.wheel("alpha", "2.0"))

    def gone(*_: object) -> None:
        raise EngineUnreachableError("The engine went away.")

    monkeypatch.setattr("venvctl.volumes.ensure", gone)
    with pytest.raises(EngineUnreachableError):
        world.sync()

    last = [(each.kind, each.generation) for each in world.environment.history()[-2:]]
    assert last == [("switch", 2), ("failure", 2)]
