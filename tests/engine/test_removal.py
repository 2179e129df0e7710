"""An environment is removed with its volume, and with nobody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from venvctl.errors import LockError
from venvctl.removal import remove

if TYPE_CHECKING:
    from world import World

pytestmark = pytest.mark.engine


def test_one_that_never_came_to_be_goes_and_the_volume_of_its_name_stays(world: World) -> None:
    world.lock.write_text("alpha\n")
    with pytest.raises(LockError):
        world.sync()
    assert world.root.registry.names() == [world.name]
    # As `docker run --volume` makes one that is not there.
    world.docker("volume", "create", world.name)
    held = world.docker("create", "--volume", f"{world.name}:/data", world.image, "true")
    try:
        remove(world.name, world.root)

        assert world.root.registry.names() == []
        assert not world.environment.exists
        assert world.root.engine.volume(world.name) is not None
    finally:
        world.docker("rm", held.strip())
        world.docker("volume", "rm", world.name)
