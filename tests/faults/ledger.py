"""What is on disk and what a power loss would still take, told from a process's own calls.

Python's audit events say what is about to be created, renamed and linked; `venvctl.disk` says what
it has flushed. From both, this knows at any moment which files and which names would be lost.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from venvctl import disk

if TYPE_CHECKING:
    from collections.abc import Iterator

_WRITING = os.O_WRONLY | os.O_RDWR
# Locks, who holds them, and notes of helper containers mean nothing after a power loss.
_VOLATILE = frozenset({"lock", ".lock", "writer", "helpers"})


@dataclass(slots=True)
class Ledger:
    """Watches one root.

    Attributes:
        calls: what `venvctl.disk` did, in order: operation and path below the root.
        content: files whose content may be lost.
        names: directory → names in it that may be lost, or come back.
        broken: what got its name before its content was on disk.
    """

    root: Path
    calls: list[tuple[str, str]] = field(default_factory=list)
    content: set[Path] = field(default_factory=set)
    names: dict[Path, set[str]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def relative(self, path: Path) -> str:
        """A path below the root."""
        return os.path.relpath(path, self.root)

    def lost(self) -> list[str]:
        """What a power loss would take now."""
        found = [f"the content of {self.relative(path)}" for path in self.content]
        for directory, names in self.names.items():
            found += [f"the name {self.relative(directory / name)}" for name in names]
        return sorted(found)

    def flushed(self, operation: str, path: Path) -> None:
        """`venvctl.disk` has done something."""
        self.calls.append((operation, self.relative(path)))
        if operation == "syncfs":
            self.content.clear()
            self.names.clear()
        elif operation == "fsync":
            self.names.pop(path, None)
            unnamed = f".{path.name}."
            self.content -= {
                file
                for file in self.content
                if file == path or (file.parent == path.parent and file.name.startswith(unnamed))
            }

    def audited(self, event: str, arguments: tuple[object, ...]) -> None:
        """Something is about to happen to a file."""
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
            if path := self._path(arguments[0]):
                self.content.add(path)
                self._named(path, new=not path.exists())
        elif event in {"os.mkdir", "os.remove", "os.rmdir"}:
            if path := self._path(arguments[0]):
                # What is there already is not made, and what is not there is not removed.
                self._named(path, new=path.exists() != (event == "os.mkdir"))
                self.content.discard(path)
        elif event in {"os.link", "os.symlink"}:
            if path := self._path(arguments[1]):
                self._named(path, new=True)
        elif event == "os.rename":
            self._renamed(arguments[0], arguments[1])

    def _renamed(self, source: object, target: object) -> None:
        old, new = self._path(source), self._path(target)
        if old is None:
            return
        below = {path for path in self.content if path == old or old in path.parents}
        if new is None:
            self.content -= below
            return
        if not new.name.startswith("."):
            self.broken += [
                f"{self.relative(new)} got its name before {self.relative(path)} was on disk"
                for path in below
            ]
        for path in [path for path in self.names if path == old or old in path.parents]:
            lost = self.names.pop(path)
            self.broken += [
                f"{self.relative(new)} got its name before the name {name} in it was on disk"
                for name in lost
            ]
        self.names.get(old.parent, set()).discard(old.name)
        self._named(new, new=True)

    def _named(self, path: Path, *, new: bool) -> None:
        if new and self.root / "tmp" not in path.parents:
            self.names.setdefault(path.parent, set()).add(path.name)

    def _path(self, text: object) -> Path | None:
        if not isinstance(text, (str, bytes, os.PathLike)):
            return None
        path = Path(os.fsdecode(text))
        if self.root not in path.parents or _VOLATILE & {path.name, path.parent.name}:
            return None
        return path


_watching: list[Ledger] = []


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    for ledger in _watching:
        ledger.audited(event, arguments)


@contextmanager
def watching(root: Path) -> Iterator[Ledger]:
    """Keep a ledger of what this process does below a root."""
    ledger = Ledger(root)
    if not _installed:
        sys.addaudithook(_hook)  # for ever: Python has no way to take it back
        _installed.append(True)
    _watching.append(ledger)
    disk.observers.append(ledger.flushed)
    try:
        yield ledger
    finally:
        _watching.remove(ledger)
        disk.observers.remove(ledger.flushed)


_installed: list[bool] = []
