"""The measurements as docs/benchmarks.md and a plot beside it."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

from measurement import run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from measurement import Comparison

_WIDTH, _BAR, _TEXT = 860, 22, 470
_LONGEST = 78  # letters of a label
_KIBI = 1024.0
_TIMES = "\N{MULTIPLICATION SIGN}"


def markdown(
    rows: Sequence[Comparison], *, size: str, packages: int, note: str, measured: str
) -> str:
    """The page.

    Args:
        rows: what was measured.
        size: which list of packages.
        packages: how many it has.
        note: a sentence about the machine at that time; may be empty.
        measured: the day.
    """
    lines = [
        "# Benchmarks",
        "",
        (
            "Written by `make bench`. Each row does the same work with venvctl and with its"
            " peer, in turns; times are medians. Goals are those of the design's"
            " section 8. A ratio says more than a time: both sides share the machine."
        ),
        "",
        "| what | venvctl | peer | peer's | result | goal | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_row(row) for row in rows]
    lines += [
        "",
        "![how far each row is from its goal](benchmarks.svg)",
        "",
        "## How it was measured",
        "",
        (
            f"* {measured}, `bench/{size}.txt` ({packages} packages), locked with hashes when the"
            " bench started."
        ),
        f"* {_machine()}",
        (
            f"* Docker Engine {_engine()}; {platform.python_implementation()} "
            f"{platform.python_version()} on the host."
        ),
        "* venvctl's own bytecode is there, as users have it; each command is a new process.",
        f"* turns, for each row: {', '.join(str(len(row.ours)) for row in rows)}.",
    ]
    if note:
        lines.append(f"* {note}")
    lines += [
        "",
        "## Run it",
        "",
        "    make bench                                  # everything, some 26 packages",
        '    make bench ARGS="--size large"              # some 200 packages, 1 GB installed',
        '    make bench ARGS="--rows nothing-changed,hook --print"',
        "",
        "Not measured here: 1,000 environments followed by one daemon.",
        "",
    ]
    return "\n".join(lines)


def plot(rows: Sequence[Comparison]) -> str:
    """A bar for each row: its result as a part of its goal; the line is the goal."""
    height = _BAR * len(rows) + 40
    scale = (_WIDTH - _TEXT - 60) / 2.0
    goal = _TEXT + scale
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
            ' font-family="system-ui, sans-serif" font-size="12">'
        ),
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for number, row in enumerate(rows):
        part = max(0.0, min(row.result / row.goal, 2.0))
        top = 10 + number * _BAR
        colour = "#2b8a3e" if row.reached else "#c92a2a"
        words = f"{row.what} · {row.peer}".replace("`", "")
        label = _escape(words if len(words) < _LONGEST else f"{words[: _LONGEST - 2]}…")
        parts += [
            f'<text x="{_TEXT - 8}" y="{top + 14}" text-anchor="end" font-size="10">{label}</text>',
            (
                f'<rect x="{_TEXT}" y="{top + 3}" width="{max(1.0, part * scale):.1f}"'
                f' height="{_BAR - 6}" fill="{colour}"/>'
            ),
            f'<text x="{_TEXT + part * scale + 6:.1f}" y="{top + 15}">{_result(row)}</text>',
        ]
    bottom = 10 + len(rows) * _BAR
    parts += [
        (
            f'<line x1="{goal:.1f}" y1="4" x2="{goal:.1f}" y2="{bottom}" stroke="#495057"'
            ' stroke-dasharray="4 3"/>'
        ),
        f'<text x="{goal:.1f}" y="{bottom + 16}" text-anchor="middle">goal</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def write(folder: Path, page: str, picture: str) -> None:
    """Write both."""
    (folder / "benchmarks.md").write_text(page)
    (folder / "benchmarks.svg").write_text(picture)


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
        return f"{value / _KIBI / _KIBI:.1f} MiB"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def _machine() -> str:
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in run(["cat", "/proc/cpuinfo"]).splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _KIBI**3
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores ({processor}), {memory:.0f} GiB, Linux {platform.release()};"
        f" load average {load:.1f} at the end."
    )


def _engine() -> str:
    return run(["docker", "version", "--format", "{{.Server.Version}}"]).strip()


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
