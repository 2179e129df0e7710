"""Wheels unpacked and compiled once for each interpreter, ready to be hard-linked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import FileLock

from venvctl import disk
from venvctl.extraction import PREFIX, SCRIPTS
from venvctl.manifest import EntryPoint, Manifest, ManifestFile, uncollected
from venvctl.store import Problem, file_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from venvctl.store import Store
    from venvctl.target import Target

__all__ = [
    "EntryPoint",
    "Manifest",
    "ManifestFile",
    "Tree",
    "iterate",
    "load",
    "load_all",
    "publish",
    "remove",
    "tree_name",
    "verify",
]

_NAME = re.compile(r"[0-9a-f]{64}-[a-z0-9-]+")
_LOCK = ".lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """One wheel, unpacked and compiled for one interpreter.

    Attributes:
        path: its folder; ``prefix`` in it is what a generation links, ``scripts`` holds the
            scripts that a generation writes for itself.
        manifest: what is in it.
    """

    path: Path
    manifest: Manifest


def tree_name(sha256: str, target: Target, *, bytecode: bool = True) -> str:
    """What the tree of a wheel is called, and its manifest with ``.json`` behind it."""
    return f"{sha256}-{target.cache_tag}" + ("" if bytecode else "-source")


def load(store: Store, sha256: str, target: Target, *, bytecode: bool = True) -> Tree | None:
    """The tree of that wheel, if it is whole; looks at the manifest, not at the files."""
    return _load(store.trees / tree_name(sha256, target, bytecode=bytecode))


def lacks(store: Store, hashes: Iterable[str], target: Target, *, bytecode: bool) -> bool:
    """Whether any of those wheels has no tree; looks for manifests, not into them."""
    return not all(
        (store.trees / f"{tree_name(sha256, target, bytecode=bytecode)}.json").exists()
        for sha256 in hashes
    )


def named(store: Store, name: str) -> Tree | None:
    """The tree of that name, as `load` finds it."""
    return _load(store.trees / name)


def load_all(
    store: Store, hashes: Iterable[str], target: Target, *, bytecode: bool
) -> dict[str, Tree | None]:
    """The tree of each wheel by its SHA-256; None where there is no whole one."""
    with uncollected():
        return {sha256: load(store, sha256, target, bytecode=bytecode) for sha256 in hashes}


def publish(
    store: Store, staging: Path, made: Mapping[str, Manifest], names: Mapping[str, str]
) -> dict[str, Tree]:
    """Give new trees their names: everything on disk first, a manifest before its tree.

    Args:
        store: where they go.
        staging: has each tree in ``trees``, under its key; on the store's file system.
        made: what is in them.
        names: what they will be called, by the same keys.

    Returns:
        The trees by the same keys; that of somebody else, where there is one meanwhile.

    Raises:
        DiskFullError, RootError: as `disk.translate`.
    """
    for sha256, manifest in made.items():
        (staging / f"{sha256}.json").write_bytes(manifest.to_json())
        (staging / f"{sha256}.json").chmod(0o644)
    disk.sync_filesystem(staging)
    trees: dict[str, Tree] = {}
    with _writing(store):
        for sha256, manifest in made.items():
            path = store.trees / names[sha256]
            tree = _load(path)
            if tree is None:
                disk.retire_tree(path, store.root)  # what a crash or a removal left behind
                disk.publish(staging / f"{sha256}.json", path.with_name(path.name + ".json"))
                disk.publish(staging / "trees" / sha256, path)
                tree = Tree(path=path, manifest=manifest)
            trees[sha256] = tree
    return trees


def verify(tree: Tree) -> list[Problem]:
    """Hash every file of a tree again; says which differ or are missing. Changes nothing."""
    manifest = tree.manifest
    problems = []
    for folder, group in (
        (PREFIX, manifest.files),
        (PREFIX, manifest.bytecode),
        (SCRIPTS, manifest.raw_scripts),
    ):
        for file in group:
            path = tree.path / folder / file.path
            if path.is_symlink() or not path.is_file():
                problems.append(Problem(path=path, reason="is missing"))
            elif file_digest(path) != file.sha256:
                problems.append(
                    Problem(path=path, reason="does not have the hash it was made with")
                )
            elif path.stat().st_mode & 0o777 != (0o755 if file.executable else 0o644):
                problems.append(
                    Problem(path=path, reason="does not have the mode it was made with")
                )
    return problems


def iterate(store: Store) -> Iterator[Path]:
    """The folder of every tree, whole or not; its name begins with its wheel's SHA-256."""
    if store.trees.is_dir():
        names = {path.name.removesuffix(".json") for path in store.trees.iterdir()}
        yield from (store.trees / name for name in sorted(names) if _NAME.fullmatch(name))


def remove(store: Store, name: str) -> None:
    """Remove a tree and its manifest, so that nobody ever takes half of it for a tree."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!a} is not the name of a tree")
    with _writing(store):
        disk.remove_file(store.trees / f"{name}.json")
        disk.retire_tree(store.trees / name, store.root)


def _load(path: Path) -> Tree | None:
    try:
        manifest = Manifest.from_json(path.with_name(path.name + ".json").read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return Tree(path=path, manifest=manifest) if path.is_dir() else None


def _writing(store: Store) -> FileLock:
    """Held while trees get or lose their names; a crashed holder's is free at once."""
    return FileLock(store.trees / _LOCK)
