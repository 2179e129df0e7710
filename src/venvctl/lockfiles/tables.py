"""A table of a TOML or JSON lock, whose values are checked as they are taken out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.markers import InvalidMarker, Marker
from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version

from venvctl.errors import LockError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from packaging.utils import NormalizedName

_HINT = "The file is damaged, or newer than venvctl knows; make the lock again."


@dataclass(frozen=True, slots=True)
class Table:
    """One table and where it is.

    Attributes:
        values: as the parser gave them.
        place: where the table is, for messages: ``poetry.lock: package[3]``.
    """

    values: Mapping[str, Any]
    place: str

    def __contains__(self, key: str) -> bool:
        """Whether the key is there."""
        return key in self.values

    def text(self, key: str, default: str | None = None) -> str:
        """A text; without a default it must be there."""
        value = self.values.get(key, default)
        if value is None:
            raise LockError(f"{self.place}: `{key}` is missing.", hint=_HINT)
        if not isinstance(value, str):
            raise self.wrong(key, "a text")
        return value

    def texts(self, key: str) -> list[str]:
        """A list of texts; an absent one is empty."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, "a list of texts")
        return value

    def flag(self, key: str) -> bool:
        """A truth value; an absent one is false."""
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def table(self, key: str) -> Table:
        """A table inside; an absent one is empty."""
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, "a table")
        return Table(value, f"{self.place}: {key}")

    def tables(self, key: str) -> list[Table]:
        """A list of tables inside; an absent one is empty."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.wrong(key, "a list of tables")
        return [
            Table(item, f"{self.place}: {key}[{position}]") for position, item in enumerate(value)
        ]

    def items(self) -> Iterator[tuple[str, Table]]:
        """Its keys and the tables under them."""
        return ((key, self.table(key)) for key in self.values)

    def version(self, key: str, text: str) -> Version:
        """A version that was written under a key."""
        try:
            return Version(text)
        except InvalidVersion as error:
            raise LockError(
                f"{self.place}: `{key}` {text!r} is not a version (PEP 440).", hint=_HINT
            ) from error

    def name(self, key: str = "name") -> NormalizedName:
        """A package's name, normalized (PEP 503)."""
        return package_name(self.text(key), self.place)

    def wrong(self, key: str, expected: str) -> LockError:
        """The error for a value of another type."""
        return LockError(f"{self.place}: `{key}` is not {expected}.", hint=_HINT)


def package_name(text: str, place: str) -> NormalizedName:
    """Normalize a package's name (PEP 503).

    Raises:
        LockError: it has what no name may have.
    """
    try:
        return canonicalize_name(text, validate=True)
    except InvalidName as error:
        raise LockError(f"{place}: {text[:80]!r} can't be a package's name.", hint=_HINT) from error


def parse_marker(text: str, place: str) -> Marker:
    """Parse an environment marker (PEP 508).

    Raises:
        LockError: it is malformed, or nested too deep.
    """
    try:
        return Marker(text)
    except InvalidMarker as error:
        reason = str(error).partition("\n")[0]
    except RecursionError:
        reason = "It is nested too deep"
    raise LockError(f"{place}: {text[:80]!r} is not a marker: {reason}.", hint=_HINT)
