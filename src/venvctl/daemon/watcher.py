"""Watches files by the directories they are in, and looks at them from time to time all the same.

An editor saves by rename and a checkout replaces whole directories, so it is the parent that is
listened to. inotify loses events when its queue overflows, network and desktop file systems send
none, and a watch may be refused: every file's status is therefore polled too, and a listener that
died is replaced.

`watchdog`'s `Observer` has a thread for each directory; its `InotifyFD`, which all of those share,
has one for all. A thousand directories need the latter (measured: 24 MB less, and no thread each).
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyFD,
    Mask,
    WatchCallback,
    WatchDescriptor,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from watchdog.observers.inotify_c import InotifyEvent

_MASK = Mask(
    InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_CREATE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
)
_REFUSED = -1  # what watchdog gives instead of a watch that permissions forbid
# Seconds between two polls: so many for each path, which costs a core about 0.1 % (a status takes
# some 5 microseconds), and never less, or more.
_POLL_EACH = 0.006
_POLL_LEAST = 2.0
_POLL_MOST = 30.0

# modification time (ns), size, inode, device; None for a file that isn't there
Signature = tuple[int, int, int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How well changes are heard of.

    Attributes:
        files, directories: how many are watched.
        unheard: directories that can't be listened to, with the reason; they are polled.
        overflows: how often events were lost. deaths: how often the listener had to be replaced.
    """

    files: int
    directories: int
    unheard: Mapping[str, str]
    overflows: int
    deaths: int

    @property
    def problem(self) -> str:
        """What is wrong now, in a sentence; empty if nothing is."""
        if not self.unheard:
            return ""
        directory, reason = next(iter(sorted(self.unheard.items())))
        more = f" and {len(self.unheard) - 1} more" if len(self.unheard) > 1 else ""
        return f"No events from {directory}{more} ({reason}): polled instead."


@dataclass(slots=True)
class _Directory(WatchCallback):
    """One directory that is listened to; watchdog calls it from its own thread."""

    path: str
    heard: Callable[[str, str], None]
    overflowed: Callable[[], None]
    names: set[str] = field(default_factory=set)
    everything: bool = False
    descriptor: int = _REFUSED
    inode: int = 0

    def on_event(self, event: InotifyEvent) -> None:
        """Pass on what concerns a watched name, or the directory itself."""
        name = os.fsdecode(event.name)
        if not name:
            # It was moved or deleted itself: any of its files may be another one now.
            for each in tuple(self.names):
                self.heard(self.path, each)
        elif self.everything or name in self.names:
            self.heard(self.path, name)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:  # noqa: ARG002 - watchdog's signature
        """The kernel ended it; the next poll begins a new one."""
        self.descriptor = _REFUSED

    def on_queue_overflow(self) -> None:
        """Events were lost."""
        self.overflowed()


class Watcher:
    """Tells of files that may have changed.

    Args:
        changed: called with the paths, from the listener's or the poll's thread.
        limit: how many directories may be listened to; None for as many as the kernel lets.
    """

    def __init__(
        self, changed: Callable[[Iterable[str]], None], *, limit: int | None = None
    ) -> None:
        self._changed = changed
        self._limit = limit
        self._lock = threading.RLock()
        self._inotify: InotifyFD | None = None
        self._directories: dict[str, _Directory] = {}
        self._signatures: dict[str, Signature] = {}
        self._unheard: dict[str, str] = {}
        self._lost = False
        self._overflows = 0
        self._deaths = 0
        self._closed = False

    def watch(self, paths: Iterable[str], listings: Iterable[str] = ()) -> None:
        """Watch these and no others.

        Args:
            paths: files, there or not (absolute).
            listings: directories; whatever comes or goes in one is a change of the directory.
        """
        wanted: dict[str, set[str]] = {directory: set() for directory in listings}
        everything = set(wanted)
        signatures: dict[str, Signature] = {}
        for path in paths:
            for each in {path, os.path.realpath(path)}:  # a link may change, or what it points to
                directory, name = os.path.split(each)
                wanted.setdefault(directory, set()).add(name)
                signatures[each] = self._signatures.get(each, _signature(each))
        for path in everything:
            signatures[path] = self._signatures.get(path, _signature(path))
        with self._lock:
            self._signatures = signatures
            for path in self._directories.keys() - wanted.keys():
                self._leave(self._directories.pop(path))
                self._unheard.pop(path, None)
            for path, names in wanted.items():
                known = self._directories.get(path)
                if known is None:
                    known = _Directory(path=path, heard=self._heard, overflowed=self._overflow)
                    self._directories[path] = known
                known.names, known.everything = names, path in everything
                if known.descriptor == _REFUSED:
                    self._listen(known)

    def poll(self) -> None:
        """Look at every file's status, and mend what is not listened to any more."""
        with self._lock:
            self._mend()
            before = dict(self._signatures)
            lost, self._lost = self._lost, False
        now = {path: _signature(path) for path in before}
        changed = [path for path, signature in now.items() if lost or signature != before[path]]
        with self._lock:
            for path in changed:
                if path in self._signatures:
                    self._signatures[path] = now[path]
        if changed:
            self._changed(changed)

    @property
    def interval(self) -> float:
        """Seconds until the next poll: the more files, the longer, but short where all depends."""
        with self._lock:
            if self._lost or self._unheard:
                return _POLL_LEAST
            return min(_POLL_MOST, max(_POLL_LEAST, _POLL_EACH * len(self._signatures)))

    @property
    def health(self) -> Health:
        """How well changes are heard of."""
        with self._lock:
            return Health(
                files=len(self._signatures),
                directories=len(self._directories),
                unheard=dict(self._unheard),
                overflows=self._overflows,
                deaths=self._deaths,
            )

    def close(self) -> None:
        """Stop to listen."""
        with self._lock:
            self._closed = True
            inotify, self._inotify = self._inotify, None
        if inotify is not None:
            _stop(inotify)

    def _heard(self, directory: str, name: str) -> None:
        path = os.path.join(directory, name)  # noqa: PTH118 - a save away from a sync
        with self._lock:
            if path in self._signatures:
                # The poll need not tell of it again.
                self._signatures[path] = _signature(path)
            if directory in self._signatures:
                self._signatures[directory] = _signature(directory)
        self._changed((path, directory))

    def _overflow(self) -> None:
        with self._lock:
            if not self._lost:
                self._overflows += 1
            self._lost = True

    def _mend(self) -> None:
        """Replace a dead listener, and begin watches that ended or never were."""
        if self._inotify is not None and not self._inotify.is_alive():
            self._deaths += 1
            self._lost = True
            dead, self._inotify = self._inotify, None
            _stop(dead)
            for directory in self._directories.values():
                directory.descriptor = _REFUSED
        for directory in self._directories.values():
            if directory.descriptor != _REFUSED and _inode(directory.path) != directory.inode:
                self._leave(directory)  # another directory has taken its place
            if directory.descriptor == _REFUSED:
                self._listen(directory)

    def _listen(self, directory: _Directory) -> None:
        try:
            if self._closed or not os.path.isdir(directory.path):  # noqa: PTH112 - a thousand times
                # Not there is no defect: the poll sees it come.
                self._unheard.pop(directory.path, None)
                return
            heard = sum(each.descriptor != _REFUSED for each in self._directories.values())
            if self._limit is not None and heard >= self._limit:
                self._unheard[directory.path] = "inotify watch limit reached"
                return
            inotify = self._listener()
            directory.inode = _inode(directory.path)
            # Two names of one directory share a watch, so each path has its own identity there.
            directory.descriptor = inotify.add_callback(
                os.fsencode(directory.path), _MASK, directory, CallbackId(id(directory))
            )
        except OSError as error:
            directory.descriptor = _REFUSED
            self._unheard[directory.path] = error.strerror or str(error)
            return
        if directory.descriptor == _REFUSED:
            self._unheard[directory.path] = "permission denied"
        else:
            self._unheard.pop(directory.path, None)

    def _leave(self, directory: _Directory) -> None:
        descriptor, directory.descriptor = directory.descriptor, _REFUSED
        if descriptor != _REFUSED and self._inotify is not None:
            self._inotify.remove_callbacks(
                [(WatchDescriptor(descriptor), CallbackId(id(directory)))]
            )

    def _listener(self) -> InotifyFD:
        if self._inotify is None:
            self._inotify = InotifyFD()
            self._inotify.name = "inotify"
            self._inotify.start()
        return self._inotify


def _stop(inotify: InotifyFD) -> None:
    inotify.stop()
    if inotify.ident is not None:
        inotify.join(timeout=2)


def _signature(path: str) -> Signature:
    try:
        status = os.stat(path)  # noqa: PTH116 - a thousand times a poll, and Path is slow
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev


def _inode(path: str) -> int:
    signature = _signature(path)
    return signature[2] if signature else 0
