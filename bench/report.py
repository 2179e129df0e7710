"""What was measured as docs/benchmarks.md, and the plots beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plots
from rows import ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from measurement import Comparison, Curve
    from record import Record, Rows

_MEBI = 1024.0 * 1024.0
_TIMES = "\N{MULTIPLICATION SIGN}"
_OPENING = """# Benchmarks

Written by `make bench`. Each row does the same work with venvctl and with its peer, in turns; times
are medians. Goals are those of the design's section 8, and 1 \N{MULTIPLICATION SIGN} where it has
none for that peer. A ratio says more than a time: both sides share the machine.

Where the peer has the wheels at hand, so has venvctl, and nothing made of the changed one. What is
not as favourable to venvctl as it could be: a sync ends with the data on disk (one `syncfs`), and
makes sure that the new generation can be imported, in a container.

What a container serves is asked for many times a second, over a Unix socket that it shares with the
host. Its published port would add up to a second to either side: a host that sends to an address
whose container is away at that moment asks again where it is only a second later (ARP).
"""
_ROWS_END = """
venvctl's own bytecode is there, as users have it; each command is a new process. The lists of
packages are locked with hashes when the bench starts.
"""
_GROWTH = {
    "files": """## Growth: files

One environment of made-up wheels of 500 files each, half of them bytecode, each file of about
1 KB: in the store, but neither unpacked nor compiled. What is last is not venvctl.
""",
    "environments": """## Growth: environments

One root, each environment with ten wheels that no other has: with 1,000 environments there are
10,000 wheels in the store. Bytecode is off, so that making them takes no week.
""",
    "generations": """## Growth: generations

One environment of ten wheels, one of them another version in each generation.
""",
}
_IMPORTS = """## What a command imports

`python -X importtime`, in milliseconds, the least of nine runs for each module; the interpreter's
own start is the standard library's. A command that has nothing to do is answered by
`venvctl.gate`, with the standard library alone.
"""
_RUN = """## Run it

    make bench                                  # everything, both lists
    make bench ARGS="--size small --rows cold,warm,served"
    make bench ARGS="--rows files,environments,generations"   # growth alone
    make bench ARGS="--quick --print --size small"            # whether it runs at all

Rows that are not measured stay on the page as they were. BENCH_FOLDER says where the bench works,
else it is where Python has its temporary directories.
"""


def page(record: Record, sizes: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The page, and the plots by their file's name.

    Args:
        record: what was measured.
        sizes: the lists of packages, in their order.
    """
    parts = [_OPENING]
    pictures: dict[str, str] = {}
    for size in sizes:
        if rows := _in_order(record.rows.get(size, {})):
            parts += _table(size, rows)
            shown = [row for each in rows.values() for row in each.rows]
            pictures[f"benchmarks-{size}.svg"] = plots.bars([(row, _result(row)) for row in shown])
    parts.append(_ROWS_END)
    for name, opening in _GROWTH.items():
        if curves := record.curves.get(name):
            parts += _growth(name, opening, list(curves.values()))
            timed = [curve for curve in curves.values() if curve.unit == "s"]
            pictures[f"growth-{name}.svg"] = plots.curves(timed)
    if record.imports:
        parts += _imports(record.imports)
    parts.append(_RUN)
    return "\n".join(parts), pictures


def _in_order(rows: Mapping[str, Rows]) -> dict[str, Rows]:
    return {name: rows[name] for name in ROWS if name in rows}


def _table(size: str, found: Mapping[str, Rows]) -> Iterator[str]:
    packages = max(rows.packages for rows in found.values())
    yield f"## {packages} packages\n"
    yield "| what | venvctl | peer | peer's | result | goal | |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for rows in found.values():
        yield from map(_row, rows.rows)
    yield f"\n![how far each row is from its goal](benchmarks-{size}.svg)\n"
    yield f"How `bench/{size}.txt` was measured:\n"
    # Rows that were measured under the same circumstances are told of together.
    told: dict[str, list[str]] = {}
    for name, rows in found.items():
        circumstances = f"{rows.measured}: {rows.machine}." + (f" {rows.note}" if rows.note else "")
        turns = max(len(row.ours) for row in rows.rows)
        told.setdefault(circumstances, []).append(f"{name} ({turns})")
    for circumstances, names in told.items():
        yield f"* {circumstances} Rows, and turns of each: {', '.join(names)}."
    yield ""


def _row(row: Comparison) -> str:
    goal = f"≤ {row.goal * 1000:.0f} ms beyond" if row.beyond else f"≤ {row.goal:.3g} {_TIMES}"
    cells = (
        row.what, _amount(row.our_median, row.unit), row.peer, _amount(row.their_median, row.unit),
        _result(row), goal, "reached" if row.reached else "**not reached**",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _result(row: Comparison) -> str:
    return f"{row.result * 1000:+.0f} ms" if row.beyond else f"{row.result:.3g} {_TIMES}"


def _amount(value: float, unit: str) -> str:
    if unit == "bytes":
        return f"{value / _MEBI:.1f} MiB"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def _growth(name: str, opening: str, curves: Sequence[Curve]) -> Iterator[str]:
    yield opening
    yield f"![how it grows](growth-{name}.svg)\n"
    numbers = [number for number, _ in curves[0].points]
    heads = [f"{number:,}" for number in numbers]
    against = curves[0].against
    yield f"| what, for so many {against} | {' | '.join(heads)} | 1,000 more | power |"
    yield f"| --- |{' --- |' * (len(heads) + 2)}"
    for curve in curves:
        cells = [_amount(value, curve.unit) for _, value in curve.points]
        cells += [_amount(max(0.0, curve.slope * 1000), curve.unit), f"{curve.exponent:.2f}"]
        yield f"| {curve.what} | {' | '.join(cells)} |"
    yield (
        f"\nThe slope is that of the least-squares line. The power is the one of the number of"
        f" {against} with which it grew between half of the most and the most: 1 is linear, 2 would"
        " be quadratic.\n"
    )


def _imports(found: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    yield _IMPORTS
    yield "| command | altogether | of which |"
    yield "| --- | --- | --- |"
    for command, packages in found.items():
        shown = [f"{name} {took / 1000:.1f}" for name, took in packages.items() if took >= 500]  # noqa: PLR2004 - half a millisecond, less is not seen
        yield f"| {command} | {sum(packages.values()) / 1000:.1f} | {', '.join(shown)} |"
    yield ""
