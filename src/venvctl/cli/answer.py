"""What a command gives back: data for programs, lines for people, and what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from venvctl.errors import VenvctlError
    from venvctl.evidence import Basis
    from venvctl.sync import SyncResult


class Tone(StrEnum):
    """How a line is to sound; a terminal shows it as a colour, a pipe not at all."""

    PLAIN = "plain"
    GOOD = "good"
    BAD = "bad"
    QUIET = "quiet"
    TITLE = "title"


@dataclass(frozen=True, slots=True)
class Line:
    """One line for a person.

    Attributes:
        text: what it says; foreign text in it is made harmless when it is shown.
        tone: how it sounds.
        indent: how many steps it is set in.
    """

    text: str
    tone: Tone = Tone.PLAIN
    indent: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """Columns with a heading each; cells are text as in `Line`."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What one environment failed with, as a part of the data."""

    environment: str
    code: str
    message: str
    hint: str

    @classmethod
    def of(cls, environment: str, error: VenvctlError) -> Failure:
        """What is in the error."""
        return cls(environment=environment, code=error.code, message=error.message, hint=error.hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command did, to be shown as text or as JSON.

    Attributes:
        data: what JSON shows: frozen dataclasses, mappings, sequences and scalars.
        lines: what a person is shown.
        errors: what went wrong with parts of the work, while `data` tells of the rest; the first
            one gives the exit code.
        again: what the gate may say the next time, if then there is nothing to do.
    """

    data: object
    lines: tuple[Line | Table, ...] = ()
    errors: tuple[VenvctlError, ...] = ()
    again: Again | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """The same question asked again.

    Attributes:
        basis: what the answer rests on.
        describe: the answer, from what there is to say of each environment.
    """

    basis: Basis
    describe: Callable[[tuple[SyncResult, ...]], Answer]
