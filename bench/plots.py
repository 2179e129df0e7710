"""Plots as SVG: bars against a goal, and curves on logarithmic scales."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from measurement import Comparison, Curve

_WIDTH, _BAR, _TEXT = 960, 22, 520
_LONGEST = 96  # letters of a label
_COLOURS = (
    *("#1971c2", "#2f9e44", "#e8590c", "#9c36b5", "#c92a2a", "#0c8599", "#f08c00", "#495057"),
    *("#6741d9", "#66a80f", "#a61e4d", "#868e96"),
)
_LEFT, _TOP, _HEIGHT, _LEGEND = 70, 16, 380, 380


def bars(rows: Sequence[tuple[Comparison, str]]) -> str:
    """A bar for each row: its result as a part of its goal; the line is the goal.

    Args:
        rows: each with the words that stand behind its bar.
    """
    height = _BAR * len(rows) + 40
    scale = (_WIDTH - _TEXT - 80) / 2.0
    goal = _TEXT + scale
    parts = _opened(_WIDTH, height)
    for number, (row, result) in enumerate(rows):
        part = max(0.0, min(row.result / row.goal, 2.0))
        top = 10 + number * _BAR
        colour = "#2b8a3e" if row.reached else "#c92a2a"
        words = f"{row.what} · {row.peer}".replace("`", "")
        label = words if len(words) < _LONGEST else f"{words[: _LONGEST - 2]}…"
        parts += [
            _text(_TEXT - 8, top + 14, label, anchor="end", size=10),
            (
                f'<rect x="{_TEXT}" y="{top + 3}" width="{max(1.0, part * scale):.1f}"'
                f' height="{_BAR - 6}" fill="{colour}"/>'
            ),
            _text(_TEXT + part * scale + 6, top + 15, result),
        ]
    bottom = 10 + len(rows) * _BAR
    parts += [
        (
            f'<line x1="{goal:.1f}" y1="4" x2="{goal:.1f}" y2="{bottom}" stroke="#495057"'
            ' stroke-dasharray="4 3"/>'
        ),
        _text(goal, bottom + 16, "goal", anchor="middle"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def curves(found: Sequence[Curve]) -> str:
    """A line for each curve, both scales logarithmic: what is linear rises by 45 degrees."""
    values = [value for curve in found for _, value in curve.points if value > 0]
    numbers = [number for curve in found for number, _ in curve.points]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    first, last = math.log10(min(numbers)), math.log10(max(numbers))
    width = _WIDTH - _LEFT - _LEGEND

    def across(number: float) -> float:
        return _LEFT + (math.log10(number) - first) / ((last - first) or 1) * width

    def down(value: float) -> float:
        share = (math.log10(max(value, 10**low)) - low) / ((high - low) or 1)
        return _TOP + _HEIGHT - share * _HEIGHT

    parts = _opened(_WIDTH, _TOP + _HEIGHT + 50)
    for power in range(low, high + 1):
        y = down(10.0**power)
        words = f"{10.0**power:g} s" if power >= 0 else f"{10.0 ** (power + 3):g} ms"
        parts += [_rule(_LEFT, y, _LEFT + width, y), _text(_LEFT - 8, y + 4, words, anchor="end")]
    for number in sorted(set(numbers)):
        x = across(number)
        parts += [
            _rule(x, _TOP, x, _TOP + _HEIGHT),
            _text(x, _TOP + _HEIGHT + 18, f"{number:,}", anchor="middle", size=10),
        ]
    parts.append(_text(_LEFT + width / 2, _TOP + _HEIGHT + 38, found[0].against, anchor="middle"))
    for number, curve in enumerate(found):
        colour = _COLOURS[number % len(_COLOURS)]
        points = " ".join(f"{across(at):.1f},{down(value):.1f}" for at, value in curve.points)
        y = _TOP + 14 + number * 20
        legend = _LEFT + width + 24
        parts += [
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>',
            f'<rect x="{legend}" y="{y - 8}" width="12" height="8" fill="{colour}"/>',
            _text(legend + 18, y, curve.what.replace("`", ""), size=11),
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _opened(width: float, height: float) -> list[str]:
    return [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            ' font-family="system-ui, sans-serif" font-size="12">'
        ),
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]


def _text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 12) -> str:
    escaped = words.replace("&", "&amp;").replace("<", "&lt;")
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escaped}</text>'
    )


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#dee2e6"/>'
