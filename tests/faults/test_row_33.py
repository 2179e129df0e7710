"""FAULTS 33: `volume` is deleted or replaced while two containers hold it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from promises import unharmed
from venvctl.errors import IntegrityError
from venvctl.plan import Action
from venvctl.restore import restore

if TYPE_CHECKING:
    from engine_fixtures import Unique
    from world import World

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("deed", ["deleted", "replaced by a copy", "moved away", "emptied"])
def test_restore_brings_both_back(settled: World, unique: Unique, deed: str) -> None:
    settled.write_lock(settled.wheel("alpha", "2.0"))
    settled.sync()
    holders = [settled.start(unique(name)) for name in ("web", "worker")]
    for holder in holders:
        settled.wait_for_line(holder, "start 2.0 2")
    volume = settled.environment.volume
    aside = volume.with_name("aside")
    if deed == "deleted":
        shutil.rmtree(volume)
    elif deed == "replaced by a copy":
        shutil.copytree(volume, aside, symlinks=True)
        shutil.rmtree(volume)
        aside.rename(volume)
    elif deed == "moved away":
        volume.rename(settled.folder / "moved")
    else:
        for path in volume.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    if deed != "emptied":  # that one is noticed by its current generation
        with pytest.raises(IntegrityError, match="was deleted or replaced"):
            settled.sync()

    result = restore(settled.name, settled.root, snapshot=None, progress=settled.progress)

    number = result.generation
    assert number > 2
    for holder in holders:
        settled.wait_for_line(holder, f"start 2.0 {number}")
        assert settled.container(holder).running
    assert settled.sync().action in {Action.NOTHING, Action.KEEP}
    assert not unharmed(settled, number)
    settled.write_lock(settled.wheel("alpha", "3.0"))
    settled.sync()
    for holder in holders:
        settled.wait_for_line(holder, f"start 3.0 {number + 1}")
