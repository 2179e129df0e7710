"""One visit to one environment: has its lock come to rest, does it parse, and then a sync."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from venvctl import interpreters, lockfiles, plan
from venvctl.daemon.orders import Interrupted
from venvctl.daemon.peers import reader
from venvctl.errors import BusyError, LockChangedError, LockError, VenvctlError
from venvctl.lockfiles import Recording
from venvctl.lockfiles.files import LIMIT
from venvctl.settling import QUIET, Settling, Verdict, content
from venvctl.sync import SyncOptions, sync

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from threading import Event

    from venvctl.daemon.feed import Feed
    from venvctl.daemon.metrics import Tally
    from venvctl.daemon.queue import Job
    from venvctl.daemon.roster import Entry
    from venvctl.progress import Progress
    from venvctl.registration import Registration
    from venvctl.root import Root
    from venvctl.sync import SyncResult

# More changes than these are counted, not told.
_LISTED = 3
# Seconds until the next look at an environment that a command works on.
_BUSY = 1.0


@dataclass(frozen=True, slots=True)
class Again:
    """Nothing was done yet; look again after so many seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The visit is over; with what it failed, if it did."""

    error: VenvctlError | None = None


class Followed:
    """What the daemon knows of one environment; one job at a time touches it.

    Attributes:
        problem: what is wrong with it, for a person; empty if nothing is.
        missing: whether that is a file of its lock that can't be had.
        problem_files: of its lock, which that text may quote.
        paths: of its lock's files.

    Args:
        entry: what is to be followed, and with whose rights.
        root: where it is kept.
    """

    def __init__(self, entry: Entry, root: Root) -> None:
        self.entry = entry
        self._root = root
        self.problem = ""
        self.missing = False
        self.problem_files: tuple[str, ...] = ()
        self.paths: tuple[str, ...] = ()
        self.settling = Settling({})
        self._served: Mapping[str, str] = {}
        self.refresh()

    @property
    def registration(self) -> Registration:
        """What its owner asks for."""
        return self.entry.registration

    def refresh(self) -> None:
        """Take over what the last sync read, whoever did it."""
        lock = str(self.registration.specification.lock)
        served = plan.lock_digests(self._root.environment(self.registration.name).state().inputs)
        if lock not in served:
            served = {lock: ""}
        if not self.paths:
            self.paths = tuple(served)
        if served != self._served:
            self._served = served
            self.paths = tuple(served)
            self.settling = Settling(served)

    def serve(self, digests: Mapping[str, str]) -> None:
        """These contents were acted on."""
        self.settling.served(digests)
        self.paths = tuple(digests)


class WorkProgress:
    """Tells the feed of stages, and lets work end between two steps when the daemon stops.

    Args:
        name: the environment's.
        feed: told of stages and warnings.
        stopping: set when the daemon stops.
    """

    def __init__(self, name: str, feed: Feed, stopping: Event) -> None:
        self._name = name
        self._feed = feed
        self._stopping = stopping

    def stage(self, name: str, *, total: int = 0, unit: str = "") -> None:
        """As `Progress`."""
        self._give_way()
        self._feed.tell(
            "stage",
            f"{self._name}: {name}",
            environment=self._name,
            detail={"stage": name, "total": total, "unit": unit},
        )

    def advance(self, amount: int) -> None:  # noqa: ARG002 - `Progress` has it
        """As `Progress`."""
        self._give_way()

    def warn(self, message: str) -> None:
        """As `Progress`."""
        self._feed.tell("warning", f"{self._name}: {message}", environment=self._name)

    def _give_way(self) -> None:
        if self._stopping.is_set():
            raise Interrupted


class Worker:
    """Visits environments, from any number of threads.

    Args:
        root: where they are kept.
        feed: told what happens.
        tally: counts it.
        clock: seconds that only go forward.
    """

    def __init__(
        self, root: Root, feed: Feed, tally: Tally, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._root = root
        self._feed = feed
        self._tally = tally
        self._clock = clock

    def visit(self, followed: Followed, job: Job, progress: Progress) -> Again | Ended:
        """Sync an environment if its lock has changed and settled, or if the job has a reason.

        Args:
            followed: the environment.
            job: why.
            progress: told of the sync's steps.
        """
        followed.refresh()
        read = Recording(reader(followed.entry.reader, limit=LIMIT))
        digests = lockfiles.digests(followed.paths, read)
        verdict = followed.settling.look(digests, self._clock())
        if verdict is Verdict.MOVING:
            return Again(max(0.01, followed.settling.due - self._clock()))
        missing = [path for path, digest in digests.items() if not digest]
        lock = str(followed.registration.specification.lock)
        if verdict in {Verdict.SETTLED, Verdict.MISSING} and lock not in missing:
            found = content(followed.registration, read)
            if found.paths and set(found.paths) != set(followed.paths):
                # It is made of other files now, and those have to be at rest too.
                followed.paths = found.paths
                return Again(QUIET)
            rest = self._clock() - followed.settling.seen_at
            if not missing and (left := found.patience - rest) > 0:
                return Again(left)
        if missing:
            if verdict is Verdict.MISSING:
                self._miss(followed, missing, read)
            return Ended()
        if verdict is Verdict.SAME and not job.reasons:
            if followed.missing:
                followed.problem, followed.missing = "", False
            return Ended()
        return self._sync(followed, job, read, digests, progress)

    def _miss(self, followed: Followed, missing: list[str], read: Callable[[Path], bytes]) -> None:
        lock = str(followed.registration.specification.lock)
        if lock in missing:
            # What it includes is nothing without it, and is no business of who can't read it.
            missing = [lock]
        followed.problem = f"{_why(missing[0], read)}; the environment stays as it is."
        followed.missing = True
        followed.problem_files = () if missing == [lock] else (lock,)
        self._feed.tell(
            "missing",
            followed.problem,
            environment=followed.registration.name,
            files=followed.problem_files,
        )

    def _sync(
        self,
        followed: Followed,
        job: Job,
        read: Recording,
        digests: Mapping[str, str],
        progress: Progress,
    ) -> Again | Ended:
        registration = followed.registration
        name = registration.name
        began = self._clock()
        followed.missing = False
        self._tally.waited(began - job.since)
        self._feed.tell(
            "started",
            f"{name}: {'; '.join(job.reasons) or 'its lock changed'}",
            environment=name,
            detail={"waited": round(began - job.since, 6)},
        )
        try:
            options = SyncOptions(read_bytes=lockfiles.settled(read, digests))
            result = sync(registration, self._root, options, progress)
            if job.reasons:
                self._check_interpreter(followed)
        except BusyError:
            return Again(_BUSY)
        except LockChangedError:
            return Again(QUIET)
        except VenvctlError as error:
            if read.differs(digests):
                # It changed meanwhile. What failed is not what it had, which may come back.
                return Again(QUIET)
            followed.serve(read.digests)
            followed.problem, followed.problem_files = error.message, read.paths
            self._tally.failed(error.code, self._clock() - began)
            self._feed.tell(
                "failed",
                f"{name}: {error.message}",
                environment=name,
                detail={"code": error.code},
                files=read.paths,
            )
            return Ended(error)
        followed.problem = ""
        followed.refresh()
        followed.serve(plan.lock_digests(self._root.environment(name).state().inputs) or digests)
        self.tell_result(result, self._clock() - began)
        return Ended()

    def tell_result(self, result: SyncResult, seconds: float) -> None:
        """Count and tell a sync, whoever asked for it."""
        self._tally.synced(result, seconds)
        restarts = sum(step.action == "restart" for step in result.steps)
        told = [result.outcome]
        if result.previous and result.changes:
            many = len(result.changes) > _LISTED
            told += [f"{len(result.changes)} packages differ"] if many else result.changes
        if restarts:
            told.append(f"{restarts} restarted")
        self._feed.tell(
            "synced",
            f"{result.environment}: {'; '.join(told)}",
            environment=result.environment,
            detail={
                "action": str(result.action),
                "generation": result.generation,
                "fetched": result.fetched,
                "restarts": restarts,
                "seconds": round(seconds, 6),
            },
        )

    def _check_interpreter(self, followed: Followed) -> None:
        """Find holders that run another interpreter than the current generation is for."""
        current = self._root.environment(followed.registration.name).current()
        if current is None or current.key not in self._root.snapshots:
            return
        target = self._root.snapshots.load(current.key).target
        interpreters.check_holders(followed.registration, self._root, target)


def _why(path: str, read: Callable[[Path], bytes]) -> str:
    """Why a file can't be had."""
    try:
        read(Path(path))
    except LockError as error:
        return error.message.rstrip(".")
    return f"{path} could not be read"
