"""Pins without hashes: what an index had first is enforced everywhere, until it is let go."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from console import venvctl_command
from index import Fault
from venvctl.collection import collect
from venvctl.errors import ChangedFileError
from venvctl.sync import SyncOptions
from wheelhouse import make_wheel

if TYPE_CHECKING:
    from engine_fixtures import Unique
    from wheelhouse import BuiltWheel
    from world import World

pytestmark = pytest.mark.engine


def write_lock(world: World, *lines: str) -> None:
    options = f"--index-url {world.index.url}\n--trusted-host {world.index.host}\n"
    world.lock.write_text(options + "\n".join(lines) + "\n")


def replaced(world: World, wheel: BuiltWheel) -> BuiltWheel:
    """The same version with other content, in the index in its place."""
    files = {"alpha/__init__.py": "VERSION = 'other'\n"}
    other = make_wheel(world.folder / "other", wheel.name, wheel.version, files=files)
    world.index.add(other.path)
    return other


def test_what_was_recorded_is_enforced_everywhere_until_it_is_accepted(
    world: World, unique: Unique
) -> None:
    first = world.wheel("alpha", "1.0")
    write_lock(world, "alpha==1.0")
    world.sync()
    other = replaced(world, first)
    message = (
        "The index now serves another file as alpha-1.0-py3-none-any.whl of alpha 1.0: its SHA-256"
        f" is {other.sha256}, and was {first.sha256} when it was first asked."
    )

    # The index is not even asked, and what is in the store is taken.
    world.index.requests.clear()
    write_lock(world, "# a comment", "alpha==1.0")
    assert world.sync().generation == 1
    assert world.index.requests == []
    # Asked again, it is caught.
    with pytest.raises(ChangedFileError) as caught:
        world.sync(SyncOptions(force=True))
    assert caught.value.message == message
    # So it is in another environment of this root, whose file is gone from the store.
    path = world.root.store.wheel(first.sha256)
    assert path is not None
    path.unlink()
    elsewhere = replace(world, name=unique("env2"))
    world.index.fault(first.file, Fault(content=other.path.read_bytes()))
    with pytest.raises(ChangedFileError) as caught:
        elsewhere.sync()
    assert caught.value.message == message
    same_size = b"?" * first.size
    world.index.fault(first.file, Fault(content=same_size))
    with pytest.raises(ChangedFileError) as caught:
        elsewhere.sync()
    assert caught.value.message == (
        "The index now serves another file as alpha-1.0-py3-none-any.whl of alpha 1.0: its SHA-256"
        f" is {hashlib.sha256(same_size).hexdigest()}, and was {first.sha256}"
        " when it was first asked."
    )
    assert caught.value.hint == (
        "Find out why: an index must not change a file. Once you know,"
        " `venvctl sync --accept alpha` takes the new one."
    )
    # A collection does not forget it.
    collect(world.root, dry_run=False, progress=world.progress)
    with pytest.raises(ChangedFileError):
        elsewhere.sync()
    assert world.python("import alpha; print(alpha.VERSION)") == "1.0"

    world.index.heal()
    world.root.registry.claim(world.registration)
    done = venvctl_command(
        "sync", world.name, "--accept", "alpha", "--accept", "Beta",
        cwd=world.folder, VENVCTL_ROOT=str(world.root.path),
    )  # fmt: skip

    assert done.code == 0, done.stderr
    assert "--accept beta: the lock has no pin of that name." in done.stderr
    assert world.python("import alpha; print(alpha.VERSION)") == "other"
    assert elsewhere.sync().generation == 1
    world.index.add(first.path)
    with pytest.raises(ChangedFileError):
        world.sync(SyncOptions(force=True))


def test_accepting_needs_the_index(world: World) -> None:
    done = venvctl_command(
        "sync", "--accept", "alpha", "--offline", VENVCTL_ROOT=str(world.root.path)
    )

    assert (done.code, done.stderr) == (
        2,
        "Error: --accept asks the index, and --offline forbids it.\nHint: Leave one of them out.\n",
    )
