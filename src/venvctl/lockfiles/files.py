"""The files a lock is made of: each read once, within bounds, and remembered by its digest."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from venvctl.errors import LockChangedError, LockError
from venvctl.lockfiles.locations import absolute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

# The largest lock known to us (some 1,500 packages) has 6 MB.
LIMIT = 32 << 20
_MOST_DIGITS = 1000
# TOML allows underscores between digits.
_LONG_NUMBER = re.compile(rf"[\d_]{{{_MOST_DIGITS + 1}}}")


def read_file(path: Path) -> bytes:
    """The whole content of a regular file of at most `LIMIT` bytes.

    Raises:
        LockError: it does not exist, is something else than a file, too large, or unreadable.
    """
    try:
        with os.fdopen(_open(path), "rb") as stream:
            content = stream.read(LIMIT + 1)
    except IsADirectoryError as error:
        raise LockError(
            f"The lockfile {path} is not a file.", hint="Name the lockfile itself."
        ) from error
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            raise LockError(
                f"The lockfile {path} does not exist.",
                hint="Check `venvctl.lock`, or bring the file back;"
                " the environment stays as it is until then.",
            ) from error
        raise LockError(
            f"The lockfile {path} can't be read: {os.strerror(error.errno or 0)}.",
            hint="Have its link lead to the file itself."
            if error.errno == errno.ELOOP
            else "Let the user that runs venvctl read it.",
        ) from error
    if len(content) > LIMIT:
        raise LockError(
            f"The lockfile {path} is larger than {LIMIT >> 20} MiB.",
            hint="Check that it is a lockfile.",
        )
    return content


def _open(path: Path) -> int:
    # A named pipe would block for ever without O_NONBLOCK.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return handle


def digests(
    paths: Iterable[str | Path], read_bytes: Callable[[Path], bytes] = read_file
) -> Mapping[str, str]:
    """The digests of files that were read before, to compare with `Lock.digests`.

    Returns:
        For each path, as text, the SHA-256 (hex) of its content, or "" where it can't be read.

    Raises:
        LockChangedError: as what `settled` gives.
    """
    found: dict[str, str] = {}
    for path in paths:
        try:
            found[str(path)] = hashlib.sha256(read_bytes(Path(path))).hexdigest()
        except LockChangedError:
            raise
        except LockError:
            found[str(path)] = ""
    return found


class Recording:
    """Reads files, and remembers which, and what each had when it was read last.

    Attributes:
        digests: by path, in the order in which they were asked for first, as `digests` gives them.

    Args:
        read_bytes: what reads them.
    """

    def __init__(self, read_bytes: Callable[[Path], bytes] = read_file) -> None:
        self._read_bytes = read_bytes
        self.digests: dict[str, str] = {}

    def __call__(self, path: Path) -> bytes:
        """The content of a file; raises as what reads it."""
        self.digests[str(path)] = ""
        content = self._read_bytes(path)
        self.digests[str(path)] = hashlib.sha256(content).hexdigest()
        return content

    @property
    def paths(self) -> tuple[str, ...]:
        """All that were asked for, whether they could be read or not."""
        return tuple(self.digests)

    def differs(self, digests: Mapping[str, str]) -> bool:
        """Whether a file had something else, when it was read last, than it has there."""
        return any(self.digests.get(path) != digest for path, digest in digests.items())


def settled(
    read_bytes: Callable[[Path], bytes], expected: Mapping[str, str]
) -> Callable[[Path], bytes]:
    """A reader of files that were found to be at rest, and may be truncated by the next save.

    Args:
        read_bytes: what reads them.
        expected: what they had, as `digests` gives it; other files are read as they are.

    Raises:
        LockChangedError: when called: one has something else now.
    """

    def read(path: Path) -> bytes:
        content = read_bytes(path)
        digest = expected.get(str(path), "")
        if digest and hashlib.sha256(content).hexdigest() != digest:
            raise LockChangedError(f"The lockfile {path} was changed while it was taken up.")
        return content

    return read


class Files:
    """Reads the files of one lock, and remembers each one's digest in reading order."""

    def __init__(self, project: Path, read_bytes: Callable[[Path], bytes] = read_file) -> None:
        self.project = absolute(project)
        self.digests: dict[str, str] = {}
        self._read_bytes = read_bytes
        self._contents: dict[Path, bytes] = {}

    def read(self, path: Path) -> bytes:
        """The content of a file; a second call does not read it again."""
        path = absolute(path)
        if path not in self._contents:
            content = self._read_bytes(path)
            self._contents[path] = content
            self.digests[str(path)] = hashlib.sha256(content).hexdigest()
        return self._contents[path]

    def peek(self, path: Path) -> bytes | None:
        """The content of a file that is no part of the lock's digest; None if there is none."""
        path = absolute(path)
        try:
            return self._contents[path] if path in self._contents else self._read_bytes(path)
        except LockError:
            return None

    def display(self, path: Path) -> str:
        """How messages name a file: from the project where it is inside, else in full."""
        path = absolute(path)
        return str(path.relative_to(self.project) if path.is_relative_to(self.project) else path)

    def text(self, path: Path) -> str:
        """The content of a file that must be UTF-8; a byte order mark is dropped.

        Raises:
            LockError: it is not UTF-8, or has a NUL; the message names the line.
        """
        content = self.read(path)
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise LockError(
                f"{self.display(path)}:{line}: This is not UTF-8:"
                f" byte 0x{content[error.start]:02x} at offset {error.start}.",
                hint="Save the file as UTF-8.",
            ) from error
        check_text(text, self.display(path))
        return text


def check_text(text: str, name: str) -> None:
    """Refuse what no lockfile has, and what readers of versions and numbers stumble over.

    Raises:
        LockError: there is a NUL, at which some tools end and others don't, or a number that
            Python refuses to read (`sys.set_int_max_str_digits`).
    """
    if number := _LONG_NUMBER.search(text):
        raise LockError(
            f"{name}:{text.count(chr(10), 0, number.start()) + 1}: There is a number of more than"
            f" {_MOST_DIGITS:,} digits.",
            hint="The file is damaged or hostile; make the lock again.",
        )
    position = text.find("\0")
    if position >= 0:
        line = text.count("\n", 0, position) + 1
        raise LockError(
            f"{name}:{line}: There is a NUL character.",
            hint="The file is damaged or only half written; make the lock again.",
        )
