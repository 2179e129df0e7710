"""Measures venvctl beside its peers: `make bench`, or `.venv/bin/python bench --help`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import report
from measurement import Comparison
from rows import ROWS
from workplace import opened

_DOCUMENTS = Path(__file__).parents[1] / "docs"
_MEASURED = Path(__file__).parent / "measured"


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
    # Whoever ends it wants its containers gone, too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    # Rows that are not measured now stay as they are on the page.
    kept = _load(given.size)
    for name in names:
        # A workplace each: no row finds what another left in the store.
        with opened(given.size) as place:
            found = []
            for row in ROWS[name](place):
                found.append(row)
                sys.stderr.write(
                    f"{row.what}: {row.our_median:.3f} {row.unit} beside {row.their_median:.3f}"
                    f" ({row.peer})\n"
                )
            packages = len(place.packages)
        kept = {**kept, name: found} if given.print else _keep(given.size, name, found)
    page = report.markdown(
        [row for name in ROWS for row in kept.get(name, ())],
        size=given.size,
        packages=packages,
        note=given.note,
        measured=f"{datetime.now(UTC):%Y-%m-%d}",
    )
    if given.print:
        sys.stdout.write(page)
        return
    report.write(
        _DOCUMENTS, page, report.plot([row for name in ROWS for row in kept.get(name, ())])
    )


def _load(size: str) -> dict[str, list[Comparison]]:
    """What was measured before, by the row's name."""
    path = _MEASURED / f"{size}.json"
    if not path.exists():
        return {}
    document = json.loads(path.read_bytes())
    return {
        name: [
            Comparison(**{**row, "ours": tuple(row["ours"]), "theirs": tuple(row["theirs"])})
            for row in rows
        ]
        for name, rows in document.items()
    }


def _keep(size: str, name: str, found: list[Comparison]) -> dict[str, list[Comparison]]:
    """Write down what was measured; everything that is written down."""
    kept = {**_load(size), name: found}
    document = {key: [dataclasses.asdict(row) for row in rows] for key, rows in kept.items()}
    _MEASURED.mkdir(exist_ok=True)
    (_MEASURED / f"{size}.json").write_text(json.dumps(document, indent=1) + "\n")
    return kept


if __name__ == "__main__":
    main()
