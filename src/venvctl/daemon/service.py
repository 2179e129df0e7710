"""The daemon: threads that watch, a loop that hands out work, and threads that do it."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from venvctl import plan, settings, timestamps
from venvctl.daemon.feed import Feed
from venvctl.daemon.metrics import Gauges, Metrics, Tally
from venvctl.daemon.orders import Interrupted
from venvctl.daemon.queue import Job, Queue
from venvctl.daemon.reactions import EngineListener, Reaction
from venvctl.daemon.roster import Roster
from venvctl.daemon.worker import Again, Ended, Followed, Worker, WorkProgress
from venvctl.errors import StoppedError, VenvctlError
from venvctl.paths import links
from venvctl.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from venvctl.daemon.notify import Notifier
    from venvctl.daemon.orders import Order
    from venvctl.root import Root
    from venvctl.sync import SyncResult

WORKERS = 8
# Seconds that running work has to come to its next safe place when the daemon is stopped. Whatever
# is left then is as safe as after a crash, which every step is made for.
GRACE = 7.0
_HEARTBEAT = 15.0
_SPREAD = (0.8, 1.2)
_log = logging.getLogger("venvctl.daemon")


class Service:
    """Follows every registered environment of a root until it is told to stop.

    Args:
        root: whose.
        notifier: what systemd is told through.
        workers: how many environments are worked on at once.
    """

    def __init__(self, root: Root, notifier: Notifier, *, workers: int = WORKERS) -> None:
        self.root = root
        self.started = timestamps.now()
        self.feed = Feed()
        self.tally = Tally()
        self.metrics = Metrics(self.tally, self.gauges, root)
        self._notifier = notifier
        self._roster = Roster(root)
        self._watcher = Watcher(self._heard)
        self._worker = Worker(root, self.feed, self.tally)
        self._listener: EngineListener | None = None
        self._changed = threading.Condition()
        self._queue = Queue(time.monotonic, lambda: random.uniform(*_SPREAD))  # noqa: S311 - jitter
        self._followed: dict[str, Followed] = {}
        self._by_path: dict[str, set[str]] = {}
        self._rescan = self._reload = False
        self._stopping = threading.Event()
        self._workers = workers

    def run(self) -> bool:
        """Follow until `stop` is called.

        Returns:
            Whether all work had ended; otherwise threads are left that only the process's end ends.
        """
        self.root.create()
        self._recover()
        self._scan(first=True)
        self._listener = EngineListener(
            self.root.engine,
            images=self._images,
            wanted=self._react,
            returned=lambda: self.reconcile("the engine was away"),
            feed=self.feed,
        )
        self._listener.start()
        poller = threading.Thread(target=self._poll, name="poll", daemon=True)
        poller.start()
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="worker")
        self._notifier.ready()
        self.feed.tell("daemon", _following(len(self._followed)))
        self._check_configuration()
        try:
            self._hand_out(pool)
        finally:
            ended = self._end(pool)
        return ended

    def stop(self) -> None:
        """End soon; may be called from a signal handler."""
        self._stopping.set()
        self._wake()

    def reload(self) -> None:
        """Read registrations and configuration again; may be called from a signal handler."""
        self._reload = True
        self._wake()

    def order(self, name: str, order: Order) -> None:
        """Have something done to an environment, after what runs there now."""
        with self._changed:
            if self._stopping.is_set():
                order.refuse(StoppedError("The daemon is being stopped."))
                return
            self._queue.ordered(name, order)
            self._changed.notify()

    def follow_for(self, name: str, uid: int) -> None:
        """Have an environment's lock read with a user's rights from now on."""
        self._roster.follow_for(name, uid)
        self._rescan = True
        self._wake()

    def reader_of(self, name: str) -> int:
        """The user whose rights an environment's lock is read with."""
        return self._roster.reader(name)

    def owner_of_project(self, name: str) -> int | None:
        """The user who had a project followed; None where it is not followed."""
        return self._roster.owner_of_project(name)

    def follow_project_for(self, name: str, uid: int) -> None:
        """Remember who had a project followed."""
        self._roster.follow_project_for(name, uid)

    def tell_result(self, result: SyncResult, seconds: float) -> None:
        """Count and tell a sync that somebody ordered."""
        self._worker.tell_result(result, seconds)

    def reconcile(self, reason: str) -> None:
        """Have every environment looked at: something may have been missed."""
        with self._changed:
            for name in self._followed:
                self._queue.wanted(name, reason)
            self._changed.notify()

    def problems(self) -> dict[str, str]:
        """What is wrong with each environment that has a problem, by name."""
        with self._changed:
            return {name: each.problem for name, each in self._followed.items() if each.problem}

    def followed(self) -> dict[str, Followed]:
        """What is followed, by name."""
        with self._changed:
            return dict(self._followed)

    @property
    def running(self) -> list[str]:
        """The environments that are being worked on."""
        with self._changed:
            return self._queue.running()

    @property
    def registration_problems(self) -> Mapping[str, str]:
        """Registrations that can't be read, by path."""
        return self._roster.problems

    @property
    def watcher_problem(self) -> str:
        """What keeps changes from being heard of at once; empty if nothing does."""
        return self._watcher.health.problem

    @property
    def engine_up(self) -> bool:
        """Whether the engine answers."""
        return self._listener is not None and self._listener.up

    def gauges(self) -> Gauges:
        """Figures of this moment."""
        health = self._watcher.health
        problems = self.problems()
        with self._changed:
            return Gauges(
                environments=len(self._followed),
                problems=len(problems),
                waiting=self._queue.waiting(),
                running=len(self._queue.running()),
                engine=self.engine_up,
                watcher_healthy=not health.problem,
                files=health.files,
                directories=health.directories,
                overflows=health.overflows,
                deaths=health.deaths,
            )

    def _check_configuration(self) -> None:
        """Tell what is wrong with the configuration files; they are read anew by each sync."""
        try:
            files = settings.load().files
        except VenvctlError as error:
            self.feed.tell("warning", f"{error.message} {error.hint}".rstrip())
        else:
            for path in files:
                self.feed.tell("daemon", f"The configuration file {path} can be used.")

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()

    def _hand_out(self, pool: ThreadPoolExecutor) -> None:
        """The work loop: a signal, a change or a time wakes it."""
        tick = self._notifier.interval / 2 if self._notifier.interval else _HEARTBEAT
        free = threading.Semaphore(self._workers)
        while not self._stopping.is_set():
            self._notifier.feed()
            if self._reload:
                self._reload = False
                self._notifier.reloading()
                self._scan()
                self._check_configuration()
                # What failed because of it is tried again at once.
                self.reconcile("the configuration was read again")
                self._notifier.ready()
            elif self._rescan:
                self._scan()
            job = None
            with self._changed:
                if free.acquire(blocking=False):
                    job = self._queue.take()
                    if job is None:
                        free.release()
                    wait = self._queue.wait()
                else:
                    wait = None  # who ends wakes
                if job is None and not (self._rescan or self._reload or self._stopping.is_set()):
                    self._changed.wait(tick if wait is None else min(tick, max(wait, 0.001)))
            if job is not None:
                pool.submit(self._visit, job, free)
            self._tell_status()

    def _visit(self, job: Job, free: threading.Semaphore) -> None:
        try:
            outcome = self._work(job)
        except Interrupted:
            outcome = Ended()
        except Exception:  # noqa: BLE001 - one environment's trouble is no other's
            _log.exception("%s: venvctl itself failed", job.name)
            outcome = Ended(VenvctlError(f"venvctl itself failed on {job.name}."))
        with self._changed:
            if isinstance(outcome, Again):
                self._queue.again(job, outcome.delay)
            else:
                self._queue.done(job, outcome.error)
            free.release()
            self._changed.notify()

    def _work(self, job: Job) -> Again | Ended:
        progress = WorkProgress(job.name, self.feed, self._stopping)
        if job.order is not None and job.order.abandoned:
            return Ended()
        if job.order is not None:
            self.feed.tell("ordered", f"{job.name}: {job.order.command}", environment=job.name)
            return Ended(job.order.run(progress))
        followed = self.followed().get(job.name)
        if followed is None:
            return Ended()  # it was unregistered meanwhile
        outcome = self._worker.visit(followed, job, progress)
        if any(each not in self._by_path for path in followed.paths for each in links(path)):
            self._watch()
            with self._changed:
                # It may have changed between being read and being watched.
                self._queue.changed(job.name)
        return outcome

    def _scan(self, *, first: bool = False) -> None:
        """Follow what is registered now, and nothing else."""
        self._rescan = False
        self._watch()  # first: what comes while it is read is not missed
        entries = self._roster.read()
        for name in entries.keys() - self._followed.keys():
            followed = Followed(entries[name], self.root)
            with self._changed:
                self._followed[name] = followed
                # What was missed while nobody followed is found by a look at everything.
                if first:
                    self._queue.wanted(name, "the daemon started")
                else:
                    self._queue.changed(name)
            if not first:
                self.feed.tell("followed", f"{name} is followed now.", environment=name)
        for name, entry in entries.items():
            with self._changed:
                known = self._followed[name]
                if known.entry == entry:
                    continue
                # Whoever changed it syncs it too; only a lock that nobody has served is looked at.
                self._followed[name] = Followed(entry, self.root)
                self._queue.changed(name)
        with self._changed:
            gone = self._followed.keys() - entries.keys()
            for name in gone:
                del self._followed[name]
            self._queue.forget(gone)
        for name in sorted(gone):
            self.feed.tell("unfollowed", f"{name} is not followed any more.", environment=name)
        for path, problem in self._roster.problems.items():
            self.feed.tell("failed", f"{path}: {problem}")
        self._watch()

    def _watch(self) -> None:
        with self._changed:
            by_path: dict[str, set[str]] = {}
            for name, followed in self._followed.items():
                for path in followed.paths:
                    for each in links(path):
                        by_path.setdefault(each, set()).add(name)
            self._by_path = by_path
        listings = self._roster.listings
        for listing in listings:
            os.makedirs(listing, mode=0o755, exist_ok=True)  # noqa: PTH103 - text all around
        problem = self._watcher.health.problem
        self._watcher.watch([*by_path, *self._roster.files()], listings)
        if (found := self._watcher.health.problem) and found != problem:
            self.feed.tell("watcher", found)

    def _heard(self, paths: Iterable[str]) -> None:
        """The watcher heard something; from its threads."""
        registrations = self._roster.listings
        with self._changed:
            for path in paths:
                for name in self._by_path.get(path, ()):
                    self._queue.changed(name)
                if path.startswith(registrations) and path not in self._by_path:
                    self._rescan = True
            self._changed.notify()

    def _poll(self) -> None:
        while not self._stopping.wait(self._watcher.interval):
            try:
                self._watcher.poll(everything=False)
                with suppress(VenvctlError):  # the engine may be away
                    self.root.recover()
            except Exception:  # noqa: BLE001 - the safety net must not tear
                _log.exception("a poll failed")

    def _react(self, reaction: Reaction) -> None:
        with self._changed:
            if reaction.name in self._followed:
                self._queue.wanted(reaction.name, reaction.reason, delay=reaction.delay)
                self._changed.notify()

    def _images(self, names: Iterable[str]) -> dict[str, set[str]]:
        """The images that each of these was last synced for, as far as they are followed."""
        followed = self.followed()
        return {
            name: plan.image_ids(self.root.environment(name).state().inputs)
            for name in names
            if name in followed
        }

    def _recover(self) -> None:
        """Remove what a crash left, where nobody else is at work."""
        try:
            with self.root.working():
                pass
        except VenvctlError as error:
            # The engine may be away; whoever works first tries again.
            self.feed.tell("daemon", error.message)

    def _tell_status(self) -> None:
        running = len(self._queue.running())
        text = f"following {len(self._followed)} environments, working on {running}"
        self._notifier.status(text)

    def _end(self, pool: ThreadPoolExecutor) -> bool:
        self._notifier.stopping()
        if self._listener is not None:
            self._listener.stop()
        self._watcher.close()
        pool.shutdown(wait=False)
        deadline = time.monotonic() + GRACE
        with self._changed:
            while self._queue.running() and time.monotonic() < deadline:
                self._changed.wait(0.1)
            while (job := self._queue.take()) is not None:
                if job.order is not None:
                    job.order.refuse(StoppedError("The daemon was stopped before it began."))
            left = self._queue.running()
        self.feed.tell("daemon", "Stopped.")
        self.feed.close()
        return not left


def _following(count: int) -> str:
    return f"Following {count} environment{'' if count == 1 else 's'}."
