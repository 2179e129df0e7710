"""Whether the lockfiles of a work tree could be used: asked before a commit; nothing is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from venvctl import hooklocks
from venvctl.errors import ExitCode, VenvctlError
from venvctl.progress import Silent
from venvctl.sync import SyncOptions, sync

if TYPE_CHECKING:
    from venvctl.repository import Repository
    from venvctl.root import Root

# What a commit would bring to everybody else; all others are this machine's own troubles.
_OF_THE_LOCK = frozenset({ExitCode.INVALID, ExitCode.INTEGRITY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What became of a check.

    Attributes:
        environments: those whose lock was checked.
        errors: what is wrong with a lock.
        notes: sentences for a person: what could not be checked, and why.
    """

    environments: tuple[str, ...]
    errors: tuple[VenvctlError, ...] = ()
    notes: tuple[str, ...] = ()


def check(repository: Repository, root: Root | None) -> Check:
    """Try what a sync would make of each lock in a work tree.

    Args:
        repository: whose.
        root: venvctl's root; None if it belongs to another user.
    """
    if root is None:
        return Check(environments=(), notes=("The root belongs to another user: not checked.",))
    checked: list[str] = []
    errors: list[VenvctlError] = []
    notes: list[str] = []
    names = hooklocks.environments(repository, root)
    for name in names:
        try:
            sync(root.registry.load(name), root, SyncOptions(dry_run=True), Silent())
        except VenvctlError as error:
            if error.exit_code in _OF_THE_LOCK:
                errors.append(error)
            else:
                notes.append(f"{name} was not checked: {error.message}")
                continue
        checked.append(name)
    if not names:
        notes.append(f"No environment with a lockfile in {repository.top} is registered here.")
    return Check(environments=tuple(checked), errors=tuple(errors), notes=tuple(notes))
