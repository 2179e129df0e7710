"""FAULTS 17: a lock that is nested very deep is an error, not a crash."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from venvctl import lockfiles
from venvctl.errors import LockError

if TYPE_CHECKING:
    from pathlib import Path

_DEEP = 10_000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pylock.toml", "lock-version = '1.0'\nx = " + "[" * _DEEP + "]" * _DEEP),
        ("pylock.toml", "lock-version = '1.0'\nx = " + "{y=" * _DEEP + "1" + "}" * _DEEP),
        ("pylock.toml", "[" + "a." * _DEEP + "a]"),
        ("uv.lock", "version = 1\nx = " + "[" * _DEEP + "]" * _DEEP),
        ("poetry.lock", "x = " + "[" * _DEEP + "]" * _DEEP),
        ("pdm.lock", "x = " + "[" * _DEEP + "]" * _DEEP),
        ("Pipfile.lock", '{"default": ' + "[" * _DEEP + "]" * _DEEP + "}"),
        ("requirements.txt", "six==1.0 ; " + "(" * _DEEP + "python_version > '3'" + ")" * _DEEP),
    ],
)
def test_ten_thousand_levels(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    started = time.monotonic()

    with pytest.raises(LockError) as caught:
        lockfiles.read(path, options=lockfiles.LockOptions(project=tmp_path))

    assert caught.value.message.startswith(name)
    assert len(caught.value.message) < 1000
    assert time.monotonic() - started < 60
