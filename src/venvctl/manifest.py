"""What is in a tree: every file with its digest, and what generations need to know of the wheel."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from venvctl import stamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCHEMA = 1
_DIGEST = 64  # characters of a SHA-256 in hexadecimal


class ManifestFile(NamedTuple):
    """One file of a tree.

    A named tuple and not a dataclass: an environment has 50,000 of these, they are loaded at every
    sync, and a tuple is made five times as fast.

    Attributes:
        path: where it goes, relative to the prefix; always ``/`` between the parts.
        sha256: hexadecimal digest of its content.
        size: in bytes.
        executable: whether its mode is 0755 instead of 0644.
    """

    path: str
    sha256: str
    size: int
    executable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoint:
    """A script to generate (entry points specification: ``console_scripts``, ``gui_scripts``)."""

    name: str
    module: str
    attribute: str
    kind: Literal["console", "gui"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that is known of an unpacked wheel without opening one of its files.

    Attributes:
        name: the distribution's name, normalised (PEP 503).
        version: as its METADATA writes it.
        directories: all directories of `files` and `bytecode` and the wheel's empty ones, relative
            to the prefix, parents first.
        files: what the wheel puts below the prefix, RECORD, INSTALLER and REQUESTED included.
        bytecode: compiled modules, in ``__pycache__`` directories.
        raw_scripts: scripts that start with ``#!python``; they lie outside the prefix, in the
            tree's ``scripts`` folder, as their first line depends on where the environment is
            mounted. `path` is the bare name.
        entry_points: scripts to generate, in the order of the wheel.
        root_is_purelib: what its WHEEL says.
        requires_dist, requires_python, provides_extra: those fields of its METADATA, as text.
        modules: names that it makes importable, sorted; a namespace package counts.
        uncompiled: sources, relative to the prefix, that this interpreter can't compile.
    """

    name: str
    version: str
    directories: tuple[str, ...]
    files: tuple[ManifestFile, ...]
    bytecode: tuple[ManifestFile, ...] = ()
    raw_scripts: tuple[ManifestFile, ...] = ()
    entry_points: tuple[EntryPoint, ...] = ()
    root_is_purelib: bool = True
    requires_dist: tuple[str, ...] = ()
    requires_python: str = ""
    provides_extra: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    uncompiled: tuple[str, ...] = ()

    @property
    def scripts(self) -> tuple[str, ...]:
        """Names of the scripts whose first line is written for each generation."""
        return tuple(script.path for script in self.raw_scripts)

    @property
    def size(self) -> int:
        """Bytes of all its files together, bytecode included."""
        return sum(
            file.size for group in (self.files, self.bytecode, self.raw_scripts) for file in group
        )

    def to_json(self) -> bytes:
        """The stored form: columns instead of rows, since that loads four times as fast."""
        return stamp.stamped(
            {
                "schema": SCHEMA,
                "name": self.name,
                "version": self.version,
                "directories": self.directories,
                "files": _columns(self.files),
                "bytecode": _columns(self.bytecode),
                "raw-scripts": _columns(self.raw_scripts),
                "entry-points": [
                    (point.name, point.module, point.attribute, point.kind)
                    for point in self.entry_points
                ],
                "root-is-purelib": self.root_is_purelib,
                "requires-dist": self.requires_dist,
                "requires-python": self.requires_python,
                "provides-extra": self.provides_extra,
                "modules": self.modules,
                "uncompiled": self.uncompiled,
            },
            compact=True,
        )

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Read the stored form.

        Raises:
            ValueError: it is cut short, of another schema, or not a manifest at all.
        """
        try:
            raw = stamp.opened(data)
            if raw["schema"] != SCHEMA:
                raise ValueError(f"manifest schema {raw['schema']!r} is not {SCHEMA}")
            return cls(
                name=raw["name"],
                version=raw["version"],
                directories=tuple(raw["directories"]),
                files=_rows(raw["files"]),
                bytecode=_rows(raw["bytecode"]),
                raw_scripts=_rows(raw["raw-scripts"]),
                entry_points=tuple(
                    EntryPoint(name=name, module=module, attribute=attribute, kind=kind)
                    for name, module, attribute, kind in raw["entry-points"]
                ),
                root_is_purelib=raw["root-is-purelib"],
                requires_dist=tuple(raw["requires-dist"]),
                requires_python=raw["requires-python"],
                provides_extra=tuple(raw["provides-extra"]),
                modules=tuple(raw["modules"]),
                uncompiled=tuple(raw["uncompiled"]),
            )
        except (KeyError, TypeError, IndexError, RecursionError) as error:
            raise ValueError(f"not a manifest: {error}") from error


def _columns(files: Sequence[ManifestFile]) -> list[object]:
    """Paths, digests run together, sizes, and the places of the executable ones."""
    return [
        [file.path for file in files],
        "".join(file.sha256 for file in files),
        [file.size for file in files],
        [place for place, file in enumerate(files) if file.executable],
    ]


def _rows(columns: object) -> tuple[ManifestFile, ...]:
    paths, digests, sizes, executable = cast("tuple[list[str], str, list[int], list[int]]", columns)
    if len(digests) != _DIGEST * len(paths) or len(sizes) != len(paths):
        raise ValueError("not a manifest: its columns differ in length")
    flags = [False] * len(paths)
    for place in executable:
        flags[place] = True
    split = [digests[start : start + _DIGEST] for start in range(0, len(digests), _DIGEST)]
    return tuple(map(ManifestFile, paths, split, sizes, flags))


@contextmanager
def uncollected() -> Iterator[None]:
    """Do without the garbage collector where tens of thousands of rows appear at once.

    None of them is garbage, and to look through them again and again costs as much as everything
    else (measured).
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
