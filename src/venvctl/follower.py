"""Follows lockfiles: tells when one has changed and come to rest, and has it synced.

`Settling` decides, and is pure: it is handed digests and the time. `LockWatcher` wakes, and may
miss things (an overflowing queue, a network file system), so that digests are polled as well.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Self

from watchdog.events import (
    EVENT_TYPE_CLOSED,
    EVENT_TYPE_CREATED,
    EVENT_TYPE_DELETED,
    EVENT_TYPE_MODIFIED,
    EVENT_TYPE_MOVED,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from venvctl import lockfiles
from venvctl.errors import ExitCode, LockError, VenvctlError
from venvctl.plan import Action
from venvctl.survey import SyncOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    from watchdog.observers.api import ObservedWatch

    from venvctl.backend import Backend
    from venvctl.progress import Progress
    from venvctl.registration import Registration
    from venvctl.sync import SyncResult

# Seconds for which a file must stay as it is until it counts as saved.
QUIET = 0.3
# What does not parse may be half of a save: for so many seconds at rest it is taken for that.
PATIENCE = 2.0
# So may what names no package at all; taking it at its word would empty the environment.
EMPTY_PATIENCE = 10.0
# Seconds between two looks at all digests, whether anything was heard or not.
POLL = 2.0
# Seconds until a sync that failed for want of somebody else is tried again.
RETRY = 30.0
# Seconds that a sync waits for another writer, who is probably doing the same.
_WAIT = 60.0
_WORTH_A_RETRY = frozenset({ExitCode.UNREACHABLE, ExitCode.UNAVAILABLE, ExitCode.BUSY})
# Reading a file is an event too, which we cause ourselves.
_CHANGES = frozenset(
    {
        EVENT_TYPE_CLOSED,
        EVENT_TYPE_CREATED,
        EVENT_TYPE_DELETED,
        EVENT_TYPE_MODIFIED,
        EVENT_TYPE_MOVED,
    }
)


class Verdict(StrEnum):
    """What one look at the files means.

    Attributes:
        SAME: they are as they were served, or nothing new was seen of them.
        MOVING: they differ, and may still be written.
        SETTLED: they differ, and are at rest; said once.
        MISSING: one of them can't be read, for longer than a save takes; said once.
    """

    SAME = "same"
    MOVING = "moving"
    SETTLED = "settled"
    MISSING = "missing"


class Settling:
    """Tells when files that somebody writes have come to rest.

    Args:
        served: digest by path of what was acted on last.
        quiet: seconds for which a digest must stay the same.
    """

    def __init__(self, served: Mapping[str, str], *, quiet: float = QUIET) -> None:
        self._quiet = quiet
        self._served: dict[str, str] = {}
        self._seen: dict[str, str] = {}
        self._seen_at = 0.0
        self._changed_at: float | None = None
        self._told_missing = False
        self._retry_at: float | None = None
        self.served(served)

    @property
    def changed_at(self) -> float:
        """When the first sign of the change was seen that is looked at now."""
        return self._seen_at if self._changed_at is None else self._changed_at

    @property
    def seen_at(self) -> float:
        """When the content that it has now was seen first."""
        return self._seen_at

    @property
    def due(self) -> float:
        """When files that are moving will have settled, if nothing else happens to them."""
        return self._seen_at + self._quiet

    def look(self, digests: Mapping[str, str], now: float) -> Verdict:
        """Judge the digests of this moment.

        Args:
            digests: by path; empty for a file that can't be read.
            now: seconds on a clock that only goes forward.
        """
        if self._retry_at is not None and now >= self._retry_at:
            self.served({})
        if digests == self._served:
            self._changed_at = None
            return Verdict.SAME
        if self._changed_at is None:
            self._changed_at = now
            self._see(digests, now)
        elif digests != self._seen:
            self._see(digests, now)
        if now < self.due:
            return Verdict.MOVING
        if all(digests.values()):
            return Verdict.SETTLED
        if self._told_missing:
            return Verdict.SAME
        self._told_missing = True
        return Verdict.MISSING

    def served(self, digests: Mapping[str, str]) -> None:
        """These digests were acted on: only others count as a change now."""
        self._served = dict(digests)
        self._changed_at = self._retry_at = None

    def _see(self, digests: Mapping[str, str], now: float) -> None:
        self._seen, self._seen_at, self._told_missing = dict(digests), now, False

    def retry(self, at: float) -> None:
        """Let what was served count as a change again from then on."""
        self._retry_at = at


def patience(registration: Registration, read_bytes: Callable[[Path], bytes]) -> float:
    """Seconds for which a lock's content may still be half of a save, though it is at rest.

    Args:
        registration: whose lock.
        read_bytes: reads its files.
    """
    specification = registration.specification
    options = lockfiles.LockOptions(
        format=specification.format,
        extras=specification.extras,
        groups=specification.groups,
        package=specification.package,
        project=registration.directory,
    )
    try:
        lock = lockfiles.read(specification.lock, options=options, read_bytes=read_bytes)
    except LockError:
        return PATIENCE
    return 0.0 if lock.pins or lock.pylock.packages else EMPTY_PATIENCE


class LockWatcher(FileSystemEventHandler):
    """Wakes whoever waits when something changes beside the followed files; a context manager."""

    def __init__(self) -> None:
        self._observer = Observer()
        self._wake = threading.Event()
        self._watches: dict[str, ObservedWatch] = {}

    def __enter__(self) -> Self:
        """Start to listen."""
        self._observer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop to listen."""
        self._observer.stop()
        self._observer.join()

    def follow(self, paths: Iterable[str]) -> str:
        """Listen to the directories of these files, and to no others.

        A directory and not the file: an editor that saves by rename makes a new file.

        Returns:
            Why some can't be listened to, for a person; empty if all can.
        """
        wanted = {
            str(directory)
            for path in paths
            # A link may point elsewhere, and the file that it points to may change.
            for directory in {Path(path).parent, Path(path).resolve().parent}
            if directory.is_dir()
        }
        for directory in self._watches.keys() - wanted:
            self._observer.unschedule(self._watches.pop(directory))
        for directory in sorted(wanted - self._watches.keys()):
            try:
                self._watches[directory] = self._observer.schedule(self, directory)
            except OSError as error:
                return f"{directory} can't be listened to: {error.strerror}."
        return ""

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Wake, unless somebody only read."""
        if event.event_type in _CHANGES:
            self._wake.set()

    def wait(self, seconds: float) -> None:
        """Return when something changed, or after that time."""
        if self._wake.wait(seconds):
            self._wake.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What following an environment came to.

    Attributes:
        environment: its name.
        result: the sync that was done; None where it failed, or a lock is missing.
        error: what it failed with.
        missing: files of its lock that can't be read; nothing is done about them.
        seconds: from the first sign of the change until it was served.
    """

    environment: str
    result: SyncResult | None = None
    error: VenvctlError | None = None
    missing: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Goal:
    """One environment to be followed: as it was asked for, who works on it, its generation."""

    registration: Registration
    backend: Backend
    generation: int


@dataclass(slots=True)
class _Track:
    """One environment under way: what is known of its lock, and the last error told."""

    registration: Registration
    backend: Backend
    generation: int
    settling: Settling
    paths: tuple[str, ...]
    told: str = ""


def follow(goals: Sequence[Goal], *, offline: bool, progress: Progress) -> Iterator[Followed]:
    """Sync each environment whenever its lock has changed; never ends by itself.

    A failure is given, not raised: the next change may mend it. A lock that is gone is told, and
    nothing is done about it.

    Args:
        goals: which ones.
        offline: ask no index.
        progress: told of each sync's steps.
    """
    tracks = [_start(goal) for goal in goals]
    with LockWatcher() as watcher:
        _listen(watcher, tracks, progress)
        pause = 0.0  # what was saved before the first look is no less a change
        while True:
            watcher.wait(pause)
            pause = POLL
            for track in tracks:
                digests = lockfiles.digests(track.paths)
                now = time.monotonic()
                verdict = track.settling.look(digests, now)
                if verdict is Verdict.MOVING:
                    pause = min(pause, track.settling.due - now)
                elif verdict is Verdict.MISSING:
                    gone = tuple(path for path, digest in digests.items() if not digest)
                    yield Followed(environment=track.registration.name, missing=gone)
                elif verdict is Verdict.SETTLED and (left := _left(track, now)) > 0:
                    pause = min(pause, left)
                elif verdict is Verdict.SETTLED:
                    done = _serve(track, digests, offline=offline, progress=progress)
                    _listen(watcher, tracks, progress)
                    pause = 0.0  # it took time: somebody else's lock may have changed
                    if done is not None:
                        yield done


def _start(goal: Goal) -> _Track:
    digests = goal.backend.served(goal.registration)
    return _Track(
        registration=goal.registration,
        backend=goal.backend,
        generation=goal.generation,
        settling=Settling(digests),
        paths=tuple(digests),
    )


def _left(track: _Track, now: float) -> float:
    """Seconds until its content is taken at its word."""
    rest = now - track.settling.seen_at
    if rest >= EMPTY_PATIENCE:
        return 0.0
    return patience(track.registration, lockfiles.read_file) - rest


def _listen(watcher: LockWatcher, tracks: Iterable[_Track], progress: Progress) -> None:
    problem = watcher.follow(path for track in tracks for path in track.paths)
    if problem:
        progress.warn(f"{problem} Changes there are noticed within {POLL:.0f} seconds.")


def _serve(
    track: _Track,
    digests: Mapping[str, str],
    *,
    offline: bool,
    progress: Progress,
) -> Followed | None:
    """Sync one environment; None where there is nothing to tell."""
    name, began = track.registration.name, track.settling.changed_at
    try:
        options = SyncOptions(offline=offline, wait=_WAIT)
        result = track.backend.sync(name, track.registration, options, progress)
    except VenvctlError as error:
        if lockfiles.digests(digests) != digests:
            return None  # it changed meanwhile; what failed may not be what it had
        track.settling.served(digests)
        if error.exit_code in _WORTH_A_RETRY:
            track.settling.retry(time.monotonic() + RETRY)
            if error.message == track.told:
                return None
        track.told = error.message
        return Followed(environment=name, error=error)
    read = track.backend.served(track.registration)
    track.paths, track.told = tuple(read), ""
    track.settling.served(read)
    before, track.generation = track.generation, result.generation
    # A daemon that saw the same save may have been faster: what it came to is told all the same.
    if result.action is Action.NOTHING and result.generation == before:
        return None
    return Followed(environment=name, result=result, seconds=time.monotonic() - began)
