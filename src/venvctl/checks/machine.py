"""Checks of this machine: the root's file system, inotify, free space, the clock."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from venvctl import disk
from venvctl.checks.finding import Finding, ok, problem, warning
from venvctl.mounts import MountPoint, mount_of, mount_points
from venvctl.root import Root

if TYPE_CHECKING:
    from collections.abc import Iterator

_GIGABYTE = 1 << 30
_SCARCE_BYTES = 2 * _GIGABYTE
_NO_BYTES = _GIGABYTE // 4
# A large environment has 50,500 files, its directories and links included 60,000.
_SCARCE_INODES = 100_000
_FEW_WATCHES = 8192
# They tell nobody of changes that another host, or the other side of a desktop's share, makes.
_SILENT_TYPES = re.compile(r"nfs\d?|cifs|smb\d?|9p|fuse\..*|virtiofs|vboxsf|afs|ceph|glusterfs")
_CLOCK_SLACK = 60.0  # seconds
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


def root_directory(path: Path) -> Iterator[Finding]:
    """Whether the root may be used, and is one file system that tells of changes."""
    Root(path)  # says itself what is wrong with it
    if not path.exists():
        yield ok("root", f"The root will be {path}; nothing is there yet.")
    elif not os.access(path, os.W_OK):
        yield problem(
            "root", f"The root {path} can't be written.", "Remount its file system read-write."
        )
    else:
        yield ok("root", f"The root is {path}.")
    mounts = mount_points()
    real = os.path.realpath(path)
    inside = sorted({one.path for one in mounts if one.path.startswith(f"{real.rstrip('/')}/")})
    if inside:
        yield problem(
            "one file system",
            f"Something is mounted inside the root: {', '.join(inside)}. Hard links stop there, "
            "even between two mounts of one file system.",
            f"Unmount it, and mount {real} as a whole.",
        )
    here = mount_of(real, mounts) or MountPoint("/", "")
    if _SILENT_TYPES.fullmatch(here.type):
        yield warning(
            "one file system",
            f"The root is on {here.path}, which is of type {here.type}: slow for many small "
            "files, and its locks and links may not hold.",
            "Set VENVCTL_ROOT to a directory on a local disk.",
        )
    elif not inside:
        yield ok("one file system", f"The root is on {here.path}, of type {here.type}.")


def hard_links(path: Path) -> Iterator[Finding]:
    """Whether hard links work in the root; what is made for it is gone at once."""
    if not path.exists():
        return
    advice = "Set VENVCTL_ROOT to a directory on a local file system such as ext4, XFS or Btrfs."
    one, other = (path / f".doctor-{os.getpid()}-{number}" for number in (1, 2))
    try:
        one.touch(mode=0o600, exist_ok=False)
        other.hardlink_to(one)
        yield ok("hard links", "Hard links work in the root.")
    except OSError as error:
        copies = error.errno in {errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP, errno.EMLINK}
        effect = ": every generation would be a full copy" if copies else ""
        reason = os.strerror(error.errno or 0)
        yield problem(
            "hard links", f"No hard link can be made in {path}: {reason}{effect}.", advice
        )
    finally:
        for file in (one, other):
            with suppress(OSError):
                file.unlink()


def free_space(path: Path) -> Iterator[Finding]:
    """Whether there is room for another environment."""
    free = disk.free_bytes(path)
    there = next(each for each in (path, *path.parents) if each.exists())
    inodes = os.statvfs(there)
    text = f"{free / _GIGABYTE:.1f} GiB are free for {path}"
    if free < _NO_BYTES:
        yield problem("free space", f"Only {text}.", "Free some space, or run `venvctl gc`.")
    elif free < _SCARCE_BYTES:
        yield warning("free space", f"Only {text}.", "Free some space, or run `venvctl gc`.")
    # Some file systems (Btrfs) count no inodes.
    elif inodes.f_files and inodes.f_favail < _SCARCE_INODES:
        yield warning(
            "free space",
            f"{text}, but only {inodes.f_favail:,} inodes: an environment needs one for each file.",
            "Remove small files, or set VENVCTL_ROOT to another file system.",
        )
    else:
        yield ok("free space", f"{text}.")


def inotify(needed: int, *, settings: Path = Path("/proc/sys/fs/inotify")) -> Iterator[Finding]:
    """Whether lockfiles can be watched.

    Args:
        needed: how many directories are watched.
        settings: the kernel's limits.
    """
    watches = int((settings / "max_user_watches").read_text())
    if watches < max(_FEW_WATCHES, 2 * needed):
        yield warning(
            "inotify",
            f"This user may watch {watches:,} files and directories, {needed:,} are needed for "
            "lockfiles, and editors share the same limit.",
            "`sysctl fs.inotify.max_user_watches=524288`, and the same line in /etc/sysctl.d/.",
        )
        return
    library = ctypes.CDLL(None, use_errno=True)
    handle = library.inotify_init1(os.O_CLOEXEC)
    if handle < 0:
        instances = int((settings / "max_user_instances").read_text())
        yield warning(
            "inotify",
            f"No more inotify instances for this user ({os.strerror(ctypes.get_errno())}; the "
            f"limit is {instances:,}): a daemon would only notice changes when it polls.",
            "`sysctl fs.inotify.max_user_instances=1024`, and the same line in /etc/sysctl.d/.",
        )
        return
    os.close(handle)
    yield ok("inotify", f"{watches:,} files and directories may be watched, {needed:,} are needed.")


def clock(path: Path) -> Iterator[Finding]:
    """Whether the clock is set, and never was later than now."""
    now = time.time()
    for file in sorted(path.glob("environments/*/history.jsonl")):
        ahead = file.stat().st_mtime - now
        if ahead > _CLOCK_SLACK:
            yield problem(
                "clock",
                f"{file} was written {ahead:,.0f} seconds from now: the clock was set back.",
                "`timedatectl set-ntp true`; until then the ages of snapshots are wrong.",
            )
            return
    if _clock_state() == _TIME_ERROR:
        yield warning(
            "clock",
            "The kernel says that its clock is not synchronised: certificates and ages of "
            "snapshots depend on it.",
            "`timedatectl set-ntp true`.",
        )
        return
    yield ok("clock", "The clock is synchronised.")


def _clock_state() -> int:
    # `struct timex` with no mode set only reads; the struct has 208 bytes on 64-bit Linux.
    return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)))
