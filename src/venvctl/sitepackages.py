"""Where the host has an environment's packages, for editors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from venvctl.errors import UsageError

if TYPE_CHECKING:
    from venvctl.root import Root


@dataclass(frozen=True, slots=True, kw_only=True)
class PathResult:
    """Where the host has an environment.

    Attributes:
        path: of its site-packages, through the link that names the current generation: it stays
            the same over syncs.
        generation: number of the current one.
    """

    environment: str
    path: str
    generation: int


def find(name: str, root: Root) -> PathResult:
    """The host's path of an environment's current site-packages.

    Raises:
        UsageError: it has no generation yet.
        IntegrityError: its current generation is damaged.
    """
    environment = root.environment(name)
    current = environment.current()
    found = sorted(current.path.glob("lib/python*/site-packages")) if current else []
    if current is None or not found:
        raise UsageError(
            f"Environment {name} has no generation yet.", hint=f"`venvctl sync {name}` makes one."
        )
    path = str(environment.volume / found[0].relative_to(current.path))
    return PathResult(environment=name, path=path, generation=current.number)
