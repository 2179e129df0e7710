"""Measures venvctl beside its peers: `make bench`, or `.venv/bin/python bench --help`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))  # what makes wheels there makes them here, too

import report  # noqa: E402 - after the path to what it imports
from growth import CURVES  # noqa: E402 - the same
from imports import imports  # noqa: E402 - the same
from record import Record, Rows  # noqa: E402 - the same
from rows import ONCE, ROWS  # noqa: E402 - the same
from workplace import opened  # noqa: E402 - the same

if TYPE_CHECKING:
    from measurement import Comparison

SIZES = ("small", "large")
_IMPORTS = "imports"
_DOCUMENTS = HERE.parent / "docs"


def main() -> None:
    """Measure what was asked for, and write the page."""
    given = _arguments()
    # Whoever ends it wants its containers gone, too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    # What is not measured now stays on the page as it was.
    record = Record(given.measured, note=given.note)
    names = [name for name in given.rows.split(",") if name]
    for number, size in enumerate(given.size.split(",")):
        packages = tuple((given.lists / f"{size}.txt").read_text().split())
        for name in names:
            if name in ROWS and not (number and name in ONCE):
                found = _compare(name, packages, given)
                record.keep_rows(
                    size, name, Rows.now(found, packages=len(packages), note=given.note)
                )
    for name in names:
        if name in CURVES:
            with opened((), quick=given.quick) as place:
                for curve in CURVES[name](place):
                    sys.stderr.write(f"{curve.what}: {curve.points}\n")
                    record.keep_curve(name, curve)
    if _IMPORTS in names:
        with opened((), quick=given.quick) as place:
            record.keep_imports(imports(place))
    page, pictures = report.page(record, SIZES if given.lists == HERE else given.size.split(","))
    if given.print:
        sys.stdout.write(page)
        return
    given.documents.mkdir(exist_ok=True)
    (given.documents / "benchmarks.md").write_text(page)
    for file, text in pictures.items():
        (given.documents / file).write_text(text)


def _compare(
    name: str, packages: tuple[str, ...], given: argparse.Namespace
) -> tuple[Comparison, ...]:
    # A workplace each: no row finds what another left in the store.
    changes = (given.lists / "changing.txt").read_text().split()
    with opened(packages, changes=changes, quick=given.quick) as place:
        found = []
        for row in ROWS[name](place):
            found.append(row)
            sys.stderr.write(
                f"{row.what}: {row.our_median:.3f} {row.unit} beside {row.their_median:.3f}"
                f" ({row.peer})\n"
            )
    return tuple(found)


def _arguments() -> argparse.Namespace:
    known = (*ROWS, *CURVES, _IMPORTS)
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "--size", default=",".join(SIZES), help="which lists of packages (default: both)"
    )
    parser.add_argument("--rows", default=",".join(known), help=f"some of {', '.join(known)}")
    parser.add_argument("--quick", action="store_true", help="one turn of everything, and less")
    parser.add_argument("--note", default="", help="a sentence for the page, about the machine")
    parser.add_argument("--print", action="store_true", help="print the page; keep nothing")
    parser.add_argument("--lists", type=Path, default=HERE, help="where the lists are")
    parser.add_argument("--documents", type=Path, default=_DOCUMENTS, help="where the page goes")
    parser.add_argument("--measured", type=Path, default=HERE / "measured", help="and the numbers")
    given = parser.parse_args()
    for name in given.rows.split(","):
        if name and name not in known:
            parser.error(f"there is no row {name!r}")
    for size in given.size.split(","):
        if not (given.lists / f"{size}.txt").is_file():
            parser.error(f"there is no list {given.lists}/{size}.txt")
    if given.print:
        given.measured = None
    return given


if __name__ == "__main__":
    main()
