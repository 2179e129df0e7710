"""FAULTS 1: `kill -9` at any step of any verb, and at any time, loses nothing and blocks nobody.

Without further words a sample of the steps is tried, another one each time. What was chosen is in
the message of a failure, and comes again with the same seed::

    make test ARGS=tests/faults/test_row_01.py
    VENVCTL_KILLS=all make test ARGS=tests/faults/test_row_01.py     # every step, some two hours
    VENVCTL_KILLS=30 VENVCTL_KILL_SEED=4711 make test ARGS=tests/faults/test_row_01.py
"""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

import cases
from console import COMMAND
from promises import helpers, unharmed
from relay import Relay
from world import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from arena import Arena
    from engine_fixtures import MakeProject, Unique
    from venvctl.engine.docker import DockerEngine
    from world import World

pytestmark = pytest.mark.engine


def test_a_first_sync(arena: Arena, unique: Unique) -> None:
    arena.try_all(cases.first_sync(arena, unique), budget=6)


def test_a_sync_while_containers_run(busy: Arena) -> None:
    busy.try_all(cases.update(busy), budget=5)


def test_a_sync_at_any_time(busy: Arena) -> None:
    busy.try_times(cases.update(busy), budget=2, longest=3.0)


def test_a_rollback(busy: Arena) -> None:
    busy.try_all(cases.going_back(busy), budget=4)


def test_a_rollback_that_never_switched_restarts_nobody(busy: Arena) -> None:
    run = busy.try_one(cases.going_back(busy)(), at=r"before os.symlink .*/\.current")

    assert run.killed


def test_a_restore_of_a_lost_volume(busy: Arena) -> None:
    busy.try_all(cases.restore_of_a_lost_volume(busy), budget=4)


def test_going_back_from_a_bad_generation(busy: Arena) -> None:
    busy.try_all(cases.bad_update(busy), budget=4)


def test_an_image_with_another_interpreter(busy: Arena, image_313: str) -> None:
    busy.try_all(cases.another_interpreter(busy, image_313), budget=3)


def test_a_wheel_that_leads_out_of_the_root(busy: Arena) -> None:
    busy.try_all(cases.hostile_update(busy), budget=3)


def test_a_repair(arena: Arena) -> None:
    arena.try_all(cases.repair(arena), budget=5)


def test_a_collection_beside_running_containers(busy: Arena) -> None:
    busy.try_all(cases.collection(busy), budget=2)
    kept = [generation.number for generation in busy.world.environment.generations()]
    # Whatever was current since the holders started: a process of theirs may be on it.
    assert kept == list(range(busy.holders_on, busy.number() + 1))


def test_an_import(arena: Arena, unique: Unique) -> None:
    arena.try_all(cases.snapshot_import(arena, unique), budget=5)


def test_the_removal_of_a_snapshot(arena: Arena, unique: Unique) -> None:
    arena.try_all(cases.snapshot_removal(arena, unique), budget=2)


def test_an_addition(arena: Arena, unique: Unique) -> None:
    arena.try_all(cases.addition(arena, unique), budget=2)


def test_a_removal(arena: Arena, unique: Unique) -> None:
    arena.try_all(cases.removal(arena, unique), budget=2)


def test_an_up_of_a_project_that_runs(arena: Arena, compose_project: MakeProject) -> None:
    arena.try_all(cases.compose_up(arena, compose_project("")), budget=3)


def test_a_helper_that_comes_after_the_recovery(
    settled: World, engine: DockerEngine, tmp_path: Path
) -> None:
    """The engine goes on with what it was asked for by a process that is dead meanwhile."""
    settled.root.registry.claim(settled.registration)
    settled.write_lock(settled.wheel("alpha", "2.0"))
    with ExitStack() as stack:
        relay = Relay(tmp_path / "relay.sock", engine.endpoint, held="/containers/create")
        stack.callback(relay.cut)
        killed = stack.enter_context(
            subprocess.Popen(
                [*COMMAND, "sync", settled.name],
                env={
                    **os.environ,
                    "DOCKER_HOST": relay.endpoint,
                    "VENVCTL_ROOT": str(settled.root.path),
                },
            )
        )
        stack.callback(killed.kill)
        assert relay.holding.wait(60)
        killed.kill()
        killed.wait()
        settled.sync()
        assert helpers(settled) == []

        relay.go.set()
        wait_for(lambda: helpers(settled), "the helper that nobody waits for")

    assert not settled.sync().reasons
    assert unharmed(settled, 2) == []
    assert helpers(settled) == []
    assert list((settled.root.path / "helpers").iterdir()) == []
