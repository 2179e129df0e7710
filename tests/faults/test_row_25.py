"""FAULTS 25: the engine goes away in the middle of a restart; nothing is restarted twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from breaking import BreakingSocket
from promises import broken_at_rest, left_over
from venvctl.engine import connect
from venvctl.errors import EngineUnreachableError
from venvctl.plan import Action
from venvctl.root import Root
from venvctl.sync import SyncOptions, sync
from world import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from engine_fixtures import Unique
    from venvctl.engine.docker import DockerEngine
    from world import World

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
