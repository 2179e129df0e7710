"""Wheels unpacked and compiled once for each interpreter, ready to be hard-linked."""

from __future__ import annotations

import gc
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import FileLock

from venvctl import bytecode as bytecode_
from venvctl import disk
from venvctl.errors import CorruptFileError
from venvctl.extraction import PREFIX, SCRIPTS, extract
from venvctl.manifest import EntryPoint, Manifest, ManifestFile
from venvctl.store import Problem, file_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from venvctl.engine.model import Engine
    from venvctl.progress import Progress
    from venvctl.store import Store
    from venvctl.target import Target
    from venvctl.wheels import Limits

__all__ = [
    "EntryPoint",
    "Manifest",
    "ManifestFile",
    "Tree",
    "ensure",
    "iterate",
    "load",
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


def ensure(
    store: Store,
    files: Sequence[tuple[str, Path]],
    target: Target,
    *,
    bytecode: bool,
    engine: Engine,
    image: str,
    progress: Progress,
    limits: Limits | None = None,
) -> list[Tree]:
    """Have a tree for each wheel: unpack and compile those that are new, all in one go.

    What appears is durable: every file is on disk before a tree gets its name.

    Args:
        store: where the trees are.
        files: SHA-256 and path of each wheel.
        target: the interpreter.
        bytecode: whether to compile ahead.
        engine: has the image; not asked when nothing is new.
        image: has the interpreter.
        progress: told of bytes unpacked.
        limits: how big a wheel may get.

    Returns:
        The trees, in the order of the wheels.

    Raises:
        HostileWheelError: a wheel is refused.
        CorruptFileError: wheels whose content is not what the store keeps them under; they have
            been set aside, and can be fetched anew.
        VenvctlError: compiling failed.
        DiskFullError, RootError: as `disk.translate`.
    """
    trees = _load_all(store, [sha256 for sha256, _ in files], target, bytecode=bytecode)
    new = {sha256: path for sha256, path in files if trees[sha256] is None}
    if new:
        disk.make_directory(store.trees)
        with disk.temporary_directory(store.root) as staging, disk.translate(staging):
            made = _unpack(store, new, staging / "trees", target, progress, limits)
            if bytecode:
                progress.stage("compiling")
                output = staging / "bytecode"
                output.mkdir()
                made = bytecode_.compile_trees(
                    staging / "trees",
                    made,
                    output=output,
                    target=target,
                    engine=engine,
                    image=image,
                )
            names = {sha256: tree_name(sha256, target, bytecode=bytecode) for sha256 in made}
            trees |= _publish(store, staging, made, names)
    return [tree for sha256, _ in files if (tree := trees[sha256])]


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


def _unpack(
    store: Store,
    wheels: Mapping[str, Path],
    into: Path,
    target: Target,
    progress: Progress,
    limits: Limits | None,
) -> dict[str, Manifest]:
    """Unpack every wheel into a folder named after its hash."""
    into.mkdir(mode=0o755)
    sizes = {sha256: path.stat().st_size for sha256, path in wheels.items()}
    progress.stage("unpacking", total=sum(sizes.values()), unit="bytes")

    def unpack(sha256: str) -> Manifest | None:
        path = wheels[sha256]
        # Promise 3: a name in the store is the SHA-256 of the content. This is the last moment
        # to find out before the content is linked everywhere.
        if file_digest(path) != sha256:
            return None
        manifest = extract(path, into / sha256, library=target.library, limits=limits)
        progress.advance(sizes[sha256])
        return manifest

    # The biggest first, so that no processor is left alone with it at the end. Threads do as well
    # as processes here (measured): inflating, hashing and writing all let go of the interpreter.
    order = sorted(sizes, key=lambda sha256: (-sizes[sha256], sha256))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = {sha256: pool.submit(unpack, sha256) for sha256 in order}
        try:
            made = {sha256: future.result() for sha256, future in futures.items()}
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    corrupt = [sha256 for sha256, manifest in made.items() if manifest is None]
    if corrupt:
        for sha256 in corrupt:
            store.quarantine(sha256)
        names = ", ".join(sorted(wheels[sha256].name for sha256 in corrupt))
        raise CorruptFileError(
            f"The store's content was damaged, and is set aside: {names}.",
            hint="Run `venvctl sync` again, with the network on: it is fetched anew.",
        )
    return {sha256: manifest for sha256, manifest in made.items() if manifest}


def _publish(
    store: Store, staging: Path, made: Mapping[str, Manifest], names: Mapping[str, str]
) -> dict[str, Tree | None]:
    """Give the trees their names: everything on disk first, a manifest before its tree."""
    for sha256, manifest in made.items():
        (staging / f"{sha256}.json").write_bytes(manifest.to_json())
        (staging / f"{sha256}.json").chmod(0o644)
    disk.sync_filesystem(staging)
    trees: dict[str, Tree | None] = {}
    with _writing(store):
        for sha256, manifest in made.items():
            path = store.trees / names[sha256]
            stored = path.with_name(path.name + ".json")
            trees[sha256] = _load(path)
            if trees[sha256] is None:
                disk.retire_tree(path, store.root)  # what a crash or a removal left behind
                disk.publish(staging / f"{sha256}.json", stored)
                disk.publish(staging / "trees" / sha256, path)
                trees[sha256] = Tree(path=path, manifest=manifest)
    return trees


def _load_all(
    store: Store, hashes: Sequence[str], target: Target, *, bytecode: bool
) -> dict[str, Tree | None]:
    # Tens of thousands of rows appear at once and none of them is garbage: the collector, which
    # would look through them again and again, costs as much as everything else (measured).
    collecting = gc.isenabled()
    gc.disable()
    try:
        return {sha256: load(store, sha256, target, bytecode=bytecode) for sha256 in hashes}
    finally:
        if collecting:
            gc.enable()


def _load(path: Path) -> Tree | None:
    try:
        manifest = Manifest.from_json(path.with_name(path.name + ".json").read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return Tree(path=path, manifest=manifest) if path.is_dir() else None


def _writing(store: Store) -> FileLock:
    """Held while trees get or lose their names; a crashed holder's is free at once."""
    return FileLock(store.trees / _LOCK)
