"""FAULTS 34: a volume of the environment's name that is somebody else's is not touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from venvctl.errors import VolumeConflictError
from venvctl.root import Root
from venvctl.sync import SyncOptions, sync

if TYPE_CHECKING:
    from pathlib import Path

    from engine_fixtures import Docker
    from world import World

pytestmark = pytest.mark.engine


def test_a_volume_that_somebody_made_by_hand(world: World, docker: Docker) -> None:
    docker("volume", "create", world.name)
    before = docker("volume", "inspect", world.name)
    world.write_lock(world.wheel("alpha", "1.0"))

    with pytest.raises(VolumeConflictError) as caught:
        world.sync()

    assert caught.value.message == (
        f"Volume {world.name} exists and was not made by venvctl (driver local, options none)."
    )
    assert caught.value.hint == (
        "Give the environment another name, or, if nothing in it is needed, "
        f"`docker volume rm {world.name}`."
    )
    assert docker("volume", "inspect", world.name) == before
    assert world.environment.current() is None


def test_a_volume_of_another_root(world: World, tmp_path: Path) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    other = Root(tmp_path / "other", engine=world.root.engine)

    with pytest.raises(VolumeConflictError) as caught:
        sync(world.registration, other, SyncOptions(), world.progress)

    assert caught.value.message == (
        f"Volume {world.name} belongs to the venvctl root {world.root.path}, not to {other.path}."
    )
    assert caught.value.hint == f"Set VENVCTL_ROOT={world.root.path} to work on it."
    assert not (other.path / "environments" / world.name / "volume").exists()
    assert world.python("import alpha; print(alpha.VERSION)") == "1.0"
