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
import time
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

from venvctl.mounts import file_system
from venvctl.paths import inode_of, links, signature_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from watchdog.observers.inotify_c import InotifyEvent

    from venvctl.paths import Signature

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
# Seconds between two polls: so many for each path, and never less, or more. A status takes some 6
# microseconds, so that everything costs 0.04 % of a core, and what nobody tells of 0.1 % at most.
_POLL_EACH = 0.015
_POLL_EACH_UNHEARD = 0.006
_POLL_LEAST = 2.0
_POLL_MOST = 30.0
# Seconds between two looks whether the listener is alive, which cost nothing.
_LOOK = 5.0
# Polls of everything after which directories are compared too that nothing points at.
_THOROUGH = 10
# Where another machine may write, and the kernel here hears nothing of it.
_FOREIGN = frozenset(
    {"9p", "afs", "ceph", "cifs", "glusterfs", "lustre", "nfs", "nfs4", "smb3", "smbfs", "vboxsf"}
)


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
    foreign: bool = False
    moved: bool = False

    @property
    def heard_of(self) -> bool:
        """Whether the kernel tells of all that changes in it."""
        return self.descriptor != _REFUSED and not self.foreign

    def on_event(self, event: InotifyEvent) -> None:
        """Pass on what concerns a watched name, or the directory itself."""
        name = os.fsdecode(event.name)
        if not name:
            # It was moved or deleted itself: any of its files may be another one now.
            self.moved = True
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
        self._polls = 0
        self._everything_at = 0.0
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
            way = links(path)  # any of them may change, or what the last points to
            for each in way:
                directory, name = os.path.split(each)
                wanted.setdefault(directory, set()).add(name)
            for each in {path, way[-1]}:
                signatures[each] = self._signatures.get(each, signature_of(each))
        for path in everything:
            signatures[path] = self._signatures.get(path, signature_of(path))
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

    def poll(self, *, everything: bool = True) -> None:
        """Look at files' status, and mend what is not listened to any more.

        Args:
            everything: else only those that nobody tells of, unless it is time for the others.
        """
        with self._lock:
            self._revive()
            everything = everything or self._lost or time.monotonic() >= self._everything_at
            if everything:
                self._polls += 1
                self._everything_at = time.monotonic() + self._interval
            self._mend(thorough=everything and self._polls % _THOROUGH == 0)
            before = dict(self._signatures) if everything else self._of_unheard()
            lost, self._lost = self._lost, False
        now = {path: signature_of(path) for path in before}
        changed = [path for path, signature in now.items() if lost or signature != before[path]]
        with self._lock:
            for path in changed:
                if path in self._signatures:
                    self._signatures[path] = now[path]
                if (directory := self._directories.get(os.path.dirname(path))) is not None:  # noqa: PTH120 - text all around
                    directory.moved = True
            if changed:
                self._mend(thorough=False)
        if changed:
            self._changed(changed)

    @property
    def interval(self) -> float:
        """Seconds until the next poll is worth it, which then looks at what it is time for."""
        with self._lock:
            if self._lost:
                return _POLL_LEAST
            if unheard := len(self._of_unheard()):
                return min(_LOOK, _between(_POLL_EACH_UNHEARD * unheard))
            return min(_LOOK, self._interval)

    @property
    def _interval(self) -> float:
        """Seconds between two polls of everything."""
        return _between(_POLL_EACH * len(self._signatures))

    def _of_unheard(self) -> dict[str, Signature]:
        """Those in directories that nobody tells of, or that are not there."""
        unheard = {path for path, each in self._directories.items() if not each.heard_of}
        if not unheard:
            return {}
        return {
            path: signature
            for path, signature in self._signatures.items()
            if os.path.dirname(path) in unheard or path in unheard  # noqa: PTH120 - the same
        }

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
                self._signatures[path] = signature_of(path)
            if directory in self._signatures:
                self._signatures[directory] = signature_of(directory)
        self._changed((path, directory))

    def _overflow(self) -> None:
        with self._lock:
            if not self._lost:
                self._overflows += 1
            self._lost = True

    def _revive(self) -> None:
        """Replace a dead listener."""
        if self._inotify is not None and not self._inotify.is_alive():
            self._deaths += 1
            self._lost = True
            dead, self._inotify = self._inotify, None
            _stop(dead)
            for directory in self._directories.values():
                directory.descriptor = _REFUSED

    def _mend(self, *, thorough: bool) -> None:
        """Begin watches that ended or never were, or are of a directory that was replaced."""
        for directory in self._directories.values():
            if directory.descriptor != _REFUSED and (directory.moved or thorough):
                directory.moved = False
                if inode_of(directory.path) != directory.inode:
                    self._leave(directory)
            if directory.descriptor == _REFUSED:
                self._listen(directory)

    def _listen(self, directory: _Directory) -> None:
        try:
            if self._closed or not os.path.isdir(directory.path):  # noqa: PTH112 - a thousand times
                # Not there is no defect: the poll sees it come.
                self._unheard.pop(directory.path, None)
                return
            if self._limit is not None and self._heard_of() >= self._limit:
                self._unheard[directory.path] = "inotify watch limit reached"
                return
            inotify = self._listener()
            directory.inode = inode_of(directory.path)
            directory.foreign = file_system(directory.path) in _FOREIGN
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

    def _heard_of(self) -> int:
        return sum(each.descriptor != _REFUSED for each in self._directories.values())

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


def _between(seconds: float) -> float:
    return min(_POLL_MOST, max(_POLL_LEAST, seconds))


def _stop(inotify: InotifyFD) -> None:
    inotify.stop()
    if inotify.ident is not None:
        inotify.join(timeout=2)
