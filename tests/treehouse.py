"""Trees of wheels that are made for a test, without bytecode: no container runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from estate import NO_ENGINE, TARGET
from venvctl import trees, unpacking
from venvctl.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from venvctl.store import Store
    from wheelhouse import BuiltWheel

SITE = "prefix/lib/python3.11/site-packages"


def keep(store: Store, *wheels: BuiltWheel) -> list[tuple[str, Path]]:
    """Put wheels into a store; the hash and path of each."""
    return [
        (wheel.sha256, store.add(wheel.path, file=wheel.file, sha256=wheel.sha256))
        for wheel in wheels
    ]


def ensure(store: Store, files: Sequence[tuple[str, Path]]) -> list[trees.Tree]:
    """Have a tree of each."""
    return unpacking.ensure(
        store,
        files,
        TARGET,
        bytecode=False,
        engine=NO_ENGINE,
        image="",
        progress=Silent(),
    )


def load(store: Store, sha256: str) -> trees.Tree | None:
    """The tree of a wheel, if there is one."""
    return trees.load(store, sha256, TARGET, bytecode=False)
