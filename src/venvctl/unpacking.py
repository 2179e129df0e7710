"""Makes the trees of new wheels: each is unpacked and compiled while others are still fetched."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from venvctl import disk, trees
from venvctl.bytecode import Compiler
from venvctl.errors import CorruptFileError
from venvctl.extraction import extract
from venvctl.store import file_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path
    from types import TracebackType

    from venvctl.engine.model import Engine
    from venvctl.manifest import Manifest
    from venvctl.progress import Progress
    from venvctl.store import Store
    from venvctl.target import Target
    from venvctl.trees import Tree
    from venvctl.wheels import Limits


class Unpacking:
    """One piece of work; leaving its context takes away whatever `finish` did not give a name.

    What appears in the store is durable: every file is on disk before a tree gets its name.

    Args:
        store: where the trees are.
        target: the interpreter.
        bytecode: whether to compile ahead.
        engine: has the image; not asked when nothing is new.
        image: has the interpreter.
        limits: how big a wheel may get.
    """

    def __init__(
        self,
        store: Store,
        target: Target,
        *,
        bytecode: bool,
        engine: Engine,
        image: str,
        limits: Limits | None = None,
    ) -> None:
        self._store = store
        self._target = target
        self._bytecode = bytecode
        self._engine = engine
        self._image = image
        self._limits = limits
        self._open = ExitStack()
        self._known: dict[str, Tree | None] = {}
        self._wheels: dict[str, Path] = {}
        self._futures: dict[str, Future[Manifest | None]] = {}
        # Threads do as well as processes here (measured): inflating, hashing and writing all let
        # go of the interpreter.
        self._pool = ThreadPoolExecutor(os.cpu_count())
        self._staging: Path | None = None
        self._compiler: Compiler | None = None
        # Held while what is new is looked at and begun: wheels come from several threads.
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        """Nothing yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End what still runs, and remove what has no name."""
        self._pool.shutdown(cancel_futures=True)
        self._open.__exit__(kind, error, traceback)

    def expect(self, hashes: Iterable[str]) -> None:
        """Get ready for these wheels: where one has no tree, the compiler starts now."""
        with self._lock:
            hashes = [sha256 for sha256 in hashes if sha256 not in self._known]
            # The compiler needs longer to start than all manifests to be read.
            if trees.lacks(self._store, hashes, self._target, bytecode=self._bytecode):
                self._begin()
            self._known |= trees.load_all(
                self._store, hashes, self._target, bytecode=self._bytecode
            )
            if any(self._known[sha256] is None for sha256 in hashes):
                self._begin()

    def present(self) -> list[Tree]:
        """The trees that were there already, of all that was expected; in name order."""
        with self._lock:
            there = [tree for tree in self._known.values() if tree is not None]
        return sorted(there, key=lambda tree: tree.manifest.name)

    def add(self, sha256: str, path: Path, *, verified: bool = False) -> None:
        """Begin with a wheel of the store, unless it has a tree; from any thread.

        Args:
            sha256: what the store keeps it under.
            path: where it is.
            verified: it has been hashed a moment ago.
        """
        with self._lock:
            self.expect([sha256])
            if self._known[sha256] is None and sha256 not in self._wheels:
                self._wheels[sha256] = path
                self._futures[sha256] = self._pool.submit(self._unpack, sha256, verified=verified)

    def finish(self, wheels: Sequence[tuple[str, Path]], progress: Progress) -> list[Tree]:
        """Have a tree for each wheel.

        Args:
            wheels: SHA-256 and path of each; those that were not added before are begun now.
            progress: told of bytes unpacked.

        Returns:
            The trees, in the order of the wheels.

        Raises:
            HostileWheelError: a wheel is refused.
            CorruptFileError: wheels whose content is not what the store keeps them under; they have
                been set aside, and can be fetched anew.
            VenvctlError: compiling failed.
            DiskFullError, RootError: as `disk.translate`.
        """
        self.expect([sha256 for sha256, _ in wheels])
        # The biggest first, so that no processor is left alone with it at the end.
        new = {sha256: path for sha256, path in wheels if self._known[sha256] is None}
        for sha256 in sorted(new, key=lambda sha256: (-new[sha256].stat().st_size, sha256)):
            self.add(sha256, new[sha256])
        if self._staging is not None and self._wheels:
            with disk.translate(self._staging):
                self._known |= self._publish(self._staging, progress)
        return [tree for sha256, _ in wheels if (tree := self._known[sha256])]

    def _begin(self) -> None:
        if self._staging is not None:
            return
        disk.make_directory(self._store.trees)
        staging = self._open.enter_context(disk.temporary_directory(self._store.root))
        with disk.translate(staging):
            (staging / "trees").mkdir(mode=0o755)
            (staging / "trees").chmod(0o755)
        if self._bytecode:
            output = staging / "bytecode"
            with disk.translate(staging):
                output.mkdir()
            self._compiler = self._open.enter_context(
                Compiler(
                    staging / "trees",
                    output=output,
                    target=self._target,
                    engine=self._engine,
                    image=self._image,
                )
            )
        self._staging = staging

    def _unpack(self, sha256: str, *, verified: bool) -> Manifest | None:
        """Unpack one wheel into a folder named after its hash; None if it is another by now."""
        path = self._wheels[sha256]
        # Promise 3: a name in the store is the SHA-256 of the content. This is the last moment
        # to find out before the content is linked everywhere.
        if not verified and file_digest(path) != sha256:
            return None
        if self._staging is None:
            raise ValueError("nothing was begun")
        tree = self._staging / "trees" / sha256
        manifest = extract(path, tree, library=self._target.library, limits=self._limits)
        if self._compiler is not None and any(file.path.endswith(".py") for file in manifest.files):
            self._compiler.add(sha256)
        return manifest

    def _unpacked(self, progress: Progress) -> dict[str, Manifest]:
        """Wait until every wheel is unpacked."""
        waiting = {
            future: self._wheels[sha256].stat().st_size
            for sha256, future in self._futures.items()
            if not future.done()
        }
        progress.stage("unpacking", total=sum(waiting.values()), unit="bytes")
        for future in as_completed(waiting):
            future.result()
            progress.advance(waiting[future])
        made = {sha256: future.result() for sha256, future in self._futures.items()}
        corrupt = [sha256 for sha256, manifest in made.items() if manifest is None]
        if corrupt:
            for sha256 in corrupt:
                self._store.quarantine(sha256)
            names = ", ".join(sorted(self._wheels[sha256].name for sha256 in corrupt))
            raise CorruptFileError(
                f"The store's content was damaged, and is set aside: {names}.",
                hint="Run `venvctl sync` again, with the network on: it is fetched anew.",
            )
        return {sha256: manifest for sha256, manifest in made.items() if manifest}

    def _publish(self, staging: Path, progress: Progress) -> Mapping[str, Tree]:
        made = self._unpacked(progress)
        if self._compiler is not None:
            progress.stage("compiling")
            made = self._compiler.finish(made)
        names = {
            sha256: trees.tree_name(sha256, self._target, bytecode=self._bytecode)
            for sha256 in made
        }
        return trees.publish(self._store, staging, made, names)


def ensure(
    store: Store,
    wheels: Sequence[tuple[str, Path]],
    target: Target,
    *,
    bytecode: bool,
    engine: Engine,
    image: str,
    progress: Progress,
    limits: Limits | None = None,
) -> list[Tree]:
    """Have a tree for each wheel of the store; arguments and errors as `Unpacking`."""
    with Unpacking(
        store, target, bytecode=bytecode, engine=engine, image=image, limits=limits
    ) as unpacking:
        return unpacking.finish(wheels, progress)
