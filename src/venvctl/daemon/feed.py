"""What the daemon did and does, told to whoever listens; the latest are kept for the next one."""

from __future__ import annotations

import queue
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from venvctl.timestamps import now

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_KEPT = 1000
_BEHIND = 1000  # events that a listener may be late by until it is let go


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One thing that happened.

    Attributes:
        number: counts up from 1 while the daemon runs.
        time: UTC, RFC 3339.
        kind: ``followed``, ``unfollowed``, ``started``, ``stage``, ``synced``, ``failed``,
            ``missing``, ``mismatch``, ``ordered``, ``engine``, ``watcher``, ``daemon``.
        environment: its name; empty where it is about none.
        message: a sentence for a person.
        files: of a lock, which the message may quote; only who can read them may see it.
        detail: figures and words for a program.
    """

    number: int
    time: str
    kind: str
    environment: str
    message: str
    detail: Mapping[str, str | int | float] = field(default_factory=dict)
    files: tuple[str, ...] = ()


class Listener:
    """Receives what happens, until it falls too far behind."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Happening | None] = queue.Queue(_BEHIND)

    def put(self, happening: Happening | None) -> bool:
        """Hand it over, None for the end; says whether there was room."""
        try:
            self._queue.put_nowait(happening)
        except queue.Full:
            return False
        return True

    def next(self, timeout: float | None) -> Happening | None:
        """The next thing; None for the end.

        Raises:
            queue.Empty: nothing happened for that many seconds (None waits for ever).
        """
        return self._queue.get(timeout=timeout)


class Feed:
    """Tells every listener; may be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: deque[Happening] = deque(maxlen=_KEPT)
        self._listeners: set[Listener] = set()
        self._number = 0
        self._closed = False

    def tell(
        self,
        kind: str,
        message: str,
        *,
        environment: str = "",
        detail: Mapping[str, str | int | float] | None = None,
        files: Iterable[str] = (),
    ) -> None:
        """Something happened."""
        with self._lock:
            self._number += 1
            happening = Happening(
                number=self._number,
                time=now(),
                kind=kind,
                environment=environment,
                message=message,
                detail=detail or {},
                files=tuple(files),
            )
            self._kept.append(happening)
            self._listeners = {each for each in self._listeners if each.put(happening)}

    @contextmanager
    def listening(self, *, after: int = -1) -> Iterator[Listener]:
        """Listen from now on.

        Args:
            after: first what happened after this number, as far as it is kept; -1 for nothing.
        """
        listener = Listener()
        with self._lock:
            for happening in self._kept if after >= 0 else ():
                if happening.number > after:
                    listener.put(happening)
            if self._closed:
                listener.put(None)
            self._listeners.add(listener)
        try:
            yield listener
        finally:
            with self._lock:
                self._listeners.discard(listener)

    def close(self) -> None:
        """Nothing more will happen."""
        with self._lock:
            self._closed = True
            for listener in self._listeners:
                listener.put(None)
