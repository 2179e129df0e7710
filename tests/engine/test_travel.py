"""A snapshot that travels: exported here, imported and restored where nothing else is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from venvctl.errors import TargetError, UsageError
from venvctl.progress import Silent
from venvctl.registration import Registration
from venvctl.restore import restore
from venvctl.root import Root
from venvctl.sync import SyncOptions
from venvctl.transfer import export_snapshot, import_snapshot
from world import World

if TYPE_CHECKING:
    from pathlib import Path

    from engine_fixtures import Docker, Unique

pytestmark = pytest.mark.engine


@pytest.fixture
def there(world: World, tmp_path: Path, unique: Unique, docker: Docker) -> World:
    """Another host: another root, with an environment of another name."""
    folder = tmp_path / "there"
    folder.mkdir()
    return World(
        folder=folder,
        index=world.index,
        root=Root(folder / "root"),
        name=unique("other"),
        image=world.image,
        docker=docker,
    )


def exported(world: World) -> tuple[str, Path]:
    """The key of what was synced, and its archive; the index has its wheel no more."""
    world.write_lock(world.wheel("alpha", "1.0"))
    key = world.sync().key
    archive = world.folder / "alpha.tar.zst"
    export_snapshot(key, archive, world.root, progress=Silent())
    world.index.remove("alpha-1.0-py3-none-any.whl")
    return key, archive


def register(world: World, *, image: str = "", mount: str = "/venv") -> None:
    """As `env add` and `up` do it, before anything could be synced."""
    known = world.registration
    world.root.create()
    world.root.registry.claim(
        Registration(
            specification=known.specification,
            mount=mount,
            images={"": image or world.image},
            labels={},
            project="",
            directory=known.directory,
        )
    )


def test_an_imported_snapshot_is_restored_into_a_registered_environment(
    world: World, there: World
) -> None:
    key, archive = exported(world)
    import_snapshot(archive, there.root, progress=Silent())
    register(there)

    result = restore(there.name, there.root, snapshot=key, progress=Silent())

    assert (result.key, result.generation, result.packages) == (key, 1, 1)
    assert there.python("import alpha; print(alpha.VERSION)") == "1.0"
    assert there.root.snapshots.load(key).image == world.root.snapshots.load(key).image
    assert restore(there.name, there.root, snapshot=None, progress=Silent()).generation == 2


def test_what_it_was_imported_for_needs_no_key(world: World, there: World) -> None:
    key, archive = exported(world)
    register(there)
    import_snapshot(archive, there.root, environments=[there.name], progress=Silent())

    result = restore(there.name, there.root, snapshot=None, progress=Silent())

    assert result.key == key


def test_a_sync_of_the_same_lock_needs_no_index(world: World, there: World) -> None:
    key, archive = exported(world)
    import_snapshot(archive, there.root, progress=Silent())
    there.lock.write_text(world.lock.read_text())

    result = there.sync(SyncOptions(offline=True))

    assert (result.key, result.fetched) == (key, 0)
    assert there.python("import alpha; print(alpha.VERSION)") == "1.0"


def test_an_environment_that_nobody_made_is_told_how(world: World, there: World) -> None:
    key, archive = exported(world)
    import_snapshot(archive, there.root, progress=Silent())

    with pytest.raises(UsageError) as caught:
        restore(there.name, there.root, snapshot=key, progress=Silent())

    assert caught.value.message == (
        f"There is no environment {there.name!r} in {there.root.path}, "
        f"and it never had the snapshot {key}."
    )
    assert caught.value.hint == (
        f"Make it here first: `venvctl env add {there.name} --lock FILE --image IMAGE "
        "--at /venv`, or `venvctl up` in its compose project."
    )


def test_another_interpreter_or_mount_path_is_refused(
    world: World, there: World, image_313: str
) -> None:
    key, archive = exported(world)
    import_snapshot(archive, there.root, progress=Silent())
    register(there, image=image_313)

    with pytest.raises(TargetError) as caught:
        restore(there.name, there.root, snapshot=key, progress=Silent())

    assert caught.value.message == (
        f"Snapshot {key} is for Python 3.11.2 (/usr/bin/python3.11), "
        f"and none of {image_313} has that."
    )
    register(there, mount="/opt/venv")
    with pytest.raises(TargetError) as caught:
        restore(there.name, there.root, snapshot=key, progress=Silent())
    assert caught.value.message == (
        f"Snapshot {key} is for an environment at /venv, and {there.name} is mounted at /opt/venv."
    )
    assert there.environment.generations() == []
