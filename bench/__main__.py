"""Measures venvctl beside its peers: `make bench`, or `.venv/bin/python bench --help`."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

import report
from rows import ROWS
from workplace import opened

_DOCUMENTS = Path(__file__).parents[1] / "docs"


def main() -> None:
    """Measure what was asked for, and write the page."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--size", choices=("small", "large"), default="small")
    parser.add_argument("--rows", default=",".join(ROWS), help=f"some of {', '.join(ROWS)}")
    parser.add_argument("--note", default="", help="a sentence for the page, about the machine")
    parser.add_argument("--print", action="store_true", help="print the page, write nothing")
    given = parser.parse_args()
    names = [name for name in given.rows.split(",") if name]
    if unknown := [name for name in names if name not in ROWS]:
        parser.error(f"there is no row {unknown[0]!r}")
    found = []
    for name in names:
        # A workplace each: no row finds what another left in the store.
        with opened(given.size) as place:
            for row in ROWS[name](place):
                found.append(row)
                sys.stderr.write(
                    f"{row.what}: {row.our_median:.3f} {row.unit} beside {row.their_median:.3f}"
                    f" ({row.peer})\n"
                )
            packages = len(place.packages)
    page = report.markdown(
        found,
        size=given.size,
        packages=packages,
        note=given.note,
        measured=f"{datetime.now(UTC):%Y-%m-%d}",
    )
    if given.print:
        sys.stdout.write(page)
        return
    report.write(_DOCUMENTS, page, report.plot(found))


if __name__ == "__main__":
    main()
