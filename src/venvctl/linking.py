"""A directory of hard links to the files of trees, made by all processors at once.

The system calls let go of the interpreter, and those of two threads take half as long as those of
one (measured, ext4).
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack, contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from venvctl.disk import UNLINKABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from venvctl.arrangement import Arrangement
    from venvctl.manifest import ManifestFile
    from venvctl.trees import Tree

_MODE = 0o755  # a container's unprivileged user gets in
_THREADS = min(os.cpu_count() or 1, 4)
_FEW = 500  # so many are done before a second thread has begun

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class LinkedDirectory:
    """What an arrangement says, on disk; said again with more trees, it becomes that.

    Args:
        path: an empty directory.

    Attributes:
        copied: how many files could not be linked, and are copies.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.copied = 0
        self._directories: set[str] = set()
        self._placed: dict[str, tuple[Path, ManifestFile]] = {}

    def make(self, names: Iterable[str]) -> None:
        """Create directories that are not there yet; relative, parents first.

        Raises:
            OSError: as `mkdir`.
        """
        new = [name for name in names if name not in self._directories]
        with _handle(self.path) as top:

            def make(some: Sequence[str]) -> None:
                for name in some:
                    os.mkdir(name, _MODE, dir_fd=top)
                # An umask or the parent's bits are the same for all of them.
                if stat.S_IMODE(os.stat(some[0], dir_fd=top).st_mode) != _MODE:
                    for name in some:
                        os.chmod(name, _MODE, dir_fd=top)

            for _, level in groupby(sorted(new, key=_depth), _depth):
                _share(make, list(level))
        self._directories.update(new)

    def place(self, trees: Sequence[Tree], arrangement: Arrangement) -> None:
        """Make what is there what the arrangement says.

        Raises:
            OSError: as `mkdir`, `link` and, where that can't be done, a copy.
        """
        self.make(arrangement.directories)
        wanted = {
            path: (trees[index].path, file) for path, (index, file) in arrangement.links.items()
        }
        for path, placed in self._placed.items():
            if wanted.get(path) != placed:  # a tree that came later has it, or another content
                (self.path / path).unlink()
        missing = {
            path: source for path, source in wanted.items() if self._placed.get(path) != source
        }
        self._link({tree.path for tree in trees}, missing)
        self._placed = wanted

    def _link(
        self, trees: Iterable[Path], sources: Mapping[str, tuple[Path, ManifestFile]]
    ) -> None:
        """Hard-link every file; copy where the file system does not link any more."""
        with ExitStack() as opened:
            handles = {tree: opened.enter_context(_handle(tree / "prefix")) for tree in trees}
            top = opened.enter_context(_handle(self.path))

            def link(some: Sequence[tuple[str, tuple[Path, ManifestFile]]]) -> int:
                copied = 0
                for path, (tree, file) in some:
                    try:
                        os.link(
                            file.path,
                            path,
                            src_dir_fd=handles[tree],
                            dst_dir_fd=top,
                            follow_symlinks=False,
                        )
                    except OSError as error:
                        if error.errno not in UNLINKABLE:
                            raise
                        source = (tree / "prefix" / file.path).read_bytes()
                        write(self.path / path, source, executable=file.executable)
                        copied += 1
                return copied

            self.copied += sum(_share(link, list(sources.items())))


def write(path: Path, data: bytes, *, executable: bool) -> None:
    """Write a file of a generation; what is there may be a hard link into the store, and stays."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    path.chmod(0o755 if executable else 0o644)


@contextmanager
def _handle(directory: Path) -> Iterator[int]:
    """An open directory: paths that start at it are looked up in half the time."""
    number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield number
    finally:
        os.close(number)


def _depth(name: str) -> int:
    return name.count("/")


def _share(work: Callable[[Sequence[_Item]], _Result], items: Sequence[_Item]) -> list[_Result]:
    """Have each thread do a part; what they returned, or the first error once all have ended."""
    if len(items) < _FEW:
        return [work(items)] if items else []
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - a quick command does without

    size = -(-len(items) // _THREADS)
    parts = [items[start : start + size] for start in range(0, len(items), size)]
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(work, parts))
