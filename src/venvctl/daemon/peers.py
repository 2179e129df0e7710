"""Who is at the other end of the control socket, and what they may do and read."""

from __future__ import annotations

import os
import pwd
import re
import socket
import struct
import subprocess
import time
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from venvctl.errors import LockError
from venvctl.lockfiles import read_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

_CREDENTIALS = struct.Struct("3i")
_SO_PEERGROUPS = 59  # Linux 4.13; the socket module has no name for it
_GROUPS_MOST = 1024  # bytes, which is what Python's getsockopt takes: 256 groups
_READ_SECONDS = 20.0
# What pip expands in a requirements file: from the daemon's environment that would be a leak.
_VARIABLE = re.compile(rb"\$\{[A-Z0-9_]+\}")
_LOOK_SECONDS = 5.0
_REMEMBERED_SECONDS = 5.0
_REMEMBERED_MOST = 10_000


class Rights(IntEnum):
    """What a peer may do: nothing; what members of the socket's group may; everything."""

    NONE = 0
    MEMBER = 1
    OWNER = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The process at the other end, as the kernel has it.

    Attributes:
        pid: 0 when it can't be told. uid: its effective user. groups: all of its groups' numbers.
    """

    pid: int
    uid: int
    groups: frozenset[int]

    @classmethod
    def of(cls, connection: socket.socket) -> Peer:
        """Ask the kernel."""
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, gid = _CREDENTIALS.unpack(raw)
        try:
            raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_MOST)
            groups = set(struct.unpack(f"{len(raw) // 4}I", raw))
        except OSError:
            groups = _groups_of(uid, gid)  # an old kernel, or too many
        return cls(pid=pid, uid=uid, groups=frozenset({gid, *groups}))

    def rights(self, *, owner: int, group: int) -> Rights:
        """What it may do.

        Args:
            owner: user whose root it is.
            group: the socket's group.
        """
        if self.uid in {0, owner}:
            return Rights.OWNER
        return Rights.MEMBER if group in self.groups else Rights.NONE

    @property
    def name(self) -> str:
        """The user, for messages."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return f"user {self.uid}"


def _groups_of(uid: int, gid: int) -> set[int]:
    try:
        return set(os.getgrouplist(pwd.getpwuid(uid).pw_name, gid))
    except KeyError:
        return set()


def handed(files: Mapping[str, bytes], *, own: bool) -> Callable[[Path], bytes]:
    """A reader of the files that a command read as its own user, and of nothing else.

    Args:
        files: content by path.
        own: whether that user may use the daemon's environment variables.
    """

    def read(path: Path) -> bytes:
        try:
            content = files[str(path)]
        except KeyError:
            raise LockError(
                f"The lockfile {path} was not handed over.",
                hint="Hand over every file that the lock includes.",
            ) from None
        return content if own else _without_variables(path, content)

    return read


def reader(uid: int, *, limit: int) -> Callable[[Path], bytes]:
    """A reader of files that a user may read, by their rights and not by ours.

    Args:
        uid: the user; ours reads directly.
        limit: the largest file, in bytes.

    Raises:
        LockError: when called: that user can't read the file. The message tells no more of it.
    """
    if uid == os.geteuid():
        return read_file

    def read(path: Path) -> bytes:
        return _without_variables(path, _read_as(uid, path, limit))

    return read


def _read_as(uid: int, path: Path, limit: int) -> bytes:
    try:
        account = pwd.getpwuid(uid)
        groups = os.getgrouplist(account.pw_name, account.pw_gid)
    except KeyError:
        raise LockError(f"The lockfile {path} is followed for user {uid}, who is gone.") from None
    refusal = LockError(
        f"The lockfile {path} can't be read by {account.pw_name}.",
        hint=f"Let {account.pw_name} read it, or sync it from an account that can.",
    )
    if not _is_readable(account, groups, str(path)):
        raise refusal
    # What it is may have changed since. So it is read up to the limit, as no device ends; and
    # without waiting, as for a pipe that nobody writes to.
    size, count = 1 << 20, (limit >> 20) + 1
    words = (f"if={path}", f"bs={size}", f"count={count}", "iflag=fullblock,nonblock")
    done = _run_as(account, groups, ("dd", *words, "status=none"), seconds=_READ_SECONDS)
    if done is None or done.returncode != 0 or len(done.stdout) > limit:
        raise refusal
    return done.stdout


def _is_readable(account: pwd.struct_passwd, groups: list[int], path: str) -> bool:
    """Whether a user can read what is a file, and no directory, pipe or device."""
    words = ("test", "-f", path, "-a", "-r", path)
    done = _run_as(account, groups, words, seconds=_LOOK_SECONDS)
    return done is not None and done.returncode == 0


def _run_as(
    account: pwd.struct_passwd, groups: list[int], words: tuple[str, ...], *, seconds: float
) -> subprocess.CompletedProcess[bytes] | None:
    """Run a program as a user; None where it can't be, or takes too long.

    A program of the system, and not our own interpreter, which may be where that user can't go.
    """
    if os.geteuid() != 0:
        return None  # only root can be somebody else
    try:
        return subprocess.run(
            words,
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=groups,
            cwd="/",
            env={"PATH": os.defpath},
            stdin=subprocess.DEVNULL,  # else /dev/stdin would be the daemon's own
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


class Sight:
    """Which files a user can read; remembered for a few seconds, as streams ask often."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], tuple[float, bool]] = {}

    def reads(self, uid: int, paths: Iterable[str]) -> bool:
        """Whether a user can read every one of these files."""
        return all(self._reads(uid, path) for path in paths)

    def _reads(self, uid: int, path: str) -> bool:
        if uid in {0, os.geteuid()}:
            return True
        now = time.monotonic()
        known = self._known.get((uid, path))
        if known is not None and now - known[0] < _REMEMBERED_SECONDS:
            return known[1]
        try:
            account = pwd.getpwuid(uid)
            groups = os.getgrouplist(account.pw_name, account.pw_gid)
        except KeyError:
            return False
        found = _is_readable(account, groups, path)
        if len(self._known) >= _REMEMBERED_MOST:
            self._known.clear()
        self._known[uid, path] = (now, found)
        return found


def _without_variables(path: Path, content: bytes) -> bytes:
    if found := _VARIABLE.search(content):
        raise LockError(
            f"The lockfile {path} has {found[0].decode()}, and the daemon has not your "
            "environment's variables.",
            hint="Give the index's credentials to the daemon (netrc), or sync as the root's owner.",
        )
    return content
