"""Git hooks: a commit, merge, checkout, rebase or push that brings another lockfile is taken up."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from venvctl import disk, hookfiles, hooklocks
from venvctl.errors import ExitCode, UsageError
from venvctl.executable import own_command
from venvctl.hookscript import HookSettings, is_pattern, load_settings, remember, write_script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from venvctl.hookfiles import Placement
    from venvctl.repository import Repository
    from venvctl.root import Root

WORK_TREE_HOOKS = ("post-commit", "post-merge", "post-checkout", "post-rewrite")
BARE_HOOKS = ("post-receive",)
_LOG_LIMIT = 1 << 20  # bytes, after which a hook's log starts anew
_REBASE_PATIENCE = 10.0  # seconds for a rebase to end; one that waits for its user takes longer
_BUSY_PATIENCE = 600.0  # seconds for somebody else's sync of the same environment to end
_POLL = 0.1
_PATTERN = re.compile(r"\[[^]/]+\]|[*?]")  # what git-for-each-ref(1) matches with


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What `install` did.

    Attributes:
        repository: the work tree, or the bare repository.
        hooks_directory: where the hooks are.
        hooks: how venvctl's lines came into each.
        locks: what is compared, from the top of the tree.
        received: where the locks of each branch are written that is there; empty in a work tree.
        patterns: of branches; each that is pushed and matches one is written beside those.
        notes: sentences for a person.
    """

    repository: Path
    hooks_directory: Path
    hooks: Mapping[str, Placement]
    locks: tuple[str, ...]
    received: Mapping[str, Path]
    patterns: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What `uninstall` did.

    Attributes:
        repository: the work tree, or the bare repository.
        hooks: those that no longer have venvctl's lines.
        notes: sentences for a person.
    """

    repository: Path
    hooks: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run of a hook did.

    Attributes:
        changed: the lockfiles that changed, from the top of the tree; with the branch in front in a
            bare repository.
        environments: those that were synced because of it.
        exit_code: what that ended with.
        notes: sentences for a person.
    """

    changed: tuple[str, ...]
    environments: tuple[str, ...] = ()
    exit_code: int = ExitCode.DONE
    notes: tuple[str, ...] = ()


def install(
    repository: Repository,
    *,
    root: Root | None,
    root_path: Path,
    locks: Sequence[Path] = (),
    branches: Sequence[str] = (),
    wait: bool = False,
) -> Installation:
    """Put venvctl into the hooks of a repository; a second time brings it up to date.

    Args:
        repository: where.
        root: venvctl's root; None if it belongs to another user.
        root_path: the same, which the hooks will use.
        locks: further lockfiles (absolute); in a bare repository all of them, below its path.
        branches: those that a push is taken up from; only for a bare repository.
        wait: whether git waits for the sync.

    Raises:
        UsageError: there is no lockfile to compare, or no branch is said for a bare repository.
        RootError, DiskFullError: as `disk.translate`.
    """
    _check_branches(repository, branches)
    settings = HookSettings(
        locks=hooklocks.named(repository, locks),
        branches=tuple(branches),
        wait=wait,
        root=root_path,
        made_hooks_directory=_made_before(repository) or not repository.hooks_directory.exists(),
    )
    compared = hooklocks.compared(repository, settings, root)
    if not compared:
        raise UsageError(
            f"No environment has its lockfile in {repository.top}.",
            hint="Run `venvctl up` in the project first, or name the lockfile: "
            "`venvctl hook install --lock requirements.lock`.",
        )
    notes = [] if repository.work_tree is None else _untracked(repository, compared)
    received = hooklocks.receive(repository, settings, compared)
    compared = tuple(dict.fromkeys([*compared, *received.included]))
    revisions = hooklocks.revisions(repository, settings)
    disk.make_directory(repository.git_directory / "venvctl")
    remember(repository, settings, revisions, compared)
    write_script(repository, settings, compared)
    place, more = _hooks_place(repository)
    placed: dict[str, Placement] = {}
    if place is not None:
        disk.make_directory(place)
        placed = {hook: hookfiles.put(place, hook) for hook in _hooks(repository)}
    return Installation(
        repository=repository.top,
        hooks_directory=place or repository.hooks_directory,
        hooks=placed,
        locks=compared,
        received={
            branch: hooklocks.received_directory(repository, branch)
            for branch in hooklocks.branches(repository, settings)
        },
        patterns=tuple(filter(is_pattern, branches)),
        notes=(*notes, *received.notes, *more),
    )


def uninstall(repository: Repository) -> Removal:
    """Take venvctl out of the hooks of a repository; what was there before is there again.

    Other work trees of the repository share its hooks: they keep them until the last is taken out.
    """
    settings = load_settings(repository)
    disk.remove_tree(repository.git_directory / "venvctl")
    disk.sync_directory(repository.git_directory)
    others = [
        directory
        for directory in repository.hook_directories()
        if (directory / "venvctl" / "hook").exists()
    ]
    if others:
        note = f"The hooks stay for another work tree of this repository ({others[0]})."
        return Removal(repository=repository.top, hooks=(), notes=(note,))
    place, _ = _hooks_place(repository)
    taken = [hook for hook in _hooks(repository) if place and hookfiles.take(place, hook)]
    if settings is not None and settings.made_hooks_directory and place is not None:
        # Only an empty one: somebody may have put a hook there since.
        with suppress(OSError):
            place.rmdir()
    notes: tuple[str, ...] = ()
    if place is None and any(map(hookfiles.has, _paths(repository, repository.hooks_directory))):
        note = (
            f"The hooks of {repository.hooks_directory} (core.hooksPath), which other repositories "
            "may share, were not touched: venvctl's lines there do nothing here any more."
        )
        notes = (note,)
    return Removal(repository=repository.top, hooks=tuple(taken), notes=notes)


def run(
    repository: Repository,
    hook: str,
    *,
    root: Root | None,
    sync: Callable[[Sequence[str]], int],
    begin: Callable[[Sequence[str]], None] = lambda _: None,
) -> Run:
    """Do what a hook is for: sync the environments whose lockfiles changed.

    Runs of one repository come one after another, and each looks for itself: of many that wait, the
    first takes up all there is.

    Args:
        repository: where git was at work.
        hook: which one git ran.
        root: venvctl's root; None if it belongs to another user.
        sync: syncs environments by name, and says what it ended with.
        begin: told which lockfiles changed, before anything is done about them.
    """
    if not (repository.git_directory / "venvctl").is_dir():
        # Started by another manager of hooks, such as pre-commit: a sync finds what changed.
        names = hooklocks.environments(repository, root)
        return Run(changed=(), environments=tuple(names), exit_code=sync(names) if names else 0)
    # The hook of the rebase's end comes while it is at work still, and may be waited for.
    if hook != "post-rewrite" and not _rebase_ended(repository):
        return Run(changed=(), notes=("A rebase is at work; its end is taken up.",))
    with _alone(repository):
        settings = load_settings(repository) or HookSettings(root=Path("/"))
        compared = hooklocks.compared(repository, settings, root)
        revisions = hooklocks.revisions(repository, settings)
        changed = hooklocks.changed(repository, revisions, compared)
        if not changed:
            return Run(changed=())
        begin(changed)
        received = hooklocks.receive(repository, settings, compared, changed)
        remember(repository, settings, revisions, compared)
        names = hooklocks.affected(repository, settings, root, changed)
        exit_code = sync(names) if names else int(ExitCode.DONE)
        # A lock may include other files now.
        again = hooklocks.compared(repository, settings, root)
        again = tuple(dict.fromkeys([*again, *received.included]))
        remember(repository, settings, revisions, again)
        write_script(repository, settings, again)
        fresh = [lock for name, lock in received.locks.items() if name in changed]
        return Run(
            changed=changed,
            environments=tuple(names),
            exit_code=exit_code,
            notes=(*received.notes, *_unused(repository, root, fresh, names)),
        )


def sync_command(names: Sequence[str]) -> int:
    """Run ``venvctl sync``, which hands over to a daemon that runs, and wait while others work."""
    deadline = time.monotonic() + _BUSY_PATIENCE
    while True:
        # From a place without a compose project: what was registered counts.
        done = subprocess.run([*own_command(), "sync", *names], cwd="/", check=False)
        if done.returncode != ExitCode.BUSY or time.monotonic() >= deadline:
            return done.returncode
        time.sleep(_POLL)


def absent(repository: Repository) -> tuple[str, ...]:
    """The hooks of a repository that do not have venvctl's lines (any more)."""
    place, _ = _hooks_place(repository)
    paths = _paths(repository, place or repository.hooks_directory)
    return tuple(path.name for path in paths if not hookfiles.has(path))


def _paths(repository: Repository, place: Path) -> list[Path]:
    return [place / hook for hook in _hooks(repository)]


def _hooks(repository: Repository) -> tuple[str, ...]:
    return BARE_HOOKS if repository.work_tree is None else WORK_TREE_HOOKS


def _hooks_place(repository: Repository) -> tuple[Path | None, list[str]]:
    """The directory whose files venvctl may change, and what its user should know of it."""
    place = repository.hooks_directory
    if place.is_relative_to(repository.common_directory):
        return place, []
    if repository.work_tree is None or not place.is_relative_to(repository.work_tree):
        text = "".join(hookfiles.lines(hook) for hook in _hooks(repository)[:1])
        note = (
            f"Git runs the hooks of {place} (core.hooksPath), which other repositories may share, "
            f"so they were not touched. Each of {', '.join(_hooks(repository))} there takes these "
            f"lines, with its own name in them:\n{text}"
            f"Or give this repository hooks of its own: "
            f"`git config core.hooksPath {repository.common_directory / 'hooks'}`."
        )
        return None, [note]
    if place.name == "_" and (place / "h").exists():
        # Husky 9 makes these anew whenever it likes, and calls the user's own beside them.
        place = place.parent
    note = (
        f"Git runs the hooks of {place}, which are part of the work tree: commit them or not, "
        "they do nothing where `venvctl hook install` was not run."
    )
    return place, [note]


def _check_branches(repository: Repository, branches: Sequence[str]) -> None:
    if repository.work_tree is not None and branches:
        raise UsageError(
            f"{repository.top} is a work tree, which has one branch at a time.",
            hint="Leave out --branch, or run it in the bare repository that is pushed to.",
        )
    if repository.work_tree is None and not branches:
        raise UsageError(
            f"{repository.top} is a bare repository, and no branch was said.",
            hint="Say whose pushes count: `venvctl hook install --branch main "
            "--lock requirements.lock`.",
        )
    for branch in branches:
        if not repository.may_be_branch(_PATTERN.sub("x", branch)):
            raise UsageError(
                f"{branch!r} can't be the name of a branch, or a pattern for some.",
                hint="Say --branch once for each: main, or 'release/*' in quotes, where * stands "
                "for anything without a slash.",
            )


def _made_before(repository: Repository) -> bool:
    settings = load_settings(repository)
    return settings is not None and settings.made_hooks_directory


def _untracked(repository: Repository, locks: Sequence[str]) -> list[str]:
    top = repository.top
    return [
        f"{lock} is not under version control: no hook will see it change."
        for lock in locks
        if not repository.tracks(top / lock)
    ]


def _unused(
    repository: Repository, root: Root | None, received: Sequence[Path], names: Sequence[str]
) -> tuple[str, ...]:
    if names:
        return ()
    if root is None:
        return ("The root belongs to another user: the daemon that follows the file takes it up.",)
    if repository.work_tree is None:
        return tuple(
            f"No environment is made of {lock} yet: `venvctl env add NAME --lock {lock} "
            "--image IMAGE`."
            for lock in received
        )
    at = f" with a lockfile in {repository.top}"
    return (f"No environment{at} is registered yet: `venvctl up`, or `venvctl env add`.",)


@contextmanager
def _alone(repository: Repository) -> Iterator[None]:
    """One run at a time; a killed one's lock is free at once."""
    directory = repository.git_directory / "venvctl"
    _shorten(directory / "log")
    handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _shorten(log: Path) -> None:
    with suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_LIMIT:
            os.truncate(log, 0)


def _rebase_ended(repository: Repository) -> bool:
    """Wait for a rebase's last steps; in its middle there are commits that nobody means."""
    deadline = time.monotonic() + _REBASE_PATIENCE
    while repository.rebasing:
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL)
    return True
