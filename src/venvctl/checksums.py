"""Hashes many files with all processors, each inode once, and says which are not what they were."""

from __future__ import annotations

import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from venvctl.manifest import ManifestFile
    from venvctl.progress import Progress

_BATCH = 128  # files that one thread takes at a time
_WHOLE = 1 << 20  # bytes; a file that is no longer is read at once, which takes two thirds as long
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

MISSING = "is missing"
OTHER_CONTENT = "does not have the content it was made with"
OTHER_MODE = "does not have the mode it was made with"


class Check(NamedTuple):
    """One regular file and what it should be; there are tens of thousands.

    Attributes:
        path: absolute.
        sha256: hexadecimal; empty where any content will do.
        executable: whether its mode should be 0755 instead of 0644.
    """

    path: str
    sha256: str
    executable: bool


class Finding(NamedTuple):
    """What is wrong with a path.

    Attributes:
        path: absolute. reason: words that follow it.
        expected, found: digest, mode or link's target, where they are known.
        inode: (device, number) of a file that is there.
    """

    path: str
    reason: str
    expected: str = ""
    found: str = ""
    inode: tuple[int, int] | None = None


@dataclass(slots=True)
class Checker:
    """Checks files, and remembers digest and mode of every inode (some 250 bytes each).

    Attributes:
        progress: told of bytes, also of those that were hashed before.
        listings: whether a directory's listing tells a file's inode, as `mounts.lists_inodes`.
        files: that were hashed so far. size: bytes of them together.
    """

    progress: Progress
    listings: bool = False
    files: int = 0
    size: int = 0
    _known: dict[tuple[int, int], tuple[str, int]] = field(default_factory=dict)

    def check(self, checks: Sequence[Check]) -> Iterator[Finding]:
        """What is wrong with files, in their order; one finding each at most."""
        batches = [checks[start : start + _BATCH] for start in range(0, len(checks), _BATCH)]
        if len(batches) == 1:
            # Of a thousand small trees each would pay for threads otherwise.
            yield from self._count(self._batch(checks))
            return
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for found in pool.map(self._batch, batches):
                yield from self._count(found)

    def knows(self, inode: tuple[int, int], file: ManifestFile) -> bool:
        """Whether (device, number), as a directory lists it, was found to be this file before."""
        wanted = (file.sha256, 0o755 if file.executable else 0o644)
        return self.listings and self._known.get(inode) == wanted

    def _count(self, found: tuple[list[Finding], int, int]) -> list[Finding]:
        findings, files, size = found
        self.files += files
        self.size += size
        return findings

    def _batch(self, checks: Sequence[Check]) -> tuple[list[Finding], int, int]:
        """What is wrong with some files; how many files and bytes were hashed."""
        findings = []
        hashed = size = seen = 0
        for check in checks:
            try:
                state = os.lstat(check.path)
                if not stat.S_ISREG(state.st_mode):
                    findings.append(Finding(check.path, "is not a regular file"))
                    continue
                inode = (state.st_dev, state.st_ino)
                mode = stat.S_IMODE(state.st_mode)
                digest, _ = self._known.get(inode, ("", 0))
                if not digest:
                    digest = _digest(check.path, state.st_size)
                    # One text for the many that are what they should be.
                    digest = check.sha256 if digest == check.sha256 else digest
                    self._known[inode] = digest, mode
                    hashed += 1
                    size += state.st_size
            except FileNotFoundError:
                findings.append(Finding(check.path, MISSING, check.sha256))
                continue
            except OSError as error:
                findings.append(Finding(check.path, f"can't be read: {error.strerror}"))
                continue
            seen += state.st_size
            wanted = 0o755 if check.executable else 0o644
            if check.sha256 and digest != check.sha256:
                findings.append(Finding(check.path, OTHER_CONTENT, check.sha256, digest, inode))
            elif mode != wanted:
                findings.append(
                    Finding(check.path, OTHER_MODE, f"{wanted:04o}", f"{mode:04o}", inode)
                )
        self.progress.advance(seen)
        return findings, hashed, size


def _digest(path: str, size: int) -> str:
    """SHA-256 of a regular file's content; `size` is what it was a moment ago."""
    handle = os.open(path, _FLAGS)
    try:
        if size <= _WHOLE:
            content = os.read(handle, size + 1)
            # A signal or a file system may cut a read short; a file may have grown.
            if len(content) == size:
                return hashlib.sha256(content).hexdigest()
            os.lseek(handle, 0, os.SEEK_SET)
        with open(handle, "rb", closefd=False) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    finally:
        os.close(handle)
