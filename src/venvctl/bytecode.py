"""Compiles the modules of new trees in one container of the service's image."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import TYPE_CHECKING, Self

from venvctl import disk
from venvctl.engine.model import Mount, Task
from venvctl.errors import VenvctlError
from venvctl.extraction import PREFIX
from venvctl.manifest import Manifest, ManifestFile
from venvctl.standby import Standby

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from venvctl.engine.model import Engine, TaskResult
    from venvctl.target import Target

_TREES = "/trees"
_OUTPUT = "/bytecode"
# Seconds after the last tree was handed over; even a busy machine compiles 100 KB in a second.
_TIMEOUT = 1800.0
_SHOWN = 2_000  # characters of a container's own words in a message
_HINT = "Set the volume's label venvctl.bytecode=off to go on without bytecode."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Uncompiled:
    tree: str
    path: str


class Compiler:
    """One container that compiles trees while others are still fetched and unpacked.

    It starts when the context is entered, which does not wait for it, and is gone when the context
    is left. It reads the trees and writes into `output` alone, so that not even a source that takes
    over the compiler can change a file of a wheel. It has no network and no capabilities, and runs
    as the owner of the folder.

    Args:
        trees: a folder that will hold the trees.
        output: an empty folder on the same file system.
        target: the interpreter.
        engine: has the image.
        image: has the interpreter.
    """

    def __init__(
        self, trees: Path, *, output: Path, target: Target, engine: Engine, image: str
    ) -> None:
        self._trees = trees
        self._output = output
        self._target = target
        self._standby = Standby(engine, self._task(image))

    def __enter__(self) -> Self:
        """Have the container start."""
        self._standby.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove the container, if it has not ended; returns when it is gone."""
        self._standby.__exit__(kind, error, traceback)

    def add(self, tree: str) -> None:
        """Compile a tree, which is complete now; says nothing of how that goes."""
        self._standby.say(tree)

    def finish(self, manifests: Mapping[str, Manifest]) -> dict[str, Manifest]:
        """Wait for the bytecode of every tree, and add it to their prefixes.

        Args:
            manifests: what is in each of the trees that were added, under their names.

        Returns:
            The manifests with `bytecode` and `uncompiled`, under the same keys.

        Raises:
            VenvctlError: the container failed.
            EngineError, EngineUnreachableError: the engine did not run it.
            DiskFullError, RootError: as `disk.translate`.
        """
        uncompiled = _read(self._standby.end(), self._output)
        return {
            tree: _adopt(
                self._trees / tree,
                replace(
                    manifest,
                    uncompiled=tuple(
                        sorted({item.path for item in uncompiled if item.tree == tree})
                    ),
                ),
                output=self._output / tree,
            )
            for tree, manifest in manifests.items()
        }

    def _task(self, image: str) -> Task:
        owner = self._trees.stat()
        return Task(
            purpose="compile",
            image=image,
            command=(
                *(self._target.interpreter, "-I", "-S", "-B", "-W", "ignore"),
                # The program travels as an argument: the engine need not see where venvctl is.
                *("-c", files("venvctl").joinpath("container/compile.py").read_text("utf-8")),
                *(_TREES, _OUTPUT),
            ),
            mounts=(
                Mount(source=str(self._trees), target=_TREES),
                Mount(source=str(self._output), target=_OUTPUT, read_only=False),
            ),
            # PYTHONHASHSEED: the order of a set in bytecode depends on it in older versions.
            environment={"PYTHONHASHSEED": "0"},
            user=f"{owner.st_uid}:{owner.st_gid}",
            timeout=_TIMEOUT,
        )


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
    """Move a tree's bytecode into its prefix: what was asked for, and nothing else.

    Uses strings where `Path` would take longer than the system call: there are thousands.
    """
    bytecode = []
    directories: set[str] = set()
    sources = {file.path for file in manifest.files if file.path.endswith(".py")}
    # A file called `__pycache__`, or a folder called as bytecode is.
    occupied = {file.path for file in manifest.files} | {
        path for path in manifest.directories if path.endswith(".pyc")
    }
    prefix = f"{tree}/{PREFIX}"
    for path in sorted(_regular_files(str(output))):
        cache, name = posixpath.split(path)
        folder, last = posixpath.split(cache)
        stem, _, tag = name.removesuffix(".pyc").rpartition(".")
        if not tag or last != "__pycache__" or f"{folder}/{stem}.py" not in sources:
            continue  # nothing that the program would write
        if cache in occupied or path in occupied:
            continue  # the wheel has something else there: its module is compiled at each import
        if cache not in directories:
            (tree / PREFIX / cache).mkdir(exist_ok=True)
            (tree / PREFIX / cache).chmod(0o755)
            directories.add(cache)
        with open(f"{output}/{path}", "rb", buffering=0) as stream:  # noqa: PTH123 - see above
            digest = hashlib.sha256(stream.read())
            size = stream.tell()
            # A compiler that was taken over could leave a program that runs as its owner.
            os.fchmod(stream.fileno(), 0o644)
        os.rename(f"{output}/{path}", f"{prefix}/{path}")  # noqa: PTH104 - see above
        bytecode.append(ManifestFile(path, digest.hexdigest(), size, False))  # noqa: FBT003 - a row
    return replace(
        manifest,
        bytecode=tuple(bytecode),
        directories=tuple(sorted(directories.union(manifest.directories))),
    )


def _regular_files(folder: str, below: str = "") -> Iterator[str]:
    """Paths of all regular files in a folder; a link, which could lead anywhere, is no folder."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return  # the wheel has no modules
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _regular_files(entry.path, f"{below}{entry.name}/")
        elif entry.is_file(follow_symlinks=False):
            yield below + entry.name
