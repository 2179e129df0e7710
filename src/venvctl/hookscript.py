"""The script that the hooks of a repository call, what it compares with, and its settings.

All of it is in the directory ``venvctl`` of the git directory: ``hook`` (the script), ``seen``
(git's own listing of the lockfiles that were taken up last), ``settings.json``, ``log``, ``lock``,
and in a bare repository ``received``.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from venvctl import disk
from venvctl.document import Document
from venvctl.errors import ConfigurationError
from venvctl.executable import own_command
from venvctl.repository import BRANCHES, LISTING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from venvctl.repository import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSettings:
    """What `venvctl hook install` was asked for.

    Attributes:
        root: venvctl's root.
        locks: lockfiles that were named, from the top of the tree.
        branches: whose pushes count, names and patterns; empty in a work tree.
        wait: whether git waits for the sync.
        made_hooks_directory: whether git's directory of hooks was missing.
    """

    root: Path
    locks: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    wait: bool = False
    made_hooks_directory: bool = False

    @property
    def patterns(self) -> tuple[str, ...]:
        """What git lists the branches by; empty where each is named."""
        if not any(map(is_pattern, self.branches)):
            return ()
        # Without anything to match, a name would stand for all below it too.
        return tuple(f"refs/head[s]/{branch}" for branch in self.branches)


def is_pattern(branch: str) -> bool:
    """Whether it stands for any number of branches; none of these signs can be in a name."""
    return any(sign in branch for sign in "*?[")


def load_settings(repository: Repository) -> HookSettings | None:
    """What was remembered; None if venvctl is not installed in this repository."""
    path = repository.git_directory / "venvctl" / "settings.json"
    try:
        document = Document.parse(json.loads(path.read_bytes()), str(path))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ConfigurationError(
            f"{path} can't be read: {error}.", hint="Run `venvctl hook install` again."
        ) from error
    return HookSettings(
        root=Path(document.text("root")),
        locks=document.texts("locks"),
        branches=document.texts("branches"),
        wait=document.flag("wait", default=False),
        made_hooks_directory=document.flag("made-hooks-directory", default=False),
    )


def remember(
    repository: Repository,
    settings: HookSettings,
    revisions: Mapping[str, str],
    locks: Sequence[str],
) -> None:
    """Write what was taken up, and the settings.

    Args:
        repository: where.
        settings: of this repository.
        revisions: the commit of each branch; in a work tree of ``HEAD``.
        locks: what is compared.
    """
    directory = repository.git_directory / "venvctl"
    document = {
        "schema": 1,
        "root": str(settings.root),
        "locks": list(settings.locks),
        "branches": list(settings.branches),
        "wait": settings.wait,
        "made-hooks-directory": settings.made_hooks_directory,
    }
    disk.write_file(directory / "settings.json", json.dumps(document, indent=1).encode())
    seen = listing(repository, revisions, locks)
    disk.write_file(directory / "seen", (seen + "\n").encode(errors="surrogateescape"))


def seen(repository: Repository) -> str:
    """What was taken up last, as `listing` gives it; empty if nothing was."""
    try:
        content = (repository.git_directory / "venvctl" / "seen").read_bytes()
    except FileNotFoundError:
        return ""
    return content.decode(errors="surrogateescape").rstrip("\n")


def compared(repository: Repository) -> frozenset[str]:
    """The lockfiles that the script compares now; none where there is no script."""
    try:
        text = (repository.git_directory / "venvctl" / "hook").read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        return frozenset()
    listings = [line for line in text.splitlines() if shlex.join(LISTING) in line]
    return frozenset(path for line in listings for path in _paths(line))


def _paths(listing: str) -> list[str]:
    words = shlex.split(listing)
    return words[words.index("--") + 1 :]


def listing(repository: Repository, revisions: Mapping[str, str], locks: Sequence[str]) -> str:
    """The very text that the script compares: git's listing of the lockfiles, branch by branch."""
    parts = []
    for name, revision in revisions.items():
        heading = f"{name}\n" if repository.work_tree is None else ""
        parts.append(heading + (repository.listing(revision, locks) if revision else ""))
    return "".join(parts).rstrip("\n")


def write_script(repository: Repository, settings: HookSettings, locks: Sequence[str]) -> None:
    """Write the script, where it is not what it should be already."""
    paths = " ".join(map(shlex.quote, locks))
    listings = []
    if settings.patterns:
        listings = [
            f"git {shlex.join((*BRANCHES, *settings.patterns))} | while IFS= read -r branch; do",
            '    echo "$branch"',
            f'    git {shlex.join(LISTING)} "$branch" -- {paths}',
            "done",
        ]
    else:
        for branch in settings.branches:
            revision = shlex.quote(f"refs/heads/{branch}")
            listings += [f"echo {revision}", f"git {shlex.join(LISTING)} {revision} -- {paths}"]
    command = own_command()
    values = {
        "listing": "\n".join(
            f"    {line}" for line in listings or [f"git {shlex.join(LISTING)} HEAD -- {paths}"]
        ),
        "program": shlex.quote(command[0]),
        "command": shlex.join(command),
        "root": shlex.quote(str(settings.root)),
        "wait": "1" if settings.wait else "0",
    }
    text = (resources.files("venvctl") / "data" / "hook.sh").read_text("utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    path = repository.git_directory / "venvctl" / "hook"
    data = text.encode(errors="surrogateescape")
    if not path.exists() or path.read_bytes() != data:
        disk.write_file(path, data, mode=0o755)
