"""Every write that must last: data first, then the name, then the directory, then "done".

A file is written to a temporary sibling, flushed, renamed, and its directory flushed; a tree of
many files is written plainly, flushed by one `syncfs`, and renamed. What `observers` see is the
order in which that happens; the fault suite asserts it, and kills the process between two calls.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import struct
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from venvctl.errors import DiskFullError, RootError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Called with ("write" | "fsync" | "syncfs" | "rename" | "unlink", path) after each has happened.
observers: list[Callable[[str, Path], None]] = []

# What has not got its name yet is called this, beside what it will be.
_UNNAMED = re.compile(r"\..*\.[0-9a-f]{12}")

# What a hard link ends with that can't be: between two file systems or mounts (EXDEV), of an inode
# that has all its links (EMLINK), without hard links or of another owner's file (EPERM).
UNLINKABLE = frozenset({errno.EXDEV, errno.EMLINK, errno.EPERM})

# ioctl_iflags(2), and the flag that ``chattr +T`` sets.
_LONG = struct.calcsize("l")
_GET_FLAGS = 0x80006601 | _LONG << 16
_SET_FLAGS = 0x40006602 | _LONG << 16
_TOP_OF_HIERARCHIES = 0x00020000


def _tell(operation: str, path: Path) -> None:
    for observer in observers:
        observer(operation, path)


@contextmanager
def translate(path: Path, *, needed: int = 0) -> Iterator[None]:
    """Turn what a full, read-only or broken file system answers into our errors.

    Args:
        path: what was being written, for the message.
        needed: how many bytes the work needs, when known; else it is told as one block.

    Raises:
        DiskFullError: no space or quota left (ENOSPC, EDQUOT).
        RootError: read-only file system, I/O error, or no permission.
    """
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise _full(path, error.errno, needed) from error
        if error.errno in {errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM}:
            raise RootError(
                f"Cannot write {path}: {os.strerror(error.errno)}.",
                hint="Check the file system and its owner, or set VENVCTL_ROOT elsewhere.",
            ) from error
        raise


def _full(path: Path, number: int, needed: int) -> DiskFullError:
    """What a full file system lacks: bytes, inodes, or room in this user's quota."""
    state = _file_system(path)
    lack = f"{state.f_bavail * state.f_frsize:,} bytes are free"
    if number == errno.EDQUOT:
        lack = "the quota allows no more"
    elif state.f_files and not state.f_favail:
        lack = "the file system has no inode left for one more file"
    return DiskFullError(
        f"No space left to write {path}: {needed or state.f_frsize:,} bytes are needed; {lack}.",
        hint="Free some space, or run `venvctl gc`, and try again.",
    )


def free_bytes(path: Path) -> int:
    """Bytes that this user may still write on the file system of `path` (or its nearest parent)."""
    state = _file_system(path)
    return state.f_bavail * state.f_frsize


def _file_system(path: Path) -> os.statvfs_result:
    while not path.exists() and path != path.parent:
        path = path.parent
    return os.statvfs(path)


def sync_file(path: Path) -> None:
    """Flush a file's content, which somebody else wrote, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with translate(path):
            os.fsync(handle)
    finally:
        os.close(handle)
    _tell("fsync", path)


def sync_directory(path: Path) -> None:
    """Flush a directory's own entries to disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    _tell("fsync", path)


def sync_filesystem(path: Path) -> None:
    """Flush everything written so far on the file system that holds `path` (one `syncfs`)."""
    handle = os.open(path, os.O_RDONLY)
    try:
        # Python has no os.syncfs; os.sync() would wait for every other file system too.
        if ctypes.CDLL(None, use_errno=True).syncfs(handle) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(handle)
    _tell("syncfs", path)


def make_directory(path: Path, *, mode: int = 0o755) -> None:
    """Create a directory and its parents, with this mode whatever the umask."""
    with translate(path):
        missing = [path]
        while not missing[-1].parent.exists():
            missing.append(missing[-1].parent)
        for directory in reversed(missing):
            try:
                directory.mkdir(mode)
            except FileExistsError:
                continue
            directory.chmod(mode)
            sync_directory(directory.parent)


def write_file(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace a file durably; a reader sees the old content or the new, never less.

    Args:
        path: the file; its directory exists.
        data: the whole new content.
        mode: permission bits, whatever the umask.

    Raises:
        DiskFullError, RootError: as `translate`; the old file is then untouched.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    with translate(path, needed=len(data)):
        try:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fchmod(handle, mode)
                _tell("write", path)
                os.fsync(handle)
                _tell("fsync", path)
            temporary.rename(path)
            _tell("rename", path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def append_line(path: Path, line: str, *, mode: int = 0o644) -> None:
    """Append one line durably; a torn last line of an earlier crash is closed off."""
    with translate(path, needed=len(line.encode()) + 1):
        new = not path.exists()
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, mode)
        try:
            size = os.fstat(handle).st_size
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            _append(handle, (("\n" if torn else "") + line + "\n").encode(), size)
            _tell("write", path)
            os.fsync(handle)
            _tell("fsync", path)
        finally:
            os.close(handle)
        if new:
            path.chmod(mode)
            sync_directory(path.parent)


def _append(handle: int, data: bytes, size: int) -> None:
    """Write all of it or nothing: a disk that gets full takes a part, and says so only later."""
    try:
        while data:
            data = data[os.write(handle, data) :]
    except OSError:
        with suppress(OSError):
            os.ftruncate(handle, size)
        raise


def replace_symlink(path: Path, target: str) -> None:
    """Point a symbolic link elsewhere by one rename; a reader sees the old or the new."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    with translate(path):
        try:
            temporary.symlink_to(target)
            temporary.rename(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        _tell("rename", path)
        sync_directory(path.parent)


def replace_link(path: Path, source: Path) -> bool:
    """Make `path` a hard link of `source` by one rename; whoever has the old file open keeps it.

    The directory is not flushed: there may be thousands, and one `sync_filesystem` does for all.

    Returns:
        False where the two can't be linked; `path` is then untouched.

    Raises:
        DiskFullError, RootError: as `translate`.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}")
    with translate(path):
        try:
            temporary.hardlink_to(source)
        except OSError as error:
            if error.errno in UNLINKABLE:
                return False
            raise
        try:
            temporary.rename(path)
        finally:
            # rename(2) does nothing where both are links of one file already
            temporary.unlink(missing_ok=True)
        _tell("rename", path)
    return True


def publish(source: Path, target: Path) -> None:
    """Give something complete its final name; its content is on disk already.

    Where the name is on another file system, a copy gets it there in the same way.

    Raises:
        FileExistsError: a directory of that name exists and is not empty.
    """
    with translate(target):
        try:
            source.rename(target)
        except OSError as error:
            if error.errno == errno.EXDEV:
                _publish_elsewhere(source, target)
                return
            if error.errno == errno.ENOTEMPTY:
                message = os.strerror(errno.EEXIST)
                raise FileExistsError(errno.EEXIST, message, str(target)) from error
            raise
        _tell("rename", target)
        sync_directory(target.parent)


def _publish_elsewhere(source: Path, target: Path) -> None:
    copy = target.with_name(f".copy.{secrets.token_hex(6)}")
    try:
        if source.is_dir():
            shutil.copytree(source, copy, symlinks=True)
        else:
            shutil.copy2(source, copy)
        sync_filesystem(target.parent)
        publish(copy, target)
    finally:
        remove_tree(copy)
    remove_tree(source)


def remove_file(path: Path) -> None:
    """Remove a file or link durably; one that is gone already is fine."""
    with translate(path):
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return
        _tell("unlink", path)
        sync_directory(path.parent)


def remove_unnamed(directory: Path) -> None:
    """Remove what a crash kept from getting its name; nobody else writes here meanwhile."""
    for entry in os.scandir(directory):
        if _UNNAMED.fullmatch(entry.name):
            remove_tree(directory / entry.name)


def remove_tree(path: Path) -> None:
    """Remove a directory and all in it, read-only parts too; one that is gone already is fine."""

    def unlock(_: object, name: str, error: BaseException) -> None:
        if isinstance(error, FileNotFoundError):
            return
        if not isinstance(error, PermissionError):
            raise error
        parent = os.path.dirname(name)  # noqa: PTH120 - shutil hands a str, and Path is slow here
        os.chmod(parent, stat.S_IRWXU)  # noqa: PTH101 - the same
        os.unlink(name)  # noqa: PTH108 - the same

    with translate(path):
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.exists():
            shutil.rmtree(
                path, onerror=lambda function, name, info: unlock(function, name, info[1])
            )
        _tell("unlink", path)


def retire_tree(path: Path, root: Path) -> None:
    """Remove a directory so that nobody sees half of it: renamed, then removed.

    Where ``root/tmp`` is there it needs no space, so that a full disk can be cleaned up.
    """
    if not path.exists():
        return
    parent = root / "tmp"
    make_directory(parent, mode=0o700)
    grave = parent / secrets.token_hex(8)
    with translate(path):
        try:
            path.rename(grave)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # another file system: it loses its name where it is
            grave = path.with_name(f".grave.{secrets.token_hex(6)}")
            path.rename(grave)
        _tell("rename", path)
        sync_directory(path.parent)
    remove_tree(grave)


@contextmanager
def temporary_directory(root: Path) -> Iterator[Path]:
    """A fresh directory below ``root/tmp`` that is gone afterwards, whatever happens."""
    parent = root / "tmp"
    make_directory(parent, mode=0o700)
    _spread(parent)
    path = parent / secrets.token_hex(8)
    with translate(path):
        path.mkdir(mode=0o755)
    path.chmod(0o755)
    try:
        yield path
    finally:
        with suppress(RootError):
            remove_tree(path)


def _spread(directory: Path) -> None:
    """Have the file system keep apart what is made in a directory, where it knows how.

    ext4 makes a directory near its parent, and passes over each inode that was freed there in the
    last minutes: after thousands were, 10,000 directories took 1 s of a processor instead of 0.2
    (measured). With this flag each one that is made in `directory` begins somewhere else.
    """
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        flags = struct.unpack("l", fcntl.ioctl(handle, _GET_FLAGS, bytes(_LONG)))[0]
        if not flags & _TOP_OF_HIERARCHIES:
            fcntl.ioctl(handle, _SET_FLAGS, struct.pack("l", flags | _TOP_OF_HIERARCHIES))
    except OSError:
        return  # another file system, or somebody else's directory
    finally:
        os.close(handle)
