"""FAULTS 30: the store and the environments on different file systems, or no more links."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from filesystems import mounted
from promises import broken_at_rest, left_over
from venvctl.collection import collect
from venvctl.restore import restore
from venvctl.rollback import rollback
from venvctl.verification import verify

if TYPE_CHECKING:
    from world import World

pytestmark = pytest.mark.engine


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
