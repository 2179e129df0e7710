"""Follows lockfiles in the foreground: what the daemon does for many, `up --watch` does for one.

`Settling` decides, and is pure: it is handed digests and the time. `Watcher` wakes, and may miss
things (an overflowing queue, a network file system), so that digests are polled as well.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from venvctl import lockfiles
from venvctl.backoff import backoff
from venvctl.errors import LockChangedError, VenvctlError
from venvctl.plan import Action
from venvctl.settling import Settling, Verdict, content
from venvctl.survey import SyncOptions
from venvctl.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    from venvctl.backend import Backend
    from venvctl.progress import Progress
    from venvctl.registration import Registration
    from venvctl.sync import SyncResult

# Seconds between two looks at all digests, whether anything was heard or not.
POLL = 2.0
# Seconds that a sync waits for another writer, who is probably doing the same.
_WAIT = 60.0


class LockWatcher:
    """Wakes whoever waits when a followed file may have changed; a context manager.

    Args:
        limit: how many directories may be listened to; None for as many as the kernel lets.
    """

    def __init__(self, *, limit: int | None = None) -> None:
        self._wake = threading.Event()
        self._watcher = Watcher(lambda _paths: self._wake.set(), limit=limit)

    def __enter__(self) -> Self:
        """Nothing is listened to yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop to listen."""
        self._watcher.close()

    def follow(self, paths: Iterable[str]) -> str:
        """Listen to these files, to the links that lead to them, and to no others.

        Returns:
            Why some can't be listened to, for a person; empty if all can.
        """
        self._watcher.watch(paths)
        return self._watcher.health.problem

    def wait(self, seconds: float) -> None:
        """Return when something changed, or after that time."""
        if self._wake.wait(seconds):
            self._wake.clear()
        self._watcher.poll(everything=False)


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
    """One environment under way: what is known of its lock, and how the last attempts failed."""

    registration: Registration
    backend: Backend
    generation: int
    settling: Settling
    paths: tuple[str, ...]
    told: str = ""
    failures: int = 0
    failed: Mapping[str, str] = field(default_factory=dict)
    patience: float = 0.0


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
        problem = ""
        pause = 0.0  # what was saved before the first look is no less a change
        while True:
            # Each time: a link on the way may lead elsewhere by now.
            before, problem = problem, watcher.follow(p for track in tracks for p in track.paths)
            if problem and problem != before:
                progress.warn(f"{problem} Changes there are noticed within {POLL:.0f} seconds.")
            watcher.wait(pause)
            pause = POLL
            for track in tracks:
                digests = lockfiles.digests(track.paths)
                now = time.monotonic()
                verdict = track.settling.look(digests, now)
                if verdict is Verdict.SAME:
                    continue
                if verdict is Verdict.MOVING:
                    pause = min(pause, track.settling.due - now)
                elif _is_made_otherwise(track):
                    pause = 0.0  # those have to be at rest too
                elif verdict is Verdict.MISSING:
                    gone = tuple(path for path, digest in digests.items() if not digest)
                    yield Followed(environment=track.registration.name, missing=gone)
                elif (left := track.settling.seen_at + track.patience - now) > 0:
                    pause = min(pause, left)
                else:
                    done = _serve(track, digests, offline=offline, progress=progress)
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


def _is_made_otherwise(track: _Track) -> bool:
    """Whether its lock, at rest, is made of other files than those that are followed."""
    found = content(track.registration, lockfiles.read_file)
    track.patience = found.patience
    if not found.paths or set(found.paths) == set(track.paths):
        return False
    track.paths = found.paths
    return True


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
        read_bytes = lockfiles.settled(lockfiles.read_file, digests)
        options = SyncOptions(offline=offline, wait=_WAIT, read_bytes=read_bytes)
        result = track.backend.sync(name, track.registration, options, progress)
    except LockChangedError:
        return None
    except VenvctlError as error:
        if lockfiles.digests(digests) != digests:
            return None  # it changed meanwhile; what failed may not be what it had
        track.settling.served(digests)
        track.failures = track.failures + 1 if digests == track.failed else 1
        track.failed = digests
        how = backoff(error)
        if how and (wait := how.wait(track.failures)) is not None:
            track.settling.retry(time.monotonic() + wait)
            if error.message == track.told:
                return None
        track.told = error.message
        return Followed(environment=name, error=error)
    read = track.backend.served(track.registration)
    failed, track.told, track.failed = track.told, "", {}
    track.paths = tuple(read)
    track.settling.served(read)
    before, track.generation = track.generation, result.generation
    # A daemon that saw the same save may have been faster: what it came to is told all the same.
    # So is that what failed was taken back.
    if result.action is Action.NOTHING and result.generation == before and not failed:
        return None
    return Followed(environment=name, result=result, seconds=time.monotonic() - began)
