"""Which file systems are mounted where, as the kernel tells this process."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_TABLE = Path("/proc/self/mountinfo")
# Of these a directory says of each entry what a look at the entry itself says.
_PLAIN = frozenset(["ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "f2fs"])
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class MountPoint:
    """Where a file system is mounted (a whole path), its type, e.g. ``nfs4``, and how."""

    path: str
    type: str
    writable: bool = True


def mount_points(text: str | None = None) -> list[MountPoint]:
    """All mounts that this process sees, the later over the earlier ones.

    Args:
        text: the kernel's table (proc(5), mountinfo), where it is not to be read.

    Raises:
        OSError: it can't be read.
    """
    if text is None:
        text = _TABLE.read_text("utf-8", "surrogateescape")
    found = []
    for line in text.splitlines():
        front, _, more = line.partition(" - ")
        fields = front.split(" ")
        # Spaces and the like are octal escapes there.
        path = _ESCAPE.sub(lambda escape: chr(int(escape[1], 8)), fields[4])
        found.append(MountPoint(path, more.split(" ")[0], "ro" not in fields[5].split(",")))
    return found


def mount_of(path: str, mounts: list[MountPoint]) -> MountPoint | None:
    """The mount that a path without links is on; None where it can't be told."""
    found = None
    for one in mounts:
        inside = path == one.path or path.startswith(one.path.rstrip("/") + "/")
        # Of two at one place the later one hides the earlier.
        if inside and (found is None or len(one.path) >= len(found.path)):
            found = one
    return found


def file_system(path: str) -> str:
    """The type of the file system that a path is on; empty where it can't be told."""
    try:
        found = mount_of(path, mount_points())
    except OSError:
        return ""
    return found.type if found else ""


def lists_inodes(path: str, text: str | None = None) -> bool:
    """Whether readdir(3) tells the inodes of all files below a directory as lstat(2) would.

    Not so on overlays and network file systems, nor where something is mounted over a file: the
    listing has what is below it.

    Args:
        path: whole, and without links.
        text: as for `mount_points`.
    """
    try:
        mounts = mount_points(text)
    except OSError:
        return False
    own = mount_of(path, mounts)
    inside = path.rstrip("/") + "/"
    return (
        own is not None
        and own.type in _PLAIN
        and not any(mount.path.startswith(inside) for mount in mounts)
    )
