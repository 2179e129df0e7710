"""Which environment is worked on next, and when it is tried again: pure, and told the time.

One job runs for each environment at a time. What a person ordered goes first, then changes of
locks, then what the daemon itself wants to look at. A sync that failed is tried again only where
time can help; new content starts afresh.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from venvctl.backoff import backoff
from venvctl.errors import RolloutWaitsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from venvctl.daemon.orders import Order
    from venvctl.errors import VenvctlError


class Urgency(IntEnum):
    """What goes first.

    Attributes:
        ORDER: somebody waits for it. CHANGE: a lock was saved. LOOK: the daemon's own idea.
    """

    ORDER = 0
    CHANGE = 1
    LOOK = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One visit to one environment.

    Attributes:
        name: the environment's.
        reasons: why, in words for a person; none means that only its lock's content counts.
        order: what somebody waits for, instead of a look.
        since: when the first reason came up, by the queue's clock.
    """

    name: str
    reasons: tuple[str, ...] = ()
    order: Order | None = None
    since: float = 0.0


@dataclass(slots=True)
class _Entry:
    """What is known of one environment; `due` is None when nothing is to be done."""

    due: float | None = None
    urgency: Urgency = Urgency.LOOK
    reasons: dict[str, None] = field(default_factory=dict)
    orders: deque[Order] = field(default_factory=deque)
    since: float = 0.0
    failures: int = 0
    running: bool = False


class Queue:
    """The jobs of all environments; its caller sees to it that one thread at a time is in it.

    Args:
        clock: seconds that only go forward.
        spread: a factor near 1 for each wait, so that a thousand retries don't come at once.
    """

    def __init__(self, clock: Callable[[], float], spread: Callable[[], float]) -> None:
        self._clock = clock
        self._spread = spread
        self._entries: dict[str, _Entry] = {}

    def changed(self, name: str) -> None:
        """Something was heard of its lock: look at once, whatever failed before."""
        entry = self._entry(name)
        entry.failures = 0
        self._want(entry, self._clock(), Urgency.CHANGE)

    def wanted(self, name: str, reason: str, *, delay: float = 0.0) -> None:
        """Have it synced for a reason that is not in its lock."""
        entry = self._entry(name)
        entry.reasons[reason] = None
        entry.failures = 0
        self._want(entry, self._clock() + delay, Urgency.LOOK)

    def ordered(self, name: str, order: Order) -> None:
        """Have something done that somebody waits for."""
        entry = self._entry(name)
        entry.orders.append(order)

    def again(self, job: Job, delay: float) -> None:
        """The job could not begin yet: its file is still being written."""
        entry = self._release(job)
        if entry is not None:
            entry.reasons |= dict.fromkeys(job.reasons)
            self._want(entry, self._clock() + delay, Urgency.CHANGE, since=job.since)

    def done(self, job: Job, error: VenvctlError | None = None) -> float | None:
        """The job ended.

        Args:
            job: which one.
            error: what it failed with.

        Returns:
            Seconds until the next attempt; None if there is none.
        """
        entry = self._release(job)
        if entry is None:
            return None
        if job.order is not None and not isinstance(error, RolloutWaitsError):
            return None  # who ordered it was told, and may order it again
        if error is None:
            entry.failures = 0
            return None
        entry.failures += 1
        how = backoff(error)
        wait = how.wait(entry.failures) if how else None
        if wait is None:
            return None
        wait *= self._spread()
        reasons = dict.fromkeys((*job.reasons, f"the last attempt failed: {error.code}"))
        if entry.due is None:  # else something new is waiting already, and starts afresh
            entry.reasons = reasons
            self._want(entry, self._clock() + wait, Urgency.LOOK)
        return wait

    def take(self) -> Job | None:
        """The next job that is due, now marked as running; None if there is none."""
        now = self._clock()
        best: tuple[Urgency, float, str] | None = None
        for name, entry in self._entries.items():
            if entry.running:
                continue
            if entry.orders:
                candidate = (Urgency.ORDER, 0.0, name)
            elif entry.due is not None and entry.due <= now:
                candidate = (entry.urgency, entry.due, name)
            else:
                continue
            best = min(best, candidate) if best else candidate
        if best is None:
            return None
        name = best[2]
        entry = self._entries[name]
        entry.running = True
        if entry.orders:
            return Job(name=name, order=entry.orders.popleft(), since=now)
        job = Job(name=name, reasons=tuple(entry.reasons), since=entry.since)
        entry.due, entry.reasons, entry.urgency = None, {}, Urgency.LOOK
        return job

    def wait(self) -> float | None:
        """Seconds until something is due; None if nothing is waiting."""
        now = self._clock()
        waits = [
            0.0 if entry.orders else max(0.0, (entry.due or 0.0) - now)
            for entry in self._entries.values()
            if not entry.running and (entry.orders or entry.due is not None)
        ]
        return min(waits, default=None)

    def forget(self, names: Iterable[str]) -> None:
        """These are not followed any more; what was ordered or runs goes on."""
        for name in names:
            entry = self._entries.get(name)
            if entry is None:
                continue
            entry.due, entry.reasons = None, {}
            if not entry.running and not entry.orders:
                del self._entries[name]

    def running(self) -> list[str]:
        """The environments that are being worked on."""
        return sorted(name for name, entry in self._entries.items() if entry.running)

    def waiting(self) -> int:
        """How many have something to be done, now or later."""
        return sum(bool(each.orders) or each.due is not None for each in self._entries.values())

    def _entry(self, name: str) -> _Entry:
        return self._entries.setdefault(name, _Entry())

    def _want(
        self, entry: _Entry, due: float, urgency: Urgency, *, since: float | None = None
    ) -> None:
        if entry.due is None:
            entry.due, entry.urgency = due, urgency
            entry.since = self._clock() if since is None else since
            return
        entry.due = min(entry.due, due)
        entry.urgency = min(entry.urgency, urgency)

    def _release(self, job: Job) -> _Entry | None:
        entry = self._entries.get(job.name)
        if entry is not None:
            entry.running = False
        return entry
