"""Where pin records are kept: one small file for each pin, index and minor version of Python."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_version

from venvctl import disk, stamp
from venvctl.errors import IntegrityError
from venvctl.indexes import IndexFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from venvctl.lockfiles.model import Pin

_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PinRecord:
    """What one index had for one name and version, for one minor version of Python.

    A file that an index gets later must never change what an environment is, and one that it gets
    for a new Python must be found: each minor version of Python has its own record.

    Attributes:
        source: the indexes that were asked, without credentials.
        python: e.g. ``3.11``.
        unserved: hashes that a lock allowed and no file had; they are not asked for again.
    """

    source: str
    name: str
    version: str
    python: str
    files: tuple[IndexFile, ...]
    unserved: tuple[str, ...] = ()

    def knows(self, hashes: Iterable[str]) -> bool:
        """Whether the index was asked when a lock already allowed these hashes."""
        known = {hash_ for file in self.files for hash_ in file.hash_texts()} | set(self.unserved)
        return known.issuperset(hashes)


class PinStore:
    """The pin records of a root: ``<directory>/<source>/<name>/<version>-<python>.json``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def load(self, pin: Pin, *, source: str, python: str) -> PinRecord | None:
        """The record of a pin, or None where the index was never asked.

        Raises:
            IntegrityError: the record is damaged. It says which content is trusted, so it is not
                silently made again.
        """
        path = self._path(source, pin.name, pin.version, python)
        return read(path) if path.exists() else None

    def knows(self, pin: Pin, *, source: str) -> bool:
        """Whether there is a record of a pin for any Python."""
        return bool(self._all(pin, source))

    def others(self, pin: Pin, *, source: str) -> list[PinRecord]:
        """The records of a pin for every Python; raises as `load`."""
        return [read(path) for path in self._all(pin, source)]

    def save(self, record: PinRecord) -> None:
        """Keep a record durably."""
        path = self._path(record.source, record.name, record.version, record.python)
        disk.make_directory(path.parent)
        disk.write_file(path, _encode(record))

    def _all(self, pin: Pin, source: str) -> list[Path]:
        directory = self._path(source, pin.name, pin.version, "").parent
        return sorted(directory.glob(f"{canonicalize_version(pin.version)}-*.json"))

    def _path(self, source: str, name: str, version: str, python: str) -> Path:
        key = hashlib.sha256(source.encode()).hexdigest()[:16]
        return self._directory / key / name / f"{canonicalize_version(version)}-{python}.json"


def read(path: Path) -> PinRecord:
    """The record in a file; raises `IntegrityError` where it is damaged."""
    try:
        return _decode(stamp.opened(path.read_bytes()))
    except (
        *(ValueError, KeyError, TypeError, AttributeError),
        *(OverflowError, RecursionError),
    ) as error:
        raise IntegrityError(
            f"The pin record {path} is damaged.",
            hint="Remove it; the index is then asked again, and what it serves is trusted.",
        ) from error


def _encode(record: PinRecord) -> bytes:
    return stamp.stamped({"schema": _SCHEMA, **dataclasses.asdict(record)})


def _decode(tables: Mapping[str, Any]) -> PinRecord:
    if tables["schema"] != _SCHEMA:
        raise ValueError(tables["schema"])
    return PinRecord(
        source=str(tables["source"]),
        name=str(tables["name"]),
        version=str(tables["version"]),
        python=str(tables["python"]),
        files=tuple(
            IndexFile(
                name=str(file["name"]),
                url=str(file["url"]),
                path=str(file["path"]),
                hashes={str(key): str(value) for key, value in file["hashes"].items()},
                size=None if file["size"] is None else int(file["size"]),
                upload_time=str(file["upload_time"]),
                requires_python=str(file.get("requires_python", "")),
            )
            for file in tables["files"]
        ),
        unserved=tuple(map(str, tables["unserved"])),
    )
