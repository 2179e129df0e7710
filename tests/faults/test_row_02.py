"""FAULTS 2: what was announced as done outlives a power loss, and at any moment nothing breaks.

The order of writes is asserted from what `venvctl.disk` tells; what a disk would have at a step is
drawn from the real calls (see `powerloss`), put in the root's place, recovered from twice, and
checked like after a kill.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

import cases
from ledger import watching
from venvctl import disk, hooks
from venvctl.daemon.roster import Roster
from venvctl.project import ComposeProject
from venvctl.removal import remove
from venvctl.repository import Repository
from venvctl.restore import restore
from venvctl.rollback import rollback
from venvctl.verification import verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from arena import Arena
    from engine_fixtures import MakeProject, Unique
    from ledger import Ledger
    from world import World

pytestmark = pytest.mark.engine

_WHEEL = r"store/wheels/../[0-9a-f]{64}/alpha-1\.0-py3-none-any\.whl"
_TREE = r"store/trees/[0-9a-f]{64}-cpython-311"
_SNAPSHOT = r"snapshots/[0-9a-f]{32}"
_VOLUME = r"environments/[^/]+/volume"
_GENERATION = rf"{_VOLUME}/\.venvctl/generations/1-[0-9a-f]{{32}}"
_STATE = r"environments/[^/]+/state\.json"


def _order(ledger: Ledger, *wanted: tuple[str, str]) -> None:
    """Assert that these calls were made, in this order, whatever came between them."""
    place = 0
    for operation, pattern in wanted:
        found = next(
            (
                index
                for index, (what, path) in enumerate(ledger.calls[place:], start=place)
                if what == operation and re.fullmatch(pattern, path)
            ),
            None,
        )
        assert found is not None, (
            f"no {operation} of {pattern} after {ledger.calls[:place][-1:]}:\n"
            + "\n".join(" ".join(call) for call in ledger.calls)
        )
        place = found + 1


def _first_sync(world: World) -> Ledger:
    world.write_lock(world.wheel("alpha", "1.0"))
    with watching(world.root.path) as ledger:
        world.sync()
    return ledger


def test_each_kind_of_write_is_data_then_name_then_directory(world: World) -> None:
    ledger = _first_sync(world)

    wheel = _WHEEL.rpartition("/")[0]
    _order(ledger, ("fsync", r"tmp/.*"), ("rename", _WHEEL), ("fsync", wheel))
    _order(
        ledger,
        ("syncfs", r"tmp/[0-9a-f]+"),
        ("rename", _TREE + r"\.json"),
        ("fsync", "store/trees"),
        ("rename", _TREE),
        ("fsync", "store/trees"),
    )
    _order(
        ledger,
        ("syncfs", r"tmp/[0-9a-f]+"),
        ("rename", _GENERATION),
        ("fsync", rf"{_VOLUME}/\.venvctl/generations"),
    )
    _order(ledger, ("rename", rf"{_VOLUME}/\.venvctl/current"), ("fsync", rf"{_VOLUME}/\.venvctl"))
    _order(ledger, ("rename", _SNAPSHOT), ("fsync", "snapshots"))
    for path in (
        r"pins/[^/]+/alpha/1-3\.11\.json",
        r"tmp/[0-9a-f]+/pylock\.toml",
        r"tmp/[0-9a-f]+/snapshot\.json",
        rf"{_SNAPSHOT}/snapshot\.json",
        r"targets/[0-9a-f]{64}\.json",
        r"environments/[^/]+/environment\.json",
        _STATE,
    ):
        parent = path.rpartition("/")[0]
        _order(ledger, ("write", path), ("fsync", path), ("rename", path), ("fsync", parent))
    history = r"environments/[^/]+/history\.jsonl"
    _order(ledger, ("write", history), ("fsync", history), ("fsync", r"environments/[^/]+"))


def test_what_something_is_made_of_is_on_disk_before_it(world: World) -> None:
    ledger = _first_sync(world)

    _order(
        ledger,
        ("fsync", _WHEEL.rpartition("/")[0]),
        ("rename", r"tmp/[0-9a-f]+/snapshot\.json"),
        ("fsync", r"tmp/[0-9a-f]+"),
        ("rename", _SNAPSHOT),
        ("fsync", "snapshots"),
        ("rename", _GENERATION),
        ("fsync", rf"{_VOLUME}/\.venvctl/generations"),
        ("rename", rf"{_VOLUME}/lib"),
        ("fsync", _VOLUME),
        ("rename", rf"{_VOLUME}/\.venvctl/current"),
        ("fsync", rf"{_VOLUME}/\.venvctl"),
        ("rename", _STATE),  # the inputs: from here on there is nothing to do
        ("fsync", r"environments/[^/]+"),
    )


@pytest.mark.parametrize("verb", ["sync", "update", "rollback", "restore", "repair"])
def test_nothing_that_has_a_name_is_lost_with_the_power(world: World, verb: str) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    if verb != "sync":
        world.sync()
        world.write_lock(world.wheel("alpha", "2.0"))
    if verb in {"rollback", "restore", "repair"}:
        world.sync()
    if verb == "restore":
        shutil.rmtree(world.root.path / "environments")
    if verb == "repair":
        next(world.environment.volume.glob("lib/*/*/alpha/__init__.py")).write_text("evil = 1\n")
    name, root, progress = world.name, world.root, world.progress
    verbs: dict[str, Callable[[], object]] = {
        "sync": world.sync,
        "update": world.sync,
        "rollback": lambda: rollback(name, root, to=1, progress=progress),
        "restore": lambda: restore(name, root, snapshot=None, progress=progress),
        "repair": lambda: verify([name], root, repair=True, progress=progress),
    }

    with watching(root.path) as ledger:
        verbs[verb]()

    assert ledger.calls
    assert not ledger.broken
    assert not ledger.lost()


def test_no_power_in_a_first_sync(arena: Arena, unique: Unique) -> None:
    arena.try_power(cases.first_sync(arena, unique), budget=6)


def test_no_power_in_a_sync_while_containers_run(busy: Arena) -> None:
    busy.try_power(cases.update(busy), budget=3)


def test_no_power_in_a_rollback(busy: Arena) -> None:
    busy.try_power(cases.going_back(busy), budget=3)


def test_no_power_in_a_restore(arena: Arena) -> None:
    arena.next_lock()
    arena.world.sync()
    arena.try_power(cases.restore_of_a_lost_volume(arena), budget=3)


def test_no_power_in_a_repair(arena: Arena) -> None:
    arena.try_power(cases.repair(arena), budget=6)


def test_no_power_in_a_collection(arena: Arena) -> None:
    arena.try_power(cases.collection(arena), budget=6)


def test_no_power_in_an_import(arena: Arena, unique: Unique) -> None:
    arena.try_power(cases.snapshot_import(arena, unique), budget=6)


def test_no_power_in_the_removal_of_a_snapshot(arena: Arena, unique: Unique) -> None:
    arena.try_power(cases.snapshot_removal(arena, unique), budget=3)


def test_no_power_in_an_addition(arena: Arena, unique: Unique) -> None:
    arena.try_power(cases.addition(arena, unique), budget=3)


def test_no_power_in_a_removal(arena: Arena, unique: Unique) -> None:
    arena.try_power(cases.removal(arena, unique), budget=3)


def test_no_power_in_an_up(arena: Arena, compose_project: MakeProject) -> None:
    arena.try_power(cases.compose_up(arena, compose_project("")), budget=3)


_OTHERS = {
    "none": lambda _: None,
    "a shell's": lambda path: _hook_of(path, b"#!/bin/sh\necho theirs\n"),
    "a program's": lambda path: _hook_of(path, b"#!/usr/bin/python3\nprint('theirs')\n"),
    "a link": lambda path: path.symlink_to("/usr/bin/true"),
}


def _hook_of(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o755)


@pytest.mark.parametrize("put", _OTHERS.values(), ids=list(_OTHERS))
def test_nothing_of_a_hook_that_has_a_name_is_lost_with_the_power(
    world: World, put: Callable[[Path], object]
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    for words in (["init", "--quiet"], ["add", world.lock.name]):
        subprocess.run(["git", *words], cwd=world.folder, check=True)
    repository = Repository.find(world.folder)
    for path in repository.hook_directories():
        path.mkdir(exist_ok=True)
        put(path / "post-commit")
    disk.sync_filesystem(world.folder)

    with watching(repository.git_directory) as ledger:
        hooks.install(repository, root=world.root, root_path=world.root.path)
        assert ledger.calls
        assert not ledger.broken
        assert not ledger.lost()
        hooks.uninstall(repository)
        assert not ledger.broken
        assert not ledger.lost()


def test_nothing_of_what_is_followed_for_whom_is_lost_with_the_power(world: World) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    root, name = world.root, world.name
    project = ComposeProject(name="shop", directory=world.folder, files=(), environments=())
    roster = Roster(root)
    root.create()
    steps: list[Callable[[], object]] = [
        lambda: roster.follow_for(name, 1000),
        lambda: root.registry.claim(world.registration),
        lambda: roster.follow_project_for("shop", 1000),
        lambda: root.registry.follow(project),
        lambda: roster.follow_for(name, os.geteuid()),
        lambda: roster.follow_project_for("shop", os.geteuid()),
        lambda: root.registry.unfollow("shop"),
        world.sync,
        lambda: remove(name, root),
    ]

    with watching(root.path) as ledger:
        for number, step in enumerate(steps):
            step()
            assert not ledger.broken, number
            assert not ledger.lost(), number
