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

    from venvctl.progress import Progress

_BATCH = 128  # files that one thread takes at a time

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
    """Checks files, and remembers the digest of every inode (some 200 bytes each).

    Attributes:
        progress: told of bytes, also of those that were hashed before.
        files: that were hashed so far. size: bytes of them together.
    """

    progress: Progress
    files: int = 0
    size: int = 0
    _digests: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def check(self, checks: Sequence[Check]) -> Iterator[Finding]:
        """What is wrong with files, in their order; one finding each at most."""
        batches = [checks[start : start + _BATCH] for start in range(0, len(checks), _BATCH)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for findings, files, size in pool.map(self._batch, batches):
                self.files += files
                self.size += size
                yield from findings

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
                digest = self._digests.get(inode)
                if digest is None:
                    with open(check.path, "rb") as stream:  # noqa: PTH123 - Path takes longer
                        digest = hashlib.file_digest(stream, "sha256").digest()
                    self._digests[inode] = digest
                    hashed += 1
                    size += state.st_size
            except FileNotFoundError:
                findings.append(Finding(check.path, MISSING, check.sha256))
                continue
            except OSError as error:
                findings.append(Finding(check.path, f"can't be read: {error.strerror}"))
                continue
            seen += state.st_size
            mode, wanted = stat.S_IMODE(state.st_mode), 0o755 if check.executable else 0o644
            if check.sha256 and digest.hex() != check.sha256:
                findings.append(
                    Finding(check.path, OTHER_CONTENT, check.sha256, digest.hex(), inode)
                )
            elif mode != wanted:
                findings.append(
                    Finding(check.path, OTHER_MODE, f"{wanted:04o}", f"{mode:04o}", inode)
                )
        self.progress.advance(seen)
        return findings, hashed, size
