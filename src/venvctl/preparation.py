"""All that comes before a switch: the snapshot, its generation, and a trial of that.

Several things are under way at once here, as they need each other only in the end: files are
fetched, unpacked and compiled side by side; what has its tree already is linked meanwhile; and the
container for the trial starts.
"""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from venvctl import acquisition, changeover, dependencies, survey, timestamps
from venvctl.generations import Assembly
from venvctl.smoke import Trial
from venvctl.snapshots import Snapshot
from venvctl.unpacking import Unpacking

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future
    from types import TracebackType

    from venvctl.environments import Generation
    from venvctl.lockfiles import Lock
    from venvctl.manifest import Manifest
    from venvctl.origin import Origin
    from venvctl.selection import Selection
    from venvctl.survey import Look, Work
    from venvctl.target import Target


class Preparation:
    """One generation in the making; leaving the context ends whatever is still under way.

    Args:
        work: the sync.
        look: what is.
        target: the interpreter that the generation is for.

    Attributes:
        before: the packages of the current generation.
        fetched: how many files were fetched. built: how many packages came from source.
    """

    def __init__(self, work: Work, look: Look, target: Target) -> None:
        self.before: Sequence[Origin] = survey.files(work, look.current)
        self.fetched = 0
        self.built = 0
        self._work = work
        self._target = target
        self._image = next(iter(look.images.values()))
        self._open = ExitStack()
        registration, root = work.registration, work.root
        self._trial = self._open.enter_context(
            Trial(
                work.environment, root, image=self._image, target=target, mount=registration.mount
            )
        )
        self._assembly = self._open.enter_context(
            Assembly(
                into=work.environment.generations_directory, root=root.path, progress=work.watch
            )
        )
        # Left before the directory that it links into is removed.
        self._pool = self._open.enter_context(ThreadPoolExecutor(1))
        self._unpacking = self._open.enter_context(
            Unpacking(
                root.store,
                target,
                bytecode=registration.specification.bytecode == "ahead",
                engine=root.engine,
                image=self._image,
            )
        )
        self._snapshot: Snapshot | None = None
        self._manifests: Sequence[Manifest] = ()
        self._ahead: Future[None] | None = None

    def __enter__(self) -> Self:
        """Nothing yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End what is still under way."""
        self._open.__exit__(kind, error, traceback)

    def snapshot(self, lock: Lock, selection: Selection, key: str) -> Snapshot:
        """Have every file in the store, and write down what was chosen.

        Raises:
            VenvctlError: as `acquisition.missing` and `acquisition.acquire`.
        """
        work = self._work
        registration, specification = work.registration, work.registration.specification
        work.environment.prepare()
        absent = acquisition.missing(
            selection, work.root, target=self._target, offline=work.options.offline
        )
        self._trial.expect(selection.files, self.before, smoke=specification.smoke)
        self._unpacking.expect(file.sha256 for file in selection.files if file.kind == "wheel")
        self._ahead = self._pool.submit(self._assembly.begin, self._unpacking.present())
        acquired = acquisition.acquire(
            selection,
            absent,
            lock,
            registration,
            work.root,
            target=self._target,
            image=self._image,
            offline=work.options.offline,
            progress=work.watch,
            unpacking=self._unpacking,
        )
        self.fetched, self.built = acquired.fetched, acquired.built
        snapshot = Snapshot(
            key=key,
            mount=registration.mount,
            image=self._image,
            target=self._target,
            bytecode=specification.bytecode,
            conflicts=specification.conflicts,
            created=timestamps.now(),
            lock_digests=dict(lock.digests),
            files=acquired.files,
            environments={},
        )
        snapshots = work.root.snapshots
        if not snapshots.readable(key):
            snapshots.save(dataclasses.replace(snapshot, environments=snapshots.uses(key)))
        else:
            snapshots.adopt(key, self._image)
        self._snapshot = snapshot
        return snapshot

    def generation(self, snapshot: Snapshot) -> Generation:
        """Make the snapshot's generation.

        Raises:
            VenvctlError: as `Unpacking.finish` and `changeover.link`.
        """
        work = self._work
        wheels = changeover.wheels(snapshot, work.root)
        made = self._unpacking.finish(wheels, work.watch)
        self._manifests = [tree.manifest for tree in made]
        if self._ahead is not None:
            self._ahead.result()
        return changeover.link(
            snapshot, made, work.environment, work.root, self._assembly, work.watch
        )

    def attempt(self, generation: Generation) -> None:
        """Try a generation before it is switched to; warns of packages that don't go together.

        Raises:
            SmokeError: what must pass did not.
        """
        work = self._work
        with ThreadPoolExecutor(1) as pool:
            # The trial is spent waiting for a container.
            conflicts = pool.submit(self._conflicts)
            try:
                self._trial.check(
                    generation,
                    self._of(generation),
                    self.before,
                    smoke=work.registration.specification.smoke,
                    progress=work.watch,
                )
            finally:
                for sentence in conflicts.result():
                    work.watch.warn(sentence)

    def after(self, generation: Generation) -> Sequence[Origin]:
        """The packages of a generation, as far as they can still be told."""
        if self._snapshot is not None and self._snapshot.key == generation.key:
            return self._snapshot.files
        return survey.files(self._work, generation)

    def _conflicts(self) -> list[str]:
        return list(dependencies.conflicts(self._manifests, self._target))

    def _of(self, generation: Generation) -> Snapshot:
        if self._snapshot is not None and self._snapshot.key == generation.key:
            return self._snapshot
        return self._work.root.snapshots.load(generation.key)
