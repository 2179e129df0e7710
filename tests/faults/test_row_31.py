"""FAULTS 31: a snapshot's archive that is hostile, wrong or cut short is refused whole."""

from __future__ import annotations

import random
import tarfile
from typing import TYPE_CHECKING

import pytest

from archive import entry, link, repacked
from promises import picture, unharmed
from venvctl.errors import VenvctlError
from venvctl.root import Root
from venvctl.transfer import export_snapshot, import_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from archive import Archive
    from world import World

pytestmark = pytest.mark.engine


def _exported(world: World) -> Path:
    current = world.environment.current()
    assert current is not None
    file = world.folder / "snapshot.tar"
    export_snapshot(current.key, file, world.root, progress=world.progress)
    return file


def _refused(world: World, file: Path) -> str:
    """Refused by a root that has nothing, and by one that has the snapshot."""
    empty = Root(world.folder / "empty")
    for root in (empty, world.root):
        before = picture(root.path) if root.path.is_dir() else {}
        with pytest.raises(VenvctlError) as caught:
            import_snapshot(file, root, progress=world.progress)
        assert picture(root.path) == before
    assert empty.snapshots.keys() == []
    assert not unharmed(world, 1)
    return caught.value.message


@pytest.mark.parametrize(
    "change",
    [
        lambda archive: archive.entries.append(entry("../evil", b"x")),
        lambda archive: archive.entries.append(entry("/evil", b"x")),
        lambda archive: archive.entries.append(link("evil", tarfile.SYMTYPE)),
        lambda archive: archive.entries.append(link("evil", tarfile.LNKTYPE)),
        lambda archive: archive.replace("pylock.toml", b"lock-version = '1.0'\n"),
        lambda archive: archive.replace("snapshot.json", b"{}"),
        lambda archive: archive.replace(
            "alpha-1.0-py3-none-any.whl", archive.content("alpha-1.0-py3-none-any.whl")[:-1]
        ),
        lambda archive: archive.drop("alpha-1.0-py3-none-any.whl"),
    ],
)
def test_a_hostile_one(settled: World, change: Callable[[Archive], None]) -> None:
    assert _refused(settled, repacked(_exported(settled), change))


def test_cut_short_anywhere(settled: World) -> None:
    file = _exported(settled)
    data = file.read_bytes()
    draw = random.Random(31)  # noqa: S311 - a place to cut
    for length in (0, 1, 511, 512, 1024, *draw.sample(range(len(data)), 8)):
        file.write_bytes(data[:length])
        assert _refused(settled, file)


def test_a_bit_anywhere(settled: World) -> None:
    file = _exported(settled)
    data = file.read_bytes()
    draw = random.Random(31)  # noqa: S311 - a place to flip
    for place in draw.sample(range(len(data)), 12):
        file.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        assert _refused(settled, file)
