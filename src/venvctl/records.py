"""Frozen dataclasses read back from the JSON that `envelope.plain` made of them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

from venvctl.document import Document

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from _typeshed import DataclassInstance

    Record = TypeVar("Record", bound=DataclassInstance)

# By the annotation as it stands in the class.
_READERS: Mapping[str, Callable[[Document, str], object]] = {
    "str": Document.text,
    "int": Document.integer,
    "float": Document.number,
    "bool": lambda document, key: document.flag(key),
    "tuple[str, ...]": Document.texts,
    "tuple[int, ...]": Document.integers,
    "Mapping[str, str]": Document.mapping,
    "Mapping[str, float]": Document.numbers,
}


def revive(kind: type[Record], document: Document, **parts: Callable[[Any], object]) -> Record:
    """A record whose fields are those of a JSON object.

    A field that is not there has the class's own default: an older venvctl did not know it.

    Args:
        kind: a dataclass whose annotations are text (PEP 563).
        document: the object.
        parts: by field, what makes one of a text (an enumeration), or of an object, or of each of a
            list of objects (another record).

    Raises:
        ConfigurationError: a field is missing, or of another type.
    """
    values: dict[str, object] = {}
    for field in dataclasses.fields(kind):
        has_default = (
            field.default is not dataclasses.MISSING
            or field.default_factory is not dataclasses.MISSING
        )
        if document.fields.get(field.name) is None and has_default:
            continue
        values[field.name] = _value(document, field.name, str(field.type), parts.get(field.name))
    return kind(**values)


def _value(
    document: Document, key: str, annotation: str, part: Callable[[Any], object] | None
) -> object:
    if part is None:
        return _READERS[annotation](document, key)
    if annotation.startswith("tuple["):
        return tuple(part(each) for each in document.tables(key))
    if isinstance(document.fields.get(key), dict):
        return part(document.table(key))
    try:
        return part(document.text(key))
    except ValueError:
        raise document.wrong(key, "a word that is known here") from None
