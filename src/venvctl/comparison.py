"""The packages in which two generations of an environment differ, also of ones that are gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from venvctl import plan
from venvctl.errors import UsageError

if TYPE_CHECKING:
    from venvctl.environments import Environment
    from venvctl.root import Root


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffResult:
    """The packages in which two generations of one environment differ, by name."""

    environment: str
    before: int
    after: int
    changes: tuple[str, ...]


def compare(name: str, root: Root, *, before: int | None, after: int | None) -> DiffResult:
    """Compare two generations.

    Args:
        name: the environment's.
        root: where it is kept.
        before: number of a generation; None for the one before `after`.
        after: number of the other one; None for the current one.

    Raises:
        UsageError: there is no such environment or generation.
        IntegrityError: a snapshot is damaged.
    """
    environment = root.environment(name)
    if after is None:
        current = environment.current()
        if current is None:
            raise UsageError(f"Environment {name} has no generation yet.")
        after = current.number
    if before is None:
        before = _before(environment, after)
    keys = [_key(environment, number) for number in (before, after)]
    old, new = (root.snapshots.load(key).files for key in keys)
    changes = plan.differences(old, new)
    return DiffResult(environment=name, before=before, after=after, changes=changes)


def _before(environment: Environment, number: int) -> int:
    """The generation that this one took the place of, when it last did."""
    for event in reversed(environment.history()):
        if event.generation == number and event.previous not in {0, number}:
            return event.previous
    raise UsageError(
        f"Generation {number} of {environment.name} took no other one's place.",
        hint=f"`venvctl history {environment.name}` shows what there was.",
    )


def _key(environment: Environment, number: int) -> str:
    """Whose snapshot a generation was made of; the history knows it when the generation is gone."""
    for generation in environment.generations():
        if generation.number == number:
            return generation.key
    for event in reversed(environment.history()):
        if event.generation == number and event.key:
            return event.key
    environment.numbered(number)
    raise UsageError(f"Environment {environment.name} never had a generation {number}.")
