"""Each fault of docs/reliability.md, and each claim of docs/security.md, names tests there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_TEST = re.compile(r"`(tests/[a-z0-9_/]+\.py)(?:::(?:(\w+)::)?(test_\w+))?`")
_ROWS = 36


@pytest.mark.parametrize("page", ["reliability", "security"])
def test_every_test_that_is_named_exists(page: str) -> None:
    named = _TEST.findall((_ROOT / "docs" / f"{page}.md").read_text("utf-8"))

    missing = [
        f"{file}::{test}"
        for file, _, test in named
        if not (_ROOT / file).is_file()
        or (test and f"def {test}(" not in (_ROOT / file).read_text("utf-8"))
    ]

    assert len(named) > 10
    assert not missing


def test_every_fault_has_a_test() -> None:
    text = (_ROOT / "docs/reliability.md").read_text("utf-8")
    rows = re.findall(r"^\| ([0-9]+) \|.*\|(.*)\|$", text, re.MULTILINE)

    assert [int(number) for number, _ in rows] == list(range(1, _ROWS + 1))
    own = [f"`tests/faults/test_row_{int(number):02}.py`" for number, _ in rows]
    assert [name for name, (_, tests) in zip(own, rows, strict=True) if name not in tests] == []
