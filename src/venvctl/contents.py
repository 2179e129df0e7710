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
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from venvctl.arrangement import Arrangement
    from venvctl.checksums import Checker
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
        arrangement: of the trees that are there.
        complete: whether all of its trees are there to ask.
    """

    directories: frozenset[str]
    linked: Mapping[str, tuple[int, ManifestFile]]
    generated: Mapping[str, tuple[str, bool]]
    links: Mapping[str, str]
    arrangement: Arrangement
    complete: bool

    @property
    def tops(self) -> list[str]:
        """The names in its own directory, but for the seal: a volume's root has a link to each."""
        paths = (*self.directories, *self.linked, *self.generated, *self.links)
        return sorted({path.partition("/")[0] for path in paths} - {SEAL})

    def has_leaf(self, path: str) -> bool:
        """Whether it should hold a file or link of that path."""
        return path in self.linked or path in self.generated or path in self.links


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
        arrangement=arrangement,
        complete=len(there) == len(trees),
    )


def compare(top: Path, wanted: Contents, checker: Checker) -> tuple[list[Finding], list[Check]]:
    """What is wrong with directories and links, what is too much, and which files to look at.

    A file that is one of those the checker knows, by what its directory says of it, is right.

    Args:
        top: the generation's directory.
        wanted: what it should hold.
        checker: of its files; told how many bytes need no further look.

    Returns:
        What is wrong, by path; and every file that the checker doesn't know, missing ones among
        them.
    """
    findings, seen, left = _visit(str(top), wanted, checker)
    for path in wanted.directories - seen:
        if path.rpartition("/")[0] in seen | {""}:
            findings.append(Finding(f"{top}/{path}", MISSING))
    for path, leads_to in wanted.links.items():
        found = link_target(f"{top}/{path}")
        if found != leads_to:
            reason = MISLEADING if found else MISSING
            findings.append(Finding(f"{top}/{path}", reason, leads_to, found))
    checks = [
        *(Check(f"{top}/{path}", file.sha256, file.executable) for path, file in left.items()),
        *(
            Check(f"{top}/{path}", sha256, executable)
            for path, (sha256, executable) in wanted.generated.items()
        ),
    ]
    return sorted(findings), checks


def link_target(path: str) -> str:
    """The text of a symbolic link; empty where there is none."""
    try:
        return os.readlink(path)  # noqa: PTH115 - its text is what counts
    except OSError:
        return ""


def _visit(
    top: str, wanted: Contents, checker: Checker
) -> tuple[list[Finding], set[str], dict[str, ManifestFile]]:
    """What is wrong, the directories that are there, and the files that are not known."""
    findings, seen = [], set()
    left = {path: file for path, (_, file) in wanted.linked.items()}
    known = 0
    folders = [("", os.lstat(top).st_dev)]
    while folders:
        below, device = folders.pop()
        with os.scandir(f"{top}/{below}") as entries:
            for entry in entries:
                path = below + entry.name
                if file := left.get(path):
                    # Asking for the state of each would take most of a verification's time.
                    if checker.knows((device, entry.inode()), file):
                        known += file.size
                        del left[path]
                elif path in wanted.directories and entry.is_dir(follow_symlinks=False):
                    seen.add(path)
                    state = entry.stat(follow_symlinks=False)
                    mode = stat.S_IMODE(state.st_mode)
                    if mode != 0o755:  # noqa: PLR2004 - what `generations` gives every directory
                        findings.append(Finding(entry.path, OTHER_MODE, "0755", f"{mode:04o}"))
                    folders.append((f"{path}/", state.st_dev))
                elif wanted.complete and not wanted.has_leaf(path):
                    # With a tree's manifest lost, whose it is can't be told.
                    findings.append(Finding(entry.path, SURPLUS))
    checker.progress.advance(known)
    return findings, seen, left
