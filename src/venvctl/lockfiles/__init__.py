"""Lockfiles of every format, read into one form; importing this costs the standard library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from venvctl.lockfiles.files import Recording, digests, read_file, settled
from venvctl.lockfiles.model import FORMATS, Index, Lock, LockOptions, Pin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = [
    "FORMATS",
    "Index",
    "Lock",
    "LockOptions",
    "Pin",
    "Recording",
    "digests",
    "read",
    "read_file",
    "settled",
]


def read(
    path: Path,
    *,
    options: LockOptions,
    read_bytes: Callable[[Path], bytes] = read_file,
) -> Lock:
    """Read a lockfile and the files it includes, each once, without the network.

    Args:
        path: the lockfile.
        options: its format where the name doesn't tell, and which extras, groups and package of it
            are wanted.
        read_bytes: what reads a file; it raises `LockError` for one that can't be had.

    Raises:
        LockError: the lock is missing, malformed, not pinned, or of an unknown format or version.
            The message begins with the place: `requirements.txt:12: …`.
    """
    # Only here, so that asking for digests does not pay for `packaging`.
    from venvctl.lockfiles.formats import read_lock  # noqa: PLC0415 - the line above says why

    return read_lock(path, options=options, read_bytes=read_bytes)
