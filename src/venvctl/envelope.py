"""The JSON that commands print and the daemon answers: one object, versioned, data or an error."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from venvctl.errors import VenvctlError

SCHEMA = 1


def success(command: str, data: object) -> dict[str, object]:
    """The envelope of something that was done.

    Args:
        command: its name, e.g. ``sync``.
        data: frozen dataclasses, mappings, sequences and scalars.
    """
    return {"schema": SCHEMA, "command": command, "ok": True, "data": plain(data)}


def failure(command: str, error: VenvctlError) -> dict[str, object]:
    """The envelope of something that failed."""
    return {
        "schema": SCHEMA,
        "command": command,
        "ok": False,
        "error": {"code": error.code, "message": error.message, "hint": error.hint},
    }


def plain(value: object) -> object:
    """What `json` can write: dataclasses as objects with their fields' names, paths as text."""
    found = value
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        found = {name: plain(getattr(value, name)) for name in names}
    elif isinstance(value, Mapping):
        found = {str(key): plain(item) for key, item in value.items()}
    elif isinstance(value, Path):
        found = str(value)
    elif isinstance(value, float):
        found = round(value, 6)
    elif isinstance(value, AbstractSet):
        found = sorted(map(str, value))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        found = [plain(item) for item in value]
    return found
