"""Who works on a root: this process, or the root's daemon that is asked over its socket.

The commands see no difference: what one gives, the other gives.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from venvctl.errors import DaemonUnreachableError

if TYPE_CHECKING:
    from pathlib import Path

    from venvctl.catalogue import ListedEnvironment, ListedSnapshot, SnapshotContent
    from venvctl.comparison import DiffResult
    from venvctl.environments import Event
    from venvctl.progress import Progress
    from venvctl.project import ComposeProject
    from venvctl.registration import Registration
    from venvctl.remote import Remote
    from venvctl.removal import RemoveResult
    from venvctl.restore import RestoreResult
    from venvctl.rollback import RollbackResult
    from venvctl.rollout import StepResult
    from venvctl.root import Root
    from venvctl.sitepackages import PathResult
    from venvctl.status import EnvironmentStatus
    from venvctl.survey import SyncOptions
    from venvctl.sync import SyncResult


class Backend(Protocol):
    """What commands want of a root; errors are those of the functions that do it."""

    @property
    def path(self) -> Path:
        """The root's directory."""
        ...

    def names(self) -> list[str]:
        """The names of all registered environments, sorted."""
        ...

    def environments(self) -> tuple[ListedEnvironment, ...]:
        """As `catalogue.environments`."""
        ...

    def status(self, name: str) -> EnvironmentStatus:
        """As `status.status`."""
        ...

    def history(self, name: str) -> list[Event]:
        """As `Environment.history`."""
        ...

    def history_mark(self, name: str) -> int | None:
        """What changes when the history does; None where only the history tells."""
        ...

    def working(self) -> dict[str, str]:
        """The environments that are being worked on, and by whom (for a person)."""
        ...

    def compare(self, name: str, *, before: int | None, after: int | None) -> DiffResult:
        """As `comparison.compare`."""
        ...

    def site_packages(self, name: str) -> PathResult:
        """As `sitepackages.find`."""
        ...

    def snapshots(self) -> tuple[ListedSnapshot, ...]:
        """As `catalogue.snapshots`."""
        ...

    def snapshot(self, text: str) -> SnapshotContent:
        """As `catalogue.snapshot`."""
        ...

    def has_snapshots(self, name: str) -> bool:
        """Whether there is a snapshot that an environment of that name has, or had."""
        ...

    def sync(
        self,
        name: str,
        registration: Registration | None,
        options: SyncOptions,
        progress: Progress,
    ) -> SyncResult:
        """As `sync.sync`, and the environment is registered; None means as it is registered."""
        ...

    def served(self, registration: Registration) -> dict[str, str]:
        """Digest by path of what the last sync read of its lock: what differs, changed since."""
        ...

    def roll_out(self, name: str, progress: Progress) -> tuple[StepResult, ...]:
        """As `changeover.finish`: what a sync with `defer_rollout` left."""
        ...

    def reserve(self, registration: Registration) -> None:
        """Register an environment and have its volume, though it is not synced yet."""
        ...

    def rollback(self, name: str, *, to: int | None, progress: Progress) -> RollbackResult:
        """As `rollback.rollback`."""
        ...

    def restore(self, name: str, *, snapshot: str | None, progress: Progress) -> RestoreResult:
        """As `restore.restore`."""
        ...

    def remove(self, name: str) -> RemoveResult:
        """As `removal.remove`."""
        ...

    def follow(self, project: ComposeProject) -> None:
        """As `Registry.follow`."""
        ...

    def unfollow(self, project: str) -> bool:
        """As `Registry.unfollow`."""
        ...


class Here:
    """A root of this user's own: read here, and worked on by its daemon where one runs.

    Where none runs, or it goes away in the middle of what may be begun again, this process works.

    Args:
        root: which one.
        wait: seconds that work here waits for another writer.
    """

    def __init__(self, root: Root, *, wait: float = 0.0) -> None:
        self.root = root
        self._wait = wait
        self._looked = False
        self._daemon: Remote | None = None

    @property
    def path(self) -> Path:
        """The root's directory."""
        return self.root.path

    @cached_property
    def _glance(self) -> Root:
        """The root for who asks where environments stand: mostly not for that of one alone."""
        return self.root.glance()

    def names(self) -> list[str]:
        """As `Backend`."""
        return self.root.registry.names()

    def environments(self) -> tuple[ListedEnvironment, ...]:
        """As `Backend`."""
        from venvctl import catalogue  # noqa: PLC0415 - as everywhere here: only who asks for it

        return catalogue.environments(self.root)

    def status(self, name: str) -> EnvironmentStatus:
        """As `Backend`."""
        from venvctl.status import status  # noqa: PLC0415 - see above

        return status(self.root.registry.load(name), self._glance)

    def history(self, name: str) -> list[Event]:
        """As `Backend`."""
        return self.root.environment(name).history()

    def history_mark(self, name: str) -> int | None:
        """As `Backend`."""
        try:
            return (self.root.environment(name).directory / "history.jsonl").stat().st_size
        except FileNotFoundError:
            return 0

    def working(self) -> dict[str, str]:
        """As `Backend`."""
        found = {name: self.root.environment(name).writer() for name in self.names()}
        return {name: writer for name, writer in found.items() if writer}

    def compare(self, name: str, *, before: int | None, after: int | None) -> DiffResult:
        """As `Backend`."""
        from venvctl import comparison  # noqa: PLC0415 - see above

        return comparison.compare(name, self.root, before=before, after=after)

    def site_packages(self, name: str) -> PathResult:
        """As `Backend`."""
        from venvctl import sitepackages  # noqa: PLC0415 - see above

        return sitepackages.find(name, self.root)

    def snapshots(self) -> tuple[ListedSnapshot, ...]:
        """As `Backend`."""
        from venvctl import catalogue  # noqa: PLC0415 - see above

        return catalogue.snapshots(self.root)

    def snapshot(self, text: str) -> SnapshotContent:
        """As `Backend`."""
        from venvctl import catalogue  # noqa: PLC0415 - see above

        return catalogue.snapshot(text, self.root)

    def has_snapshots(self, name: str) -> bool:
        """As `Backend`."""
        return self.root.snapshots.any_of(name)

    def sync(
        self,
        name: str,
        registration: Registration | None,
        options: SyncOptions,
        progress: Progress,
    ) -> SyncResult:
        """As `Backend`; a dry run only reads, and is done here."""
        registration = registration or self.root.registry.load(name)
        daemon = None if options.dry_run else self._find(progress)
        if daemon is not None and daemon.takes(registration):
            try:
                return daemon.sync(name, registration, options, progress)
            except DaemonUnreachableError as error:
                # A sync that had begun is found as it is, and gone on with.
                self._go_on_alone(error, progress)
        from venvctl.sync import sync  # noqa: PLC0415 - see above

        result = sync(registration, self.root, options, progress)
        if not options.dry_run:
            # Also where there was nothing to do: a label that makes no difference now may later.
            self.root.registry.claim(registration)
        return result

    def served(self, registration: Registration) -> dict[str, str]:
        """As `Backend`."""
        from venvctl import plan  # noqa: PLC0415 - see above

        digests = plan.lock_digests(self.root.environment(registration.name).state().inputs)
        lock = str(registration.specification.lock)
        return digests if lock in digests else {lock: ""}

    def roll_out(self, name: str, progress: Progress) -> tuple[StepResult, ...]:
        """As `Backend`."""
        daemon = self._find(progress)
        if daemon is not None:
            try:
                return daemon.roll_out(name, progress)
            except DaemonUnreachableError as error:
                self._go_on_alone(error, progress)
        from venvctl import changeover  # noqa: PLC0415 - see above

        environment = self.root.environment(name)
        with self.root.working(), environment.writing(wait=self._wait):
            return changeover.finish(environment, self.root, progress)

    def reserve(self, registration: Registration) -> None:
        """As `Backend`."""
        from venvctl import volumes  # noqa: PLC0415 - see above

        environment = self.root.environment(registration.name)
        with self.root.working(), environment.writing(wait=self._wait):
            self.root.registry.claim(registration)
            environment.prepare()
            volumes.ensure(self.root.engine, environment, registration.labels)

    def rollback(self, name: str, *, to: int | None, progress: Progress) -> RollbackResult:
        """As `Backend`; begun twice it could go back twice, so it isn't."""
        from venvctl.rollback import rollback  # noqa: PLC0415 - see above

        daemon = self._find(progress)
        if daemon is not None:
            return daemon.rollback(name, to=to, progress=progress)
        return rollback(name, self.root, to=to, progress=progress)

    def restore(self, name: str, *, snapshot: str | None, progress: Progress) -> RestoreResult:
        """As `Backend`."""
        from venvctl.restore import restore  # noqa: PLC0415 - see above

        daemon = self._find(progress)
        if daemon is not None:
            return daemon.restore(name, snapshot=snapshot, progress=progress)
        return restore(name, self.root, snapshot=snapshot, progress=progress)

    def remove(self, name: str) -> RemoveResult:
        """As `Backend`."""
        from venvctl import removal  # noqa: PLC0415 - see above

        return removal.remove(name, self.root)

    def follow(self, project: ComposeProject) -> None:
        """As `Backend`; a running daemon sees the file."""
        self.root.create()
        self.root.registry.follow(project)

    def unfollow(self, project: str) -> bool:
        """As `Backend`."""
        return self.root.registry.unfollow(project)

    def _find(self, progress: Progress) -> Remote | None:
        """The root's daemon, where it does exactly what this process would do."""
        if not self._looked:
            self._looked = True
            from venvctl import remote  # noqa: PLC0415 - see above

            self._daemon = remote.of_own(self.root.path, progress.warn)
        return self._daemon

    def _go_on_alone(self, error: DaemonUnreachableError, progress: Progress) -> None:
        self._daemon = None
        progress.warn(f"{error.message} This command goes on without it.")
