"""What was measured, kept in files, so that a run of a few rows leaves the others as they were."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from measurement import Comparison, Curve, run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_GIBI = 1024.0**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Some rows that were measured together.

    Attributes:
        rows: what was measured. packages: how many there were.
        measured: the day. machine: what it was measured on. note: a sentence about it, or none.
    """

    rows: tuple[Comparison, ...]
    packages: int
    measured: str
    machine: str
    note: str = ""

    @classmethod
    def now(cls, rows: Sequence[Comparison], *, packages: int, note: str) -> Rows:
        """Rows that were measured just now, here."""
        return cls(
            rows=tuple(rows),
            packages=packages,
            measured=f"{datetime.now(UTC):%Y-%m-%d}",
            machine=machine(),
            note=note,
        )


@dataclass(slots=True)
class Record:
    """Everything that is known.

    Args:
        folder: where the files are, which are read now, and written at each `keep_`; None for
            nowhere.
        note: a sentence about the machine.

    Attributes:
        rows: by the list of packages, and the row's name.
        curves: by the name of what measures them, and what was done.
        imports: by command, the time (microseconds) of each top-level package it imports.
    """

    folder: Path | None
    note: str = ""
    rows: dict[str, dict[str, Rows]] = field(default_factory=dict)
    curves: dict[str, dict[str, Curve]] = field(default_factory=dict)
    imports: dict[str, dict[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read what is there."""
        for name, document in self._documents().items():
            if name == "curves":
                self.curves = {
                    maker: {what: _curve(curve) for what, curve in curves.items()}
                    for maker, curves in document.items()
                }
            elif name == "imports":
                self.imports = document
            else:
                self.rows[name] = {row: _rows(found) for row, found in document.items()}

    def keep_rows(self, size: str, name: str, rows: Rows) -> None:
        """Write down some rows of the table."""
        self.rows.setdefault(size, {})[name] = rows
        self._write(size, {key: dataclasses.asdict(each) for key, each in self.rows[size].items()})

    def keep_curve(self, name: str, curve: Curve) -> None:
        """Write down a curve."""
        self.curves.setdefault(name, {})[curve.what] = curve
        self._write(
            "curves",
            {
                maker: {what: dataclasses.asdict(each) for what, each in curves.items()}
                for maker, curves in self.curves.items()
            },
        )

    def keep_imports(self, imports: Mapping[str, Mapping[str, int]]) -> None:
        """Write down what commands import."""
        self.imports = {command: dict(packages) for command, packages in imports.items()}
        self._write("imports", self.imports)

    def _documents(self) -> dict[str, Any]:
        if self.folder is None or not self.folder.is_dir():
            return {}
        return {path.stem: json.loads(path.read_bytes()) for path in self.folder.glob("*.json")}

    def _write(self, name: str, document: object) -> None:
        if self.folder is not None:
            self.folder.mkdir(exist_ok=True)
            (self.folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")


def machine() -> str:
    """What is measured on."""
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in run(["cat", "/proc/cpuinfo"]).splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIBI
    engine = run(["docker", "version", "--format", "{{.Server.Version}}"]).strip()
    return (
        f"{os.cpu_count()} cores ({processor}), {memory:.0f} GiB, Linux {platform.release()},"
        f" Docker Engine {engine}, {platform.python_implementation()}"
        f" {platform.python_version()} on the host; load average {os.getloadavg()[0]:.1f} at the"
        " end"
    )


def _rows(document: Mapping[str, Any]) -> Rows:
    rows = tuple(
        Comparison(**{**row, "ours": tuple(row["ours"]), "theirs": tuple(row["theirs"])})
        for row in document["rows"]
    )
    return Rows(**{**document, "rows": rows})


def _curve(document: Mapping[str, Any]) -> Curve:
    points = tuple((int(number), float(value)) for number, value in document["points"])
    return Curve(**{**document, "points": points})
