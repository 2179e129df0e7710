"""FAULTS 7: a damaged file of the store is found before it is linked, and had anew."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from promises import unharmed
from venvctl import trees
from venvctl.errors import CorruptFileError, UnavailableError
from venvctl.verification import verify

if TYPE_CHECKING:
    from pathlib import Path

    from world import World

pytestmark = pytest.mark.engine


def _damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    changed = {
        "a bit": data[:99] + bytes([data[99] ^ 0x40]) + data[100:],
        "empty": b"",
        "cut short": data[:-1],
    }[how]
    path.write_bytes(changed)


@pytest.mark.parametrize("how", ["a bit", "empty", "cut short"])
def test_it_is_never_linked(settled: World, how: str) -> None:
    wheel = settled.wheel("alpha", "1.0")
    stored = settled.root.store.wheel(wheel.sha256)
    assert stored is not None
    inode = stored.stat().st_ino
    held = os.open(stored, os.O_RDONLY)  # so that its number does not come again
    _damage(stored, how)
    for tree in list(trees.iterate(settled.root.store)):
        trees.remove(settled.root.store, tree.name)
    # The same wheels, to be unpacked once more for another key.
    settled.labels = {"venvctl.bytecode": "ahead"}

    if how != "empty":  # an empty file is none, so it is fetched at once
        with pytest.raises(CorruptFileError) as caught:
            settled.sync()
        assert caught.value.message == (
            f"The store's content was damaged, and is set aside: {wheel.file}."
        )
    assert settled.sync().generation == 2
    fetched = settled.root.store.wheel(wheel.sha256)
    assert fetched is not None
    assert fetched.stat().st_ino != inode
    assert not unharmed(settled, 2)
    os.close(held)


def test_the_generations_it_is_in_are_listed_and_it_is_repaired(settled: World) -> None:
    wheel = settled.wheel("alpha", "1.0")
    settled.write_lock(wheel, settled.wheel("beta", "1.0"))
    settled.sync()
    stored = settled.root.store.wheel(wheel.sha256)
    assert stored is not None
    _damage(stored, "a bit")

    found = verify([], settled.root, repair=False, progress=settled.progress)
    (problem,) = found.problems
    assert problem.path == stored
    assert problem.shared_by == (
        f"generation 1 of {settled.name}",
        f"generation 2 of {settled.name}",
    )

    assert verify([], settled.root, repair=True, progress=settled.progress).ok
    assert not unharmed(settled, 2)


def test_a_restore_does_without_nobody_can_help(settled: World) -> None:
    wheel = settled.wheel("alpha", "1.0")
    settled.root.store.remove(wheel.sha256)
    settled.index.remove(wheel.file)
    settled.labels = {"venvctl.bytecode": "ahead"}

    with pytest.raises(UnavailableError, match=wheel.file):
        settled.sync()

    assert settled.python("import alpha; print(alpha.VERSION)") == "1.0"
