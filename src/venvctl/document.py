"""A JSON object that others wrote, read field by field into the types it should have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from venvctl.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Document:
    """One JSON object and where it stands; a null field counts as missing.

    Every method raises `ConfigurationError` with the dotted path of a field of another type.

    Attributes:
        fields: the object as `json` gives it.
        source: what the document is, for messages, e.g. ``projects/shop.json``.
        path: dotted path of this object in it, with a dot at the end; empty at the top.
    """

    fields: Mapping[str, object]
    source: str
    path: str = ""

    @classmethod
    def parse(cls, value: object, source: str) -> Document:
        """The top of a document that `json.loads` gave."""
        if not isinstance(value, dict):
            raise ConfigurationError(f"{source} is not a JSON object.")
        return cls(value, source)

    def text(self, key: str, default: str | None = None) -> str:
        """A string; without a default the field must be there."""
        return self._field(key, str, "a text", default)

    def integer(self, key: str, default: int | None = None) -> int:
        """A whole number; without a default the field must be there."""
        return self._field(key, int, "a whole number", default)

    def number(self, key: str, default: float | None = None) -> float:
        """Any number; without a default the field must be there."""
        value = self.fields.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        return self._field(key, float, "a number", default)

    def flag(self, key: str, *, default: bool | None = None) -> bool:
        """True or false; without a default the field must be there."""
        return self._field(key, bool, "true or false", default)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings; empty when it is missing."""
        values = self._field(key, list, "a list", [])
        if not all(isinstance(value, str) for value in values):
            raise self.wrong(key, "a list of texts")
        return tuple(values)

    def integers(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers; empty when it is missing."""
        values = self._field(key, list, "a list", [])
        if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            raise self.wrong(key, "a list of whole numbers")
        return tuple(values)

    def numbers(self, key: str) -> dict[str, float]:
        """Numbers by name; empty when it is missing."""
        table = self.table(key)
        return {name: table.number(name) for name in table.fields}

    def mapping(self, key: str) -> dict[str, str]:
        """Strings by name, without those that are null; empty when it is missing."""
        values = {
            name: value
            for name, value in self._field(key, dict, "an object", {}).items()
            if value is not None
        }
        if not all(isinstance(value, str) for value in values.values()):
            raise self.wrong(key, "an object of texts")
        return values

    def table(self, key: str) -> Document:
        """An object; empty when it is missing."""
        fields = self._field(key, dict, "an object", {})
        return Document(fields, self.source, f"{self.path}{key}.")

    def tables(self, key: str) -> tuple[Document, ...]:
        """A list of objects; empty when it is missing."""
        values = self._field(key, list, "a list", [])
        if not all(isinstance(value, dict) for value in values):
            raise self.wrong(key, "a list of objects")
        return tuple(
            Document(fields, self.source, f"{self.path}{key}[{index}].")
            for index, fields in enumerate(values)
        )

    def _field(
        self, key: str, kind: type[_Value], description: str, default: _Value | None
    ) -> _Value:
        value = self.fields.get(key)
        if value is None:
            if default is None:
                raise ConfigurationError(f"{self.path}{key} is missing in {self.source}.")
            return default
        # JSON's true is no number, though Python's is.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.wrong(key, description)
        return value

    def wrong(self, key: str, description: str) -> ConfigurationError:
        """The error that a field is not what it should be, e.g. ``a list of texts``."""
        return ConfigurationError(f"{self.path}{key} in {self.source} is not {description}.")
