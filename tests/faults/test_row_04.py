"""FAULTS 4: on a disk that can't be written or read, looking works and nothing else happens."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from filesystems import CHANGES, brittle, mounted, remount
from promises import broken_at_rest, left_over
from venvctl.collection import collect
from venvctl.errors import RootError
from venvctl.plan import Action
from venvctl.restore import restore
from venvctl.rollback import rollback
from venvctl.sync import SyncOptions
from venvctl.verification import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine_fixtures import Unique
    from world import World

pytestmark = pytest.mark.engine


def test_a_disk_that_can_t_be_written_any_more_is_left_as_it_is(
    world: World, unique: Unique
) -> None:
    world.labels = {"venvctl.bytecode": "off"}
    root, name, progress = world.root, world.name, world.progress
    with brittle(root.path, beneath=world.folder / "disk") as disk:
        for version in ("1.0", "2.0"):
            world.write_lock(world.wheel("alpha", version))
            world.sync()
        web = world.start(unique("web"))
        world.wait_for_line(web, "start 2.0 2")
        started = world.container(web).started_at
        disk.fail(*CHANGES, number=errno.EIO)

        assert world.sync().action is Action.NOTHING
        assert [event.kind for event in world.environment.history()] == ["sync", "sync"]
        assert verify([name], root, repair=False, progress=progress).ok
        world.write_lock(world.wheel("alpha", "3.0"))
        verbs: dict[str, Callable[[], object]] = {
            "sync": world.sync,
            "rollback": lambda: rollback(name, root, to=1, progress=progress),
            "restore": lambda: restore(name, root, snapshot=None, progress=progress),
            "collection": lambda: collect(root, dry_run=False, progress=progress),
        }
        for verb, do in verbs.items():
            with pytest.raises(RootError) as caught:
                do()
            assert caught.value.message.endswith(": Input/output error."), verb
        assert world.container(web).started_at == started
        assert not broken_at_rest(world, (2,))

        disk.heal()
        assert world.sync().generation == 3
        world.wait_for_line(web, "start 3.0 3")
        assert not left_over(world)
        world.docker("rm", "--force", web)


# A wheel while it is fetched, a tree, the generation's seal, what the next sync compares with.
@pytest.mark.parametrize("paths", ["/wheels/", "/trees/", "seal.json", "state.json"])
def test_an_error_anywhere_in_a_sync_leaves_what_was(world: World, paths: str) -> None:
    world.labels = {"venvctl.bytecode": "off"}
    with brittle(world.root.path, beneath=world.folder / "disk") as disk:
        world.write_lock(world.wheel("alpha", "1.0"))
        world.sync()
        world.write_lock(world.wheel("alpha", "2.0"))
        disk.fail("write", "link", "rename", number=errno.EIO, paths=paths)

        with pytest.raises(RootError, match=r"Input/output error\.$"):
            world.sync()

        disk.heal()
        assert not broken_at_rest(world, (1, 2))
        assert world.sync().generation in {2, 3}
        assert not left_over(world)


def test_what_can_t_be_read_is_told_and_nothing_else_is_done(world: World) -> None:
    world.labels = {"venvctl.bytecode": "off"}
    root, name = world.root, world.name
    with brittle(root.path, beneath=world.folder / "disk") as disk:
        world.write_lock(world.wheel("alpha", "1.0"))
        world.sync()
        disk.fail("read", number=errno.EIO, paths="/alpha/__init__.py")

        found = verify([name], root, repair=False, progress=world.progress)

        assert found.problems
        assert {problem.reason for problem in found.problems} == {
            "can't be read: Input/output error"
        }
        disk.fail("read", "open", number=errno.EIO, paths="/state.json")
        with pytest.raises(RootError, match=r"^Cannot read .*/state.json: Input/output error\.$"):
            world.sync()
        disk.heal()
        assert world.sync().action is Action.NOTHING
        assert verify([name], root, repair=False, progress=world.progress).ok


def test_a_read_only_file_system_is_read_and_left_as_it_is(world: World, unique: Unique) -> None:
    world.labels = {"venvctl.bytecode": "off"}
    root, name, progress = world.root, world.name, world.progress
    with mounted(root.path, size="64m"):
        for version in ("1.0", "2.0"):
            world.write_lock(world.wheel("alpha", version))
            world.sync()
        web = world.start(unique("web"))
        world.wait_for_line(web, "start 2.0 2")
        started = world.container(web).started_at
        remount(root.path, "ro")

        assert world.sync().action is Action.NOTHING
        assert [event.kind for event in world.environment.history()] == ["sync", "sync"]
        assert verify([name], root, repair=False, progress=progress).ok
        assert collect(root, dry_run=True, progress=progress).dry_run
        world.write_lock(world.wheel("alpha", "3.0"))
        verbs: dict[str, Callable[[], object]] = {
            "sync": world.sync,
            "sync without a rollout": lambda: world.sync(SyncOptions(restart=False)),
            "rollback": lambda: rollback(name, root, to=1, progress=progress),
            "restore": lambda: restore(name, root, snapshot=None, progress=progress),
            "collection": lambda: collect(root, dry_run=False, progress=progress),
        }
        for verb, do in verbs.items():
            with pytest.raises(RootError) as caught:
                do()
            assert caught.value.message.endswith(": Read-only file system."), verb
        assert world.container(web).started_at == started
        assert not broken_at_rest(world, (2,))

        remount(root.path, "rw")
        assert world.sync().generation == 3
        world.wait_for_line(web, "start 3.0 3")
        assert not left_over(world)
        world.docker("rm", "--force", web)
