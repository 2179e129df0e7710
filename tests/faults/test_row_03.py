"""FAULTS 3: a full disk changes nothing, leaves nothing, and says how much is needed."""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from filesystems import brittle, mounted, remount
from promises import broken_at_rest, left_over, restorable
from venvctl.collection import collect
from venvctl.errors import DiskFullError
from wheelhouse import BuiltWheel, make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from engine_fixtures import Unique
    from world import World

pytestmark = pytest.mark.engine


def _big(world: World, version: str) -> BuiltWheel:
    """A wheel of four megabytes that nothing makes smaller."""
    made = make_wheel(
        world.folder,
        "alpha",
        version,
        files={"alpha/__init__.py": f"VERSION = {version!r}\n", "alpha/data": os.urandom(4 << 20)},
    )
    world.index.add(made.path)
    return made


def _fill(path: Path) -> None:
    """Let a file take all the space there is, to the last byte."""
    with path.open("wb", buffering=0) as stream:
        for size in (1 << 20, 4096, 1):
            with suppress(OSError):
                while stream.write(bytes(size)):
                    pass


# There is room for neither the wheel nor its tree, or for the wheel alone.
@pytest.mark.parametrize("megabytes", [3, 6])
def test_a_full_disk_stops_a_sync_before_anything_changed(
    world: World, unique: Unique, megabytes: int
) -> None:
    world.labels = {"venvctl.bytecode": "off"}
    root = world.root
    with mounted(root.path, size=f"{megabytes}m"):
        world.write_lock(world.wheel("alpha", "1.0"))
        world.sync()
        web = world.start(unique("web"))
        started = world.container(web).started_at
        big = _big(world, "2.0")
        world.write_lock(big)

        with pytest.raises(DiskFullError) as caught:
            world.sync()

        assert re.fullmatch(
            r"No space left to write \S+: [0-9,]+ bytes are needed; [0-9,]+ bytes are free\.",
            caught.value.message,
        )
        assert caught.value.hint == "Free some space, or run `venvctl gc`, and try again."
        assert len(world.index.requested(big.file)) <= 1
        assert not broken_at_rest(world, (1,))
        assert not left_over(world)
        assert not restorable(world)
        assert world.container(web).started_at == started
        collect(root, dry_run=False, progress=world.progress)

        remount(root.path, "size=64m")
        assert world.sync().changes == ("alpha 1.0 → 2.0",)
        world.docker("rm", "--force", web)


def test_not_even_a_byte_is_left(world: World) -> None:
    world.labels = {"venvctl.bytecode": "off"}
    root = world.root
    with mounted(root.path, size="3m"):
        world.write_lock(world.wheel("alpha", "1.0"))
        world.sync()
        world.write_lock(world.wheel("alpha", "2.0"))
        ballast = root.path / "ballast"
        _fill(ballast)

        with pytest.raises(DiskFullError):
            world.sync()

        assert not broken_at_rest(world, (1,))
        assert not left_over(world)
        ballast.unlink()
        assert world.sync().generation == 2


def test_a_quota_allows_no_more(world: World, unique: Unique) -> None:
    world.labels = {"venvctl.bytecode": "off"}
    with brittle(world.root.path, beneath=world.folder / "disk") as disk:
        world.write_lock(world.wheel("alpha", "1.0"))
        world.sync()
        web = world.start(unique("web"))
        started = world.container(web).started_at
        big = _big(world, "2.0")
        world.write_lock(big)
        disk.fail("create", "mkdir", "write", number=errno.EDQUOT)

        with pytest.raises(DiskFullError) as caught:
            world.sync()

        assert re.fullmatch(
            r"No space left to write \S+: [0-9,]+ bytes are needed; the quota allows no more\.",
            caught.value.message,
        )
        assert len(world.index.requested(big.file)) <= 1
        assert not broken_at_rest(world, (1,))
        assert not left_over(world)
        assert world.container(web).started_at == started
        disk.heal()
        assert world.sync().changes == ("alpha 1.0 → 2.0",)
        world.docker("rm", "--force", web)


def test_no_inode_is_left(world: World) -> None:
    """There may be bytes in plenty and still no file can be made."""
    world.labels = {"venvctl.bytecode": "off"}
    root = world.root
    with mounted(root.path, size="64m"):
        world.write_lock(world.wheel("alpha", "1.0"))
        world.sync()
        world.write_lock(world.wheel("alpha", "2.0"))
        state = os.statvfs(root.path)
        remount(root.path, f"nr_inodes={state.f_files - state.f_ffree}")

        with pytest.raises(DiskFullError) as caught:
            world.sync()

        assert re.fullmatch(
            r"No space left to write \S+: [0-9,]+ bytes are needed; "
            r"the file system has no inode left for one more file\.",
            caught.value.message,
        ), caught.value.message
        assert not broken_at_rest(world, (1,))
        collect(root, dry_run=False, progress=world.progress)
        remount(root.path, "nr_inodes=10k")
        assert world.sync().generation == 2
        assert not left_over(world)
