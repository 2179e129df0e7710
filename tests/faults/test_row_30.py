"""FAULTS 30: the store and the environments on different file systems, or no more links."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from filesystems import brittle, mounted
from promises import broken_at_rest, left_over, unharmed
from venvctl.collection import collect
from venvctl.restore import restore
from venvctl.rollback import rollback
from venvctl.verification import verify

if TYPE_CHECKING:
    from pathlib import Path

    from world import World

pytestmark = pytest.mark.engine

_MOST = 65_000  # ext4's; more take too long


@pytest.mark.parametrize("elsewhere", ["store", "environments", "tmp"])
def test_what_can_t_be_linked_is_copied_and_that_is_said(world: World, elsewhere: str) -> None:
    world.labels = {"venvctl.keep": "1", "venvctl.keep-snapshots": "1"}
    root = world.root
    root.create()
    with mounted(root.path / elsewhere, size="64m"):
        for version in ("1.0", "2.0", "3.0"):
            world.write_lock(world.wheel("alpha", version))
            world.sync()

        assert any(
            "copied" in line and "file system" in line for line in world.progress.warnings
        ), world.progress.warnings
        assert world.python("import alpha; print(alpha.VERSION)") == "3.0"
        assert rollback(world.name, root, to=None, progress=world.progress).generation == 2
        restored = restore(world.name, root, snapshot=None, progress=world.progress)
        assert restored.generation == 4
        assert collect(root, dry_run=False, progress=world.progress).generations
        assert verify([], root, repair=False, progress=world.progress).problems == ()
        assert not broken_at_rest(world, (4,))
        assert not left_over(world)


def test_a_file_system_without_hard_links_has_copies(world: World) -> None:
    world.labels = {"venvctl.bytecode": "off"}
    root = world.root
    with brittle(root.path, beneath=world.folder / "disk") as disk:
        disk.fail("link", number=errno.EPERM)
        world.write_lock(world.wheel("alpha", "1.0"))
        world.sync()

        assert [line for line in world.progress.warnings if "copied" in line]
        own = next(world.environment.volume.glob("lib/*/*/alpha/late.py"))
        own.write_text("VERSION = 'evil'\n")
        assert verify([], root, repair=True, progress=world.progress).ok
        assert own.read_text() == "VERSION = '1.0'\n"
        assert not broken_at_rest(world, (1,))
        assert not left_over(world)


def test_a_file_that_has_all_its_links_is_copied_and_that_is_said(
    settled: World, tmp_path: Path
) -> None:
    world, root = settled, settled.root
    (late,) = root.store.trees.glob("*/prefix/lib/*/*/alpha/late.py")
    most = os.pathconf(late, "PC_LINK_MAX")
    if most > _MOST:
        pytest.skip(f"a file may have {most:,} links here")
    links = tmp_path / "links"
    links.mkdir()
    for number in range(late.stat().st_nlink, most):
        os.link(late, links / str(number))
    with pytest.raises(OSError, match="Too many links"):
        os.link(late, links / "more")

    world.write_lock(world.wheel("alpha", "1.0"), world.wheel("beta", "1.0"))
    world.sync()

    assert [line for line in world.progress.warnings if "copied" in line], world.progress.warnings
    own = next(world.environment.volume.glob("lib/*/*/alpha/late.py"))
    assert own.stat().st_nlink == 1
    assert world.python("import alpha.late; print(alpha.late.VERSION)") == "1.0"
    assert verify([], root, repair=False, progress=world.progress).problems == ()
    own.write_text("VERSION = 'evil'\n")
    assert verify([], root, repair=True, progress=world.progress).ok
    assert own.stat().st_nlink == 1
    assert not unharmed(world, 2)
    shutil.rmtree(links)
