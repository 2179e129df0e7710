"""What the file system says of a path: the links on its way, and whether it changed."""

from __future__ import annotations

import os

_LINKS_MOST = 40  # as the kernel: path_resolution(7)

# modification time (ns), size, inode, device; None for a file that isn't there
Signature = tuple[int, int, int, int] | None


def links(path: str) -> list[str]:
    """A path, each symbolic link on the way to what it names, and at last that (absolute)."""
    found = [path]
    here, pending = "/", path.split("/")
    while pending:
        part = pending.pop(0)
        if part in {"", "."}:
            continue
        if part == "..":
            here = os.path.dirname(here)  # noqa: PTH120 - text all around
            continue
        there = os.path.join(here, part)  # noqa: PTH118 - the same
        try:
            target = os.readlink(there) if len(found) <= _LINKS_MOST else ""  # noqa: PTH115
        except OSError:
            target = ""
        if not target:
            here = there
            continue
        found.append(there)
        here = "/" if target.startswith("/") else here
        pending = [*target.split("/"), *pending]
    return [*dict.fromkeys(each for each in found if each != here), here]


def signature_of(path: str) -> Signature:
    """What changes whenever a file does, as far as its status tells."""
    try:
        status = os.stat(path)  # noqa: PTH116 - a thousand times a poll, and Path is slow
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev


def inode_of(path: str) -> int:
    """The inode's number; 0 where nothing is."""
    signature = signature_of(path)
    return signature[2] if signature else 0
