"""Compiles the modules of new trees in one container of the service's image."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import TYPE_CHECKING

from venvctl import disk
from venvctl.engine.model import Mount, Task
from venvctl.errors import VenvctlError
from venvctl.extraction import PREFIX
from venvctl.manifest import Manifest, ManifestFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from venvctl.engine.model import Engine, TaskResult
    from venvctl.target import Target

_TREES = "/trees"
_OUTPUT = "/bytecode"
_BASE_TIMEOUT = 600.0  # seconds
_SLOWEST = 100_000  # bytes of source that even a busy machine compiles in a second
_SHOWN = 2_000  # characters of a container's own words in a message
_HINT = "Set the volume's label venvctl.bytecode=off to go on without bytecode."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Uncompiled:
    tree: str
    path: str


def compile_trees(
    trees: Path,
    manifests: Mapping[str, Manifest],
    *,
    output: Path,
    target: Target,
    engine: Engine,
    image: str,
) -> dict[str, Manifest]:
    """Compile every tree below a folder and add the bytecode to its prefix.

    The container reads the trees and writes into `output` alone, so that not even a source that
    takes over the compiler can change a file of a wheel. It has no network and no capabilities,
    and runs as the owner of the folder.

    Args:
        trees: a folder that holds one new tree for each of the manifests, under their keys.
        manifests: what is in the trees.
        output: an empty folder on the same file system.
        target: the interpreter.
        engine: has the image.
        image: has the interpreter.

    Returns:
        The manifests with `bytecode` and `uncompiled`, under the same keys.

    Raises:
        VenvctlError: the container failed.
        DiskFullError, RootError: as `disk.translate`.
    """
    owner = trees.stat()
    sources = sum(
        file.size
        for manifest in manifests.values()
        for file in manifest.files
        if file.path.endswith(".py")
    )
    if not sources:
        return dict(manifests)
    result = engine.run(
        Task(
            purpose="compile",
            image=image,
            command=(
                *(target.interpreter, "-I", "-S", "-B", "-W", "ignore"),
                # The program travels as an argument: the engine need not see where venvctl is.
                *("-c", files("venvctl").joinpath("container/compile.py").read_text("utf-8")),
                *(_TREES, _OUTPUT),
            ),
            mounts=(
                Mount(source=str(trees), target=_TREES),
                Mount(source=str(output), target=_OUTPUT, read_only=False),
            ),
            # PYTHONHASHSEED: the order of a set in bytecode depends on it in older versions.
            environment={"PYTHONHASHSEED": "0"},
            user=f"{owner.st_uid}:{owner.st_gid}",
            timeout=_BASE_TIMEOUT + sources / _SLOWEST,
        )
    )
    uncompiled = _read(result, output)
    return {
        tree: _adopt(
            trees / tree,
            replace(
                manifest,
                uncompiled=tuple(sorted({item.path for item in uncompiled if item.tree == tree})),
            ),
            output=output / tree,
        )
        for tree, manifest in manifests.items()
    }


def _read(result: TaskResult, output: Path) -> list[_Uncompiled]:
    """What the program in the container said; raises what made it fail."""
    uncompiled: list[_Uncompiled] = []
    for line in result.stdout.splitlines():
        try:
            fact = json.loads(line)
        except ValueError:
            continue  # the sources are hostile, and so may be what they made it print
        if not isinstance(fact, dict):
            continue
        if isinstance(fact.get("errno"), int):
            with disk.translate(output):
                raise OSError(fact["errno"], os.strerror(fact["errno"]), str(output))
        uncompiled.append(_Uncompiled(tree=str(fact.get("tree")), path=str(fact.get("path"))))
    if result.timed_out:
        raise VenvctlError("Compiling took too long and was stopped.", hint=_HINT)
    if result.exit_code:
        words = result.stderr.strip()[-_SHOWN:] or "it printed nothing"
        raise VenvctlError(
            f"The container that compiles ended with exit code {result.exit_code}: {words}",
            hint=_HINT,
        )
    return uncompiled


def _adopt(tree: Path, manifest: Manifest, *, output: Path) -> Manifest:
    """Move a tree's bytecode into its prefix: what was asked for, and nothing else."""
    bytecode = []
    directories: set[str] = set()
    sources = {file.path for file in manifest.files if file.path.endswith(".py")}
    # A file called `__pycache__`, or a folder called as bytecode is.
    occupied = {file.path for file in manifest.files} | {
        path for path in manifest.directories if path.endswith(".pyc")
    }
    for path in sorted(_regular_files(output)):
        cache, name = posixpath.split(path)
        folder, last = posixpath.split(cache)
        stem, _, tag = name.removesuffix(".pyc").rpartition(".")
        if not tag or last != "__pycache__" or f"{folder}/{stem}.py" not in sources:
            continue  # nothing that the program would write
        if cache in occupied or path in occupied:
            continue  # the wheel has something else there: its module is compiled at each import
        data = (output / path).read_bytes()
        if cache not in directories:
            (tree / PREFIX / cache).mkdir(exist_ok=True)
            (tree / PREFIX / cache).chmod(0o755)
            directories.add(cache)
        (output / path).rename(tree / PREFIX / path)
        digest = hashlib.sha256(data).hexdigest()
        bytecode.append(ManifestFile(path, digest, len(data), False))  # noqa: FBT003 - a row
    return replace(
        manifest,
        bytecode=tuple(bytecode),
        directories=tuple(sorted(directories.union(manifest.directories))),
    )


def _regular_files(folder: Path, below: str = "") -> Iterator[str]:
    """Paths of all regular files in a folder; a link, which could lead anywhere, is no folder."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return  # the wheel has no modules
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _regular_files(folder / entry.name, f"{below}{entry.name}/")
        elif entry.is_file(follow_symlinks=False):
            yield below + entry.name
