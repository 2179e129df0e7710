"""What the options ask for must be in the lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from packaging.utils import canonicalize_name

from venvctl.errors import LockError

if TYPE_CHECKING:
    from collections.abc import Iterable


def check_known(
    kind: Literal["extra", "group", "package"],
    asked: Iterable[str],
    known: Iterable[str],
    name: str,
) -> None:
    """Refuse what a lock doesn't have, and say what it has.

    Args:
        kind: what the names are.
        asked: as the user wrote them, in any spelling (PEP 685, PEP 735).
        known: as the lock has them.
        name: what messages call the lock.

    Raises:
        LockError: some are not there; all of them are named.
    """
    spellings = sorted(set(known))
    normalized = set(map(canonicalize_name, spellings))
    missing = [each for each in asked if canonicalize_name(each) not in normalized]
    if missing:
        has = f"there is {', '.join(spellings)}" if spellings else "the lock has none"
        raise LockError(
            f"{name}: There is no {kind} {', '.join(map(repr, missing))}; {has}.",
            hint=f"Correct the label `venvctl.{kind if kind == 'package' else f'{kind}s'}`.",
        )
