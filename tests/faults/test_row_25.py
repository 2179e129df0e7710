"""FAULTS 25: the engine goes away in the middle of a restart; nothing is restarted twice.

Once the way to it breaks, so that it carries out what nobody hears of; and once a dockerd of its
own is killed at several moments, and started again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from breaking import BreakingSocket
from index import LocalIndex
from promises import broken_at_rest, left_over
from second_engine import SecondEngine
from venvctl.engine import connect
from venvctl.errors import EngineUnreachableError
from venvctl.plan import Action
from venvctl.root import Root
from venvctl.sync import SyncOptions, sync
from world import SERVER, World, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine_fixtures import Unique
    from venvctl.engine.docker import DockerEngine

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("delivered", [True, False], ids=["carried out", "never arrived"])
def test_the_outcome_is_found_out_by_the_time_of_the_start(
    world: World,
    engine: DockerEngine,
    unique: Unique,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    delivered: bool,
) -> None:
    world.labels = {"venvctl.bytecode": "off"}
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    first, second = world.start(unique("a")), world.start(unique("b"))
    for holder in (first, second):
        world.wait_for_line(holder, "start 1.0 1")
    started = world.container(first).started_at
    world.write_lock(world.wheel("alpha", "2.0"))
    own = engine.endpoint.removeprefix("unix://")
    path = tmp_path / "engine"
    with BreakingSocket(path, own, request=b"/restart", deliver=delivered) as broken:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        breaking = Root(world.root.path, engine=connect(str(world.root.path)))

        with pytest.raises(EngineUnreachableError):
            sync(world.registration, breaking, SyncOptions(), world.progress)

        assert broken.broken.is_set()
        monkeypatch.delenv("DOCKER_HOST")
    assert set(world.environment.state().pending) == {first, second}
    assert not broken_at_rest(world, (2,))
    if delivered:
        wait_for(lambda: world.container(first).started_at != started, "the restart")
    restarted = world.container(first).started_at

    result = world.sync()

    assert result.reasons == ("its last rollout was interrupted",)
    for holder in (first, second):
        world.wait_for_line(holder, "start 2.0 2")
        assert world.said(holder) == ["start 1.0 1", "start 2.0 2"]
    assert (world.container(first).started_at == restarted) is delivered
    assert not left_over(world)
    assert world.sync().action is Action.NOTHING


# It takes its time to end, so that an engine can be killed while it waits.
_SLOW = SERVER.replace("os._exit(0)", "(__import__('time').sleep(1.5), os._exit(0))")


@pytest.fixture(scope="module")
def own(image_311: str) -> Iterator[SecondEngine]:
    if os.geteuid() != 0:
        pytest.skip("only root can start an engine")
    with tempfile.TemporaryDirectory(prefix="vt-") as folder:
        engine = SecondEngine(folder=Path(folder) / "own")
        engine.start()
        engine.copy_image(image_311)
        yield engine
        engine.close()


@pytest.mark.parametrize("moment", ["before", "while it stops", "between", "after"])
def test_a_killed_engine_restarts_nobody_twice(
    own: SecondEngine, image_311: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", own.host)
    with LocalIndex() as index:
        world = World(
            folder=tmp_path,
            index=index,
            root=Root(tmp_path / "root"),
            name=f"env-{tmp_path.name.strip('_').lower()}",
            image=image_311,
            docker=own.docker,
            labels={"venvctl.bytecode": "off"},
        )
        world.write_lock(world.wheel("alpha", "1.0"))
        world.sync()
        names = [f"{world.name}-{each}" for each in ("a", "b")]
        holders = [
            world.start(name, "--network", "none", "--restart", "always", code=_SLOW)
            for name in names
        ]
        for holder in holders:
            world.wait_for_line(holder, "start 1.0 1")
        world.write_lock(world.wheel("alpha", "2.0"))
        engine = world.root.engine
        real = engine.restart
        # The engine's own restart is a stop and a start: in between it is killed by its event.
        event = {"while it stops": "kill", "between": "die"}.get(moment)

        def restart(identifier: str) -> None:
            if event is None:
                if moment == "after":
                    real(identifier)  # nobody hears any more what came of it
                own.stop(signal.SIGKILL)
                real(identifier)
            else:
                with _on_event(own, identifier, event):
                    real(identifier)
            raise AssertionError("the engine should be dead")

        monkeypatch.setattr(engine, "restart", restart)
        with pytest.raises(EngineUnreachableError):
            world.sync()
        assert set(world.environment.state().pending) == set(holders)
        assert not broken_at_rest(world, (2,), engine=False)

        booted = f"{time.time():.6f}"
        own.start()
        world.root = Root(tmp_path / "root")
        result = world.sync()

        assert result.reasons == ("its last rollout was interrupted",)
        for holder in holders:
            wait_for(lambda: "start 2.0 2" in world.said(holder), holder, seconds=60)  # noqa: B023 - called at once
        assert world.sync().action is Action.NOTHING
        for holder in holders:
            assert world.container(holder).running
            # As it comes back the engine itself starts its containers, one that was done too.
            own_starts = moment == "after" and holder == holders[0]
            assert world.said(holder).count("start 2.0 2") == 1 + own_starts, world.said(holder)
        until = f"{time.time():.6f}"
        again = own.docker(
            *("events", "--since", booted, "--until", until),
            *("--filter", "event=restart", "--format", "{{.Actor.ID}}"),
        )
        assert again == ""  # nobody was asked for a restart that had happened
        assert not left_over(world)
        own.docker("rm", "--force", *holders)


@contextmanager
def _on_event(own: SecondEngine, identifier: str, event: str) -> Iterator[None]:
    """Kill the engine as soon as that happens to a container."""
    since = f"{time.time():.6f}"
    with subprocess.Popen(
        [
            *("docker", "--host", own.host, "events", "--format", "{{.Action}}"),
            *("--since", since),
            *("--filter", f"container={identifier}", "--filter", f"event={event}"),
        ],
        stdout=subprocess.PIPE,
    ) as events:
        assert events.stdout is not None
        stream = events.stdout

        def wait() -> None:
            stream.readline()
            own.stop(signal.SIGKILL)

        watching = threading.Thread(target=wait)
        watching.start()
        try:
            yield
        finally:
            watching.join(timeout=60)
            events.kill()
