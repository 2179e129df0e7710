"""Which file systems are mounted where, as the kernel tells this process."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_TABLE = Path("/proc/self/mountinfo")
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
