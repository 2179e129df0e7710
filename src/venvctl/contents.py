"""What a generation should hold by its seal and its trees, and what its directory does hold."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from venvctl import activators, generations
from venvctl.arrangement import arrange
from venvctl.checksums import MISSING, OTHER_MODE, Check, Finding
from venvctl.generations import SEAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from venvctl.manifest import ManifestFile
    from venvctl.seal import Seal
    from venvctl.trees import Tree

SURPLUS = "does not belong there"
MISLEADING = "does not lead where it should"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a generation should hold, by the path below it.

    Attributes:
        directories: all of them.
        linked: file of a tree → (index of the tree, the file).
        generated: file that was written for it → (SHA-256, executable).
        links: symbolic link → where it leads.
        complete: whether all of its trees are there to ask.
    """

    directories: frozenset[str]
    linked: Mapping[str, tuple[int, ManifestFile]]
    generated: Mapping[str, tuple[str, bool]]
    links: Mapping[str, str]
    complete: bool

    @property
    def tops(self) -> list[str]:
        """The names in its own directory, but for the seal: a volume's root has a link to each."""
        paths = (*self.directories, *self.linked, *self.generated, *self.links)
        return sorted({path.partition("/")[0] for path in paths} - {SEAL})

    def has_leaf(self, path: str) -> bool:
        """Whether it should hold a file or link of that path."""
        return path in self.linked or path in self.generated or path in self.links

    def checks(self, top: Path) -> list[Check]:
        """Every regular file of it, below the generation's directory."""
        return [
            *(
                Check(f"{top}/{path}", file.sha256, file.executable)
                for path, (_, file) in self.linked.items()
            ),
            *(
                Check(f"{top}/{path}", sha256, executable)
                for path, (sha256, executable) in self.generated.items()
            ),
        ]


def contents(seal: Seal, trees: Sequence[Tree | None]) -> Contents:
    """What a generation should hold.

    Args:
        seal: its own.
        trees: those of `seal.packages`, in that order; None for one that is lost.
    """
    there = [tree for tree in trees if tree is not None]
    arrangement = arrange(there)
    # Scripts can be executed; activators are read by a shell.
    read = {f"bin/{name}" for name, _ in activators.generate(seal.mount)}
    generated = {
        path: (sha256, path.startswith("bin/") and path not in read)
        for path, sha256 in seal.generated.items()
    }
    return Contents(
        directories=frozenset(
            {*arrangement.directories, *generations.own_directories(seal.target)}
        ),
        linked={path: owned for path, owned in arrangement.links.items() if path not in generated},
        generated=generated | {SEAL: ("", False)},
        links=generations.symbolic_links(seal.target),
        complete=len(there) == len(trees),
    )


def compare(top: Path, wanted: Contents) -> Iterator[Finding]:
    """What is wrong with directories and links, what is too much, and which directories miss.

    Missing and damaged files are not among it: `checksums` finds those.

    Args:
        top: the generation's directory.
        wanted: what it should hold.
    """
    seen: set[str] = set()
    yield from _visit(str(top), "", wanted, seen)
    for path in sorted(wanted.directories - seen):
        if path.rpartition("/")[0] in seen | {""}:
            yield Finding(f"{top}/{path}", MISSING)
    for path, leads_to in wanted.links.items():
        found = link_target(f"{top}/{path}")
        if found != leads_to:
            yield Finding(f"{top}/{path}", MISLEADING if found else MISSING, leads_to, found)


def link_target(path: str) -> str:
    """The text of a symbolic link; empty where there is none."""
    try:
        return os.readlink(path)  # noqa: PTH115 - its text is what counts
    except OSError:
        return ""


def _visit(top: str, below: str, wanted: Contents, seen: set[str]) -> Iterator[Finding]:
    for entry in sorted(os.scandir(f"{top}/{below}"), key=lambda entry: entry.name):
        path = below + entry.name
        if path in wanted.directories and entry.is_dir(follow_symlinks=False):
            seen.add(path)
            mode = stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode)
            if mode != 0o755:  # noqa: PLR2004 - what `generations` gives every directory
                yield Finding(entry.path, OTHER_MODE, "0755", f"{mode:04o}")
            yield from _visit(top, f"{path}/", wanted, seen)
        elif wanted.complete and not wanted.has_leaf(path):
            # With a tree's manifest lost, whose it is can't be told.
            yield Finding(entry.path, SURPLUS)
