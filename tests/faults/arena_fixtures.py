"""The arena in which verbs are killed, with and without containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from arena import Arena
from following import Daemon
from killing import Killer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine_fixtures import Docker, Unique
    from world import World


@pytest.fixture
def arena(world: World, tmp_path: Path) -> Iterator[Arena]:
    with Killer(world.root.path, tmp_path / "trace") as killer:
        yield Arena(world=world, killer=killer)
    # Where a test ended with what it had broken, nobody recovered.
    world.root.engine.remove_helpers()


@pytest.fixture
def busy(arena: Arena, unique: Unique, docker: Docker) -> Arena:
    """An arena with two running holders, one that its user stopped, and a stranger."""
    world = arena.world
    world.labels = {"venvctl.bytecode": "off"}
    arena.next_lock()
    world.sync()
    arena.start(unique("web"))
    arena.start(unique("worker"))
    stopped = world.start(unique("stopped"))
    # Not earlier: a first process without a handler yet is deaf to SIGTERM for ten seconds.
    for identifier in (*arena.running, stopped):
        world.wait_for_line(identifier, "start 1.0 1")
    docker("stop", stopped)
    stranger = docker(
        "run", "--detach", "--name", unique("stranger"), world.image,
        "python3", "-c", "import signal; signal.pause()",
    )  # fmt: skip
    for identifier in (stopped, stranger):
        arena.leave_alone(identifier)
    return arena


@pytest.fixture
def settled(world: World) -> World:
    """A world whose generation 1 has alpha 1.0, and which no container mounts yet."""
    world.labels = {"venvctl.bytecode": "off"}
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    return world


@pytest.fixture
def daemon(world: World, tmp_path: Path) -> Iterator[Daemon]:
    one = Daemon(world=world, socket=tmp_path / "control.sock")
    yield one
    one.close()
