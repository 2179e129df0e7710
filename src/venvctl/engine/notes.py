"""What is noted before the engine is asked for a helper container, until that is known to be gone.

An engine goes on with what it was asked for by a process that was killed meanwhile, so a container
may come after the recovery has looked for it. As long as its note stands, later recoveries look
again. Nothing of this has to outlast a power loss, which ends the engine too: nothing is flushed.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

# Seconds after which nothing comes any more: ten times as long as an answer of the engine may take.
LIFETIME = 600.0


class Note:
    """One container's note; it stands until it is said that the container is gone."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def done(self) -> None:
        """The container is gone, or never came."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()


class Notes:
    """The notes of one root.

    Args:
        directory: where they are, one file for each container, named like it; made when needed.
            None keeps none.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    @contextmanager
    def of(self, name: str) -> Iterator[Note]:
        """Note that a container of that name is about to be asked for.

        Its lock says, until the context is left, that somebody looks after the container.
        """
        with ExitStack() as stack:
            path = self._directory and self._directory / name
            # On a full disk, or in a root of somebody else, it goes without.
            try:
                if path is not None:
                    stack.callback(os.close, _locked(path))
            except OSError:
                path = None
            yield Note(path)

    def held(self) -> set[str]:
        """The names of the containers that somebody looks after at this moment."""
        return {path.name for path in self._all() if _is_locked(path)}

    def forget(self, gone: Collection[str]) -> None:
        """Remove the notes of containers that are gone, and of those that can't come any more."""
        for path in self._all():
            with suppress(FileNotFoundError):
                old = abs(time.time() - path.stat().st_mtime) > LIFETIME
                if path.name in gone or (old and not _is_locked(path)):
                    path.unlink()

    def _all(self) -> list[Path]:
        return list(self._directory.glob("*")) if self._directory else []


def _locked(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    try:
        handle = os.open(path, flags, mode=0o600)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(path, flags, mode=0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def _is_locked(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
