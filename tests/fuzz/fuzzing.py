"""What a target is, and where it works.

The invariant is the same for all: foreign bytes give a result or one of venvctl's own errors, whose
message a person can read; nothing is written but where it belongs. Time and memory are watched by
whoever runs a target.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from interpreters import target as interpreter
from venvctl import wheels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from venvctl.errors import VenvctlError

PYTHON = interpreter("3.11.2")
# Between the parts of an input that has several.
PART = b"\n=====\n"
LIMITS = wheels.Limits(total_size=64 << 20, members=2_000)
_LONGEST_MESSAGE = 20_000


class BrokenInvariantError(AssertionError):
    """A target got a result that must not be."""


@dataclass(slots=True)
class Place:
    """A folder in which targets work; whatever they leave behind outside of it is a find.

    Attributes:
        folder: empty to begin with.
    """

    folder: Path
    _made: dict[str, object] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[Path], object]) -> object:
        """What `make` makes in a folder of that name, made the first time only."""
        if name not in self._made:
            (self.folder / name).mkdir()
            self._made[name] = make(self.folder / name)
        return self._made[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing to fuzz.

    Attributes:
        run: takes the input and a place.
        seeds: inputs to begin with, that get far.
        words: what a random input rarely has by itself.
    """

    run: Callable[[bytes, Place], None]
    seeds: Callable[[], Iterator[bytes]]
    words: tuple[bytes, ...] = ()


def check_error(error: VenvctlError) -> None:
    """An error is one that a person can read."""
    if not error.message or len(error.message) > _LONGEST_MESSAGE:
        raise BrokenInvariantError(f"a message of {len(error.message):,} characters") from error
