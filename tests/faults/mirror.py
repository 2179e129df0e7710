"""Mounts a file system that mirrors a folder, until a file tells it which calls are to fail.

``mirror.py FOLDER MOUNT RULES``; `filesystems.brittle` runs it. Paths are texts all the way, as
the kernel gives them.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mfusepy import FUSE, Operations  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def fallible(call: Callable[..., Any]) -> Callable[..., Any]:
    """Have a call fail where the rules say so."""

    @functools.wraps(call)
    def made(self: Mirror, path: str, *arguments: Any) -> Any:
        with suppress(FileNotFoundError):
            rule = json.loads(self.rules.read_text())
            named = [path, *(each for each in arguments if isinstance(each, str))]
            if call.__name__ in rule["operations"] and any(rule["paths"] in each for each in named):
                raise OSError(rule["number"], os.strerror(rule["number"]))
        return call(self, path, *arguments)

    return made


class Mirror(Operations):  # type: ignore[misc] # untyped
    """Each method is the system call of its name, below the folder.

    Args:
        folder: what is mirrored.
        rules: a file that says which calls fail, if it is there.
    """

    use_ns = True

    def __init__(self, folder: str, rules: str) -> None:
        self._folder = folder
        self.rules = Path(rules)

    @fallible
    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        status = os.lstat(self._folder + path) if fh is None else os.fstat(fh)
        times = {f"st_{kind}time": getattr(status, f"st_{kind}time_ns") for kind in "acm"}
        return {name: getattr(status, name) for name in dir(status) if name[:3] == "st_"} | times

    @fallible
    def readdir(self, path: str, _fh: int) -> Iterator[tuple[str, dict[str, int], int]]:
        for name in (".", "..", *os.listdir(self._folder + path)):
            status = os.lstat(f"{self._folder}{path}/{name}")
            yield name, {"st_ino": status.st_ino, "st_mode": status.st_mode}, 0

    @fallible
    def statfs(self, path: str) -> dict[str, int]:
        status = os.statvfs(self._folder + path)
        return {name: getattr(status, name) for name in dir(status) if name[:2] == "f_"}

    @fallible
    def create(self, path: str, mode: int, _info: object = None) -> int:
        return os.open(self._folder + path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode)

    @fallible
    def open(self, path: str, flags: int) -> int:
        # The kernel says where to append.
        return os.open(self._folder + path, flags & ~os.O_APPEND)

    @fallible
    def read(self, _path: str, size: int, offset: int, handle: int) -> bytes:
        return os.pread(handle, size, offset)

    @fallible
    def write(self, _path: str, data: bytes, offset: int, handle: int) -> int:
        return os.pwrite(handle, data, offset)

    @fallible
    def truncate(self, path: str, length: int, _fh: int | None = None) -> None:
        os.truncate(self._folder + path, length)

    @fallible
    def release(self, _path: str, handle: int) -> None:
        os.close(handle)

    @fallible
    def fsync(self, _path: str, _data: int, handle: int) -> None:
        os.fsync(handle)

    @fallible
    def fsyncdir(self, _path: str, _data: int, _handle: int) -> None:
        return

    @fallible
    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(self._folder + path, mode)

    @fallible
    def rmdir(self, path: str) -> None:
        os.rmdir(self._folder + path)

    @fallible
    def unlink(self, path: str) -> None:
        os.unlink(self._folder + path)

    @fallible
    def rename(self, old: str, new: str) -> None:
        os.rename(self._folder + old, self._folder + new)

    @fallible
    def link(self, target: str, source: str) -> None:
        os.link(self._folder + source, self._folder + target, follow_symlinks=False)

    @fallible
    def symlink(self, target: str, source: str) -> None:
        os.symlink(source, self._folder + target)

    @fallible
    def readlink(self, path: str) -> str:
        return os.readlink(self._folder + path)

    @fallible
    def chmod(self, path: str, mode: int) -> None:
        os.chmod(self._folder + path, mode)

    @fallible
    def chown(self, path: str, uid: int, gid: int) -> None:
        os.lchown(self._folder + path, uid, gid)

    @fallible
    def utimens(self, path: str, times: tuple[int, int]) -> None:
        os.utime(self._folder + path, ns=times, follow_symlinks=False)


def main(folder: str, path: str, rules: str) -> None:
    """Stay until it is unmounted."""
    # Nothing is cached: a call that is to fail has to arrive here.
    options = {"use_ino": True, "hard_remove": True, "direct_io": True, "attr_timeout": 0}
    FUSE(Mirror(folder, rules), path, foreground=True, nothreads=True, entry_timeout=0, **options)


if __name__ == "__main__":
    main(*sys.argv[1:])
