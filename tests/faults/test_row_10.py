"""FAULTS 10: bombs, members that are there twice and sizes that lie are refused."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from hostile import refusal

if TYPE_CHECKING:
    from pathlib import Path

    from world import World

pytestmark = pytest.mark.engine


def test_a_bomb(settled: World) -> None:
    reason = refusal(settled, {"files": {"bomb.bin": bytes(80 << 20)}})

    assert "250" in reason, reason


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["pkg/a.py", "pkg/A.py/../a.py"])
def test_twice(settled: World, second: str) -> None:
    options = {"files": {"pkg/a.py": b"one = 1\n"}, "extra": [(second, b"two = 2\n")]}

    assert ascii(second) in refusal(settled, options)


@pytest.mark.parametrize("size", [0, 7, 4096, 0xFFFFFFF0])
def test_a_size_that_lies(settled: World, size: int) -> None:
    def lie(path: Path) -> None:
        data = bytearray(path.read_bytes())
        # The central directory's uncompressed size, 24 bytes from its signature (APPNOTE 4.3.12).
        data[(place := data.index(b"PK\x01\x02") + 24) : place + 4] = struct.pack("<I", size)
        path.write_bytes(data)

    assert refusal(settled, {"files": {"pkg/a.py": b"content = 1\n" * 40}}, lie)
