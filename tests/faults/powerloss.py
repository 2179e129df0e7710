"""What a power loss would leave of a root, told from the calls of the process that writes to it.

A disk keeps what was flushed: the content of a file after fsync(2) of it, the names in a directory
after fsync of that, everything after syncfs(2). Whatever came since may be there or not, each part
by itself: a name without the content, half of a content, an old name that is back. `Flushed`
watches these three calls (the real ones, whoever makes them, not what `venvctl.disk` says of them)
and draws one of the states that are possible at a moment; `overlay` makes a root that state.
"""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import stat
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from venvctl import disk

if TYPE_CHECKING:
    from collections.abc import Callable

Inode = tuple[int, int]  # device, number
# Locks and who holds them mean nothing to anybody afterwards.
_VOLATILE = frozenset({"lock", ".lock", "writer", "helpers"})
# The engine here loses no power: what is noted of its helper containers goes on to be true.
_KEPT = "helpers"


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a name in a directory stands for; `target` of a symbolic link."""

    inode: Inode
    kind: int
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Luck:
    """How likely it is that what was not flushed is there all the same.

    Attributes:
        names: for each change of a directory.
        content: for each file.
        seed: what is drawn comes again with the same.
    """

    names: float
    content: float
    seed: str


@dataclass(slots=True)
class Flushed:
    """What of a root is on disk for certain.

    Attributes:
        entries: directory → its names. content: file → its bytes. modes: of both.
        held: open handles, so that no inode's number comes again for something else.
    """

    root: Path
    entries: dict[Inode, dict[str, _Entry]] = field(default_factory=dict)
    content: dict[Inode, bytes] = field(default_factory=dict)
    modes: dict[Inode, int] = field(default_factory=dict)
    held: dict[Inode, int] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def install(self) -> None:
        """Take everything for flushed that is there, and watch this process from now on."""
        self.everything()
        fsync = os.fsync

        def watched(handle: int) -> None:
            fsync(handle)
            self.one(handle)

        os.fsync = watched  # type: ignore[assignment]
        vars(disk)["ctypes"] = _WatchedLibrary(self.everything)

    def everything(self) -> None:
        """A syncfs has returned."""
        with self.lock:
            for path in (self.root, *_walk(self.root)):
                self._keep(path)

    def one(self, handle: int) -> None:
        """An fsync has returned."""
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))  # noqa: PTH115 - a text
        if path == self.root or self.root in path.parents:
            with self.lock:
                # Through the handle: the file may have no name any more.
                self._keep(Path(f"/proc/self/fd/{handle}"), follow=True)

    def draw(self, image: Path, luck: Luck) -> None:
        """Make a directory what the root would be."""
        with self.lock:
            drawing = _Drawing(self, random.Random(luck.seed), luck)  # noqa: S311 - to be replayed
            drawing.directory(_inode(self.root.stat()), image)

    def _keep(self, path: Path, *, follow: bool = False) -> None:
        with suppress(FileNotFoundError):  # another thread has just removed it
            state = path.stat() if follow else path.lstat()
            inode = _inode(state)
            if stat.S_ISDIR(state.st_mode):
                self.entries[inode] = _scan(path)
            elif stat.S_ISREG(state.st_mode):
                self.content[inode] = path.read_bytes()
            else:
                return
            self.modes[inode] = stat.S_IMODE(state.st_mode)
            if inode not in self.held:
                self.held[inode] = os.open(path, os.O_PATH)


class _WatchedLibrary:
    """`ctypes`, whose C library tells of each syncfs that succeeded."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self.get_errno = ctypes.get_errno

    def CDLL(self, name: None, *, use_errno: bool) -> Any:  # noqa: N802 - as ctypes has it
        real = ctypes.CDLL(name, use_errno=use_errno)

        def syncfs(handle: int) -> int:
            answer = int(real.syncfs(handle))
            if answer == 0:
                self._tell()
            return answer

        return type("Library", (), {"syncfs": staticmethod(syncfs)})


class _Drawing:
    """One state, as it is drawn from what is flushed and what is there now."""

    def __init__(self, flushed: Flushed, draw: random.Random, luck: Luck) -> None:
        self._flushed = flushed
        self._draw = draw
        self._luck = luck
        self._paths = {_inode(path.lstat()): path for path in _walk(flushed.root)}
        self._paths[_inode(flushed.root.stat())] = flushed.root
        self._made: dict[Inode, Path] = {}

    def directory(self, inode: Inode, into: Path) -> None:
        """Make a directory with what is in it; it has one place, the first that is found."""
        self._made[inode] = into
        into.mkdir()
        before = self._flushed.entries.get(inode, {})
        real = self._paths.get(inode)
        now = _scan(real) if real else {}
        for name in sorted(before.keys() | now.keys()):
            entry = before.get(name)
            if entry != now.get(name) and self._draw.random() < self._luck.names:
                entry = now.get(name)
            if entry is not None:
                self._entry(entry, into / name)
        into.chmod(self._flushed.modes.get(inode, 0o755))

    def _entry(self, entry: _Entry, path: Path) -> None:
        if stat.S_ISLNK(entry.kind):
            path.symlink_to(entry.target)
        elif stat.S_ISDIR(entry.kind):
            if entry.inode not in self._made:
                self.directory(entry.inode, path)
        elif entry.inode in self._made:
            path.hardlink_to(self._made[entry.inode])
        else:
            path.write_bytes(self._content(entry.inode))
            path.chmod(self._mode(entry.inode))
            self._made[entry.inode] = path

    def _content(self, inode: Inode) -> bytes:
        kept = self._flushed.content.get(inode)
        real = self._paths.get(inode)
        now = real.read_bytes() if real else kept
        if now is None or now == kept or self._draw.random() < self._luck.content:
            return now or b""
        if kept is not None:
            return kept
        # Its length may be there and its blocks not, or a part of them.
        return self._draw.choice([b"", now[: len(now) // 2], bytes(len(now))])

    def _mode(self, inode: Inode) -> int:
        real = self._paths.get(inode)
        now = stat.S_IMODE(real.lstat().st_mode) if real else 0o644
        return self._flushed.modes.get(inode, now)


def overlay(image: Path, root: Path) -> None:
    """Make a root what an image is; directories that stay keep their inodes, as on a disk."""
    there = {entry.name for entry in os.scandir(image)}
    for entry in os.scandir(root):
        if entry.name not in there and entry.name != _KEPT:
            _remove(root / entry.name)
    for name in sorted(there):
        source, target = image / name, root / name
        if _is_directory(source) and _is_directory(target):
            overlay(source, target)
            target.chmod(stat.S_IMODE(source.stat().st_mode))
        else:
            _remove(target)
            source.rename(target)


def _remove(path: Path) -> None:
    if _is_directory(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _inode(state: os.stat_result) -> Inode:
    return state.st_dev, state.st_ino


def _scan(directory: Path) -> dict[str, _Entry]:
    found = {}
    for entry in os.scandir(directory):
        if entry.name not in _VOLATILE:
            with suppress(FileNotFoundError):  # as in `_keep`
                state = entry.stat(follow_symlinks=False)
                target = os.readlink(entry.path) if entry.is_symlink() else ""  # noqa: PTH115 - a text
                found[entry.name] = _Entry(_inode(state), stat.S_IFMT(state.st_mode), target)
    return found


def _walk(directory: Path) -> list[Path]:
    found = []
    with suppress(FileNotFoundError):  # as in `_keep`
        for entry in os.scandir(directory):
            path = directory / entry.name
            found.append(path)
            if entry.is_dir(follow_symlinks=False):
                found += _walk(path)
    return found
