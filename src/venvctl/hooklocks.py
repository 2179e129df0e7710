"""Which lockfiles of a repository are managed, whose they are, and which of them changed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from venvctl import disk, hookscript, lockfiles, plan
from venvctl.errors import LockError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from venvctl.hookscript import HookSettings
    from venvctl.repository import Repository
    from venvctl.root import Root

_HEADS = "refs/heads/"
_NAME_MOST = 255  # bytes that Linux allows for one


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """The lockfiles of pushed commits that were written out.

    Attributes:
        locks: where each is now, by its name as `changed` has it.
        included: what they are made of, from the top of the tree.
        notes: sentences for a person.
    """

    locks: Mapping[str, Path] = field(default_factory=dict)
    included: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def named(repository: Repository, locks: Iterable[Path]) -> tuple[str, ...]:
    """Lockfiles that a person named, from the top of the tree.

    Raises:
        UsageError: one is outside of it.
    """
    found = []
    for given in locks:
        lock = Path(os.path.normpath(given))  # Path.resolve would follow links
        if not lock.is_relative_to(repository.top):
            raise UsageError(
                f"The lockfile {lock} is not in {repository.top}.",
                hint="Name one that is under version control there.",
            )
        found.append(str(lock.relative_to(repository.top)))
    return tuple(found)


def compared(repository: Repository, settings: HookSettings, root: Root | None) -> tuple[str, ...]:
    """All lockfiles that a hook compares: those that were named, and those of environments."""
    found = dict.fromkeys(settings.locks)
    if repository.work_tree is not None:
        found |= dict.fromkeys(sorted(_used(repository.work_tree, root)))
    else:
        for branch in branches(repository, settings):
            used = _used(received_directory(repository, branch), root)
            found |= dict.fromkeys(sorted(used))
    return tuple(found)


def branches(repository: Repository, settings: HookSettings) -> tuple[str, ...]:
    """The branches whose pushes count: those that are named, or that match a pattern now."""
    if not settings.patterns:
        return settings.branches
    found = repository.references(settings.patterns)
    return tuple(reference.removeprefix(_HEADS) for reference in found)


def environments(repository: Repository, root: Root | None) -> list[str]:
    """The environments with a lockfile in a work tree."""
    users = _used(repository.work_tree, root).values() if repository.work_tree else []
    return sorted({name for names in users for name in names})


def affected(
    repository: Repository,
    settings: HookSettings,
    root: Root | None,
    changed: Iterable[str],
) -> list[str]:
    """The environments that are made of some lockfiles, as `changed` names them."""
    users: dict[str, list[str]] = {}
    if repository.work_tree is not None:
        users = _used(repository.work_tree, root)
    for branch in branches(repository, settings):
        used = _used(received_directory(repository, branch), root)
        users |= {f"{branch}:{path}": names for path, names in used.items()}
    return sorted({name for path in changed for name in users.get(path, ())})


def revisions(repository: Repository, settings: HookSettings) -> dict[str, str]:
    """The commits that are looked at, by what the hook's script calls them; "" for none yet."""
    if repository.work_tree is not None:
        return {"HEAD": repository.commit("HEAD")}
    names = [f"{_HEADS}{branch}" for branch in branches(repository, settings)]
    return {name: repository.commit(name) for name in names}


def changed(
    repository: Repository, revisions: Mapping[str, str], locks: Sequence[str]
) -> tuple[str, ...]:
    """The lockfiles that differ from what was taken up last.

    Returns:
        Paths from the top of the tree; in a bare repository ``branch:path``.
    """
    before = _parse(hookscript.seen(repository))
    now = _parse(hookscript.listing(repository, revisions, locks))
    return tuple(sorted(path for path in before.keys() | now if before.get(path) != now.get(path)))


def received_directory(repository: Repository, branch: str) -> Path:
    """Where the lockfiles of a pushed branch are: an environment's lock is a path below it."""
    # One component, whatever the branch is called.
    name = quote(branch, safe="", errors="surrogateescape")
    return repository.git_directory / "venvctl" / "received" / name


def receive(
    repository: Repository,
    settings: HookSettings,
    locks: Sequence[str],
    changed: Iterable[str] = (),
) -> Received:
    """Write the lockfiles of pushed commits where environments read them; none is ever removed.

    They are in the repository and not in the root: whoever pushes may write there, and nobody but
    its owner may write to a root.

    Args:
        repository: a bare one; of a work tree nothing is written.
        settings: which branches count.
        locks: paths from the top of the tree.
        changed: as `changed` names them; a branch may be among them that is gone.
    """
    written: dict[str, Path] = {}
    included: dict[str, None] = {}
    notes: list[str] = []
    gone = [] if repository.work_tree is not None else [p.partition(":")[0] for p in changed]
    for branch in dict.fromkeys([*branches(repository, settings), *gone]):
        if len(received_directory(repository, branch).name) > _NAME_MOST:
            notes.append(f"Branch {branch}: its name is too long for a directory's.")
            continue
        commit = repository.commit(f"{_HEADS}{branch}")
        for path in locks:
            tree = _Tree(repository, commit, received_directory(repository, branch))
            try:
                lockfiles.read(
                    tree.top / path,
                    options=lockfiles.LockOptions(project=tree.top),
                    read_bytes=tree.read,
                )
            except LockError as error:
                if not tree.contents:
                    notes.append(
                        f"Branch {branch}: {error.message} What was received before stays."
                    )
                # Of one that is there but wrong, the sync will say so in its own words.
            tree.write()
            included |= dict.fromkeys(tree.contents)
            if tree.contents:
                written[f"{branch}:{path}"] = tree.top / path
    return Received(locks=written, included=tuple(included), notes=tuple(notes))


class _Tree:
    """The files of one commit, read as if they were written already."""

    def __init__(self, repository: Repository, commit: str, top: Path) -> None:
        self.top = top
        self.contents: dict[str, bytes] = {}
        self._repository = repository
        self._commit = commit

    def read(self, path: Path) -> bytes:
        if not path.is_relative_to(self.top):
            raise LockError(f"The lockfile {path} is not in the repository.")
        name = str(path.relative_to(self.top))
        entries = self._repository.entries(self._commit, [name]) if self._commit else ()
        if [entry.path for entry in entries] != [name]:
            raise LockError(f"The lockfile {name} does not exist.")
        if not entries[0].is_file:
            raise LockError(f"The lockfile {name} is not a file.")
        self.contents[name] = self._repository.content(entries[0])
        return self.contents[name]

    def write(self) -> None:
        """What is included first, so that nobody sees the new lock with its old parts."""
        for name, content in reversed(self.contents.items()):
            path = self.top / name
            disk.make_directory(path.parent)
            if not path.exists() or path.read_bytes() != content:
                disk.write_file(path, content)


def _used(top: Path, root: Root | None) -> dict[str, list[str]]:
    """The lockfiles below a directory that environments are made of → whose they are."""
    found: dict[str, list[str]] = {}
    if root is None:
        return found
    for name in root.registry.names():
        lock = root.registry.load(name).specification.lock
        parts = plan.lock_paths(root.environment(name).state().inputs)
        for path in dict.fromkeys([lock, lock.resolve(), *map(Path, parts)]):
            for seen_from in dict.fromkeys([top, top.resolve()]):
                if path.is_relative_to(seen_from):
                    found.setdefault(str(path.relative_to(seen_from)), []).append(name)
                    break
    return found


def _parse(text: str) -> dict[str, str]:
    """What a listing has at each path; a line without a tab is the branch of those below it."""
    found = {}
    prefix = ""
    for line in text.split("\n"):
        words, tab, path = line.partition("\t")
        if tab:
            found[prefix + path] = words
        else:
            prefix = line.removeprefix(_HEADS) + ":"
    return found
