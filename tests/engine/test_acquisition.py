"""Acquiring a selection on the real engine: what is fetched, what is built, and what is neither."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import pytest

from venvctl.errors import BuildsDeniedError
from venvctl.restore import restore
from venvctl.sync import SyncOptions
from wheelhouse import make_sdist

if TYPE_CHECKING:
    from world import World

pytestmark = pytest.mark.engine


def _write_lock(world: World) -> str:
    """A lock whose only package comes as source; the sdist's name."""
    sdist = make_sdist(world.folder, "gamma")
    world.index.add(sdist)
    digest = hashlib.sha256(sdist.read_bytes()).hexdigest()
    world.lock.write_text(
        f"--index-url {world.index.url}\n--trusted-host {world.index.host}\n"
        f"gamma==1.0 --hash=sha256:{digest}\n"
    )
    return sdist.name


def test_an_sdist_is_built_once_where_the_label_allows_it_and_never_again(world: World) -> None:
    world.labels = {"venvctl.builds": "allow"}
    sdist = _write_lock(world)

    first = world.sync()

    assert (first.fetched, first.built, first.changes) == (1, 1, ("+ gamma 1.0",))
    # Neither the source nor anything else of its environment is needed to have it again.
    world.index.remove(sdist)
    for path in (world.root.path / "store/wheels").glob(f"*/*/{sdist}"):
        path.unlink()
    shutil.rmtree(world.root.path / "environments")
    restored = restore(world.name, world.root, snapshot=None, progress=world.progress)
    assert restored.key == first.key
    world.labels = {"venvctl.builds": "allow", "venvctl.bytecode": "off"}
    again = world.sync(SyncOptions(offline=True))
    assert (again.fetched, again.built, again.changes) == (0, 1, ())
    assert world.python("import gamma; print('there')") == "there"


def test_without_the_label_it_is_an_error_before_anything_is_fetched(world: World) -> None:
    sdist = _write_lock(world)

    with pytest.raises(BuildsDeniedError):
        world.sync()

    assert not world.index.requested(sdist)
