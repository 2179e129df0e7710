"""Where the control socket is, and that one daemon alone has the root and the socket."""

from __future__ import annotations

import fcntl
import grp
import os
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from venvctl import disk
from venvctl.client import GROUP, connect, socket_path
from venvctl.errors import BusyError, DaemonUnreachableError, RootError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MODE = 0o660
_BACKLOG = 64


@contextmanager
def sole(root: Path) -> Iterator[None]:
    """Be the one daemon of a root; a crashed one holds nothing.

    Raises:
        BusyError: another daemon has it; the message names the process.
    """
    path = root / "daemon.lock"
    with disk.translate(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip()
            raise BusyError(
                f"A daemon already runs for {root}: process {holder or 'unknown'}.",
                hint="Commands speak to it by themselves; `systemctl restart venvctl` renews it.",
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


@contextmanager
def listening(passed: socket.socket | None) -> Iterator[socket.socket]:
    """The control socket; one that a dead daemon left behind is replaced.

    Args:
        passed: the socket that systemd made; it is left where it is.

    Raises:
        BusyError: another daemon answers on it.
        RootError: it can't be made.
    """
    if passed is not None:
        yield passed
        passed.close()
        return
    path = socket_path()
    with disk.translate(path):
        _make_directory(path.parent)
        _remove_stale(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            _bind(listener, path)
            inode = path.stat().st_ino
            yield listener
        finally:
            listener.close()
    with suppress(OSError):
        if path.stat().st_ino == inode:  # not a socket that took its place
            path.unlink()


def _bind(listener: socket.socket, path: Path) -> None:
    # Nobody gets in before the mode is what it should be.
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        reason = error.strerror or str(error)
        raise RootError(
            f"The control socket {path} can't be made: {reason}.",
            hint="Set VENVCTL_SOCKET to a path (of less than 108 characters) that can be written.",
        ) from error
    finally:
        os.umask(before)
    with suppress(KeyError, PermissionError):
        os.chown(path, -1, grp.getgrnam(GROUP).gr_gid)
    path.chmod(_MODE)
    listener.listen(_BACKLOG)


def _make_directory(directory: Path) -> None:
    if directory.is_dir():
        return
    # A system's socket must be reachable by the group; a user's is in a directory of their own.
    directory.mkdir(mode=0o755 if os.geteuid() == 0 else 0o750, parents=True)


def _remove_stale(path: Path) -> None:
    if not path.is_socket():
        if path.exists():
            raise RootError(f"{path} is in the way of the control socket: it is no socket.")
        return
    try:
        connect(path).close()
    except DaemonUnreachableError:
        path.unlink(missing_ok=True)
        return
    raise BusyError(
        f"Another daemon answers on {path}.",
        hint="Stop it, or set VENVCTL_SOCKET to another path for this one.",
    )
