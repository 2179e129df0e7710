"""What a compressed archive's frame can say that is not so."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
import zstandard

from venvctl import compression
from venvctl.errors import HostileArchiveError

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = b"content " * 4096
FRAME = zstandard.ZstdCompressor(write_checksum=True).compress(CONTENT)
# Of a window of 2 GiB: what is written into it would be kept as long as the archive is read.
WIDE = struct.pack("<LBB", 0xFD2FB528, 0x00, (31 - 10) << 3) + b"\x01\x00\x00"
SKIPPED = struct.pack("<LL", 0x184D2A50, 4) + b"skip"


def read(path: Path) -> bytes:
    with compression.reading(path) as stream:
        return b"".join(iter(lambda: stream.read(1000), b""))


def test_one_frame_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.zst"
    path.write_bytes(FRAME)

    assert read(path) == CONTENT


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (FRAME + FRAME, "has something behind its end."),
        (FRAME + SKIPPED, "has something behind its end."),
        (FRAME + b"\0", "has something behind its end."),
        (FRAME[:-1], "is cut short."),
        (FRAME[:4], "is cut short."),
        (FRAME[:-4] + b"\0\0\0\0", "can't be decompressed ("),
        (FRAME[:4] + bytes([FRAME[4] | 0x8]) + FRAME[5:], "can't be decompressed ("),
        (WIDE, "can't be decompressed ("),
        (FRAME[:4] + b"\xff" * 200, "can't be decompressed ("),
    ],
    ids=[
        *("two frames", "a frame to skip", "a byte behind", "cut", "a mark alone"),
        *("another checksum", "a reserved bit", "a wide window", "noise"),
    ],
)
def test_what_is_not_one_whole_frame_is_refused(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tar.zst"
    path.write_bytes(data)

    with pytest.raises(HostileArchiveError) as caught:
        read(path)

    assert caught.value.message.startswith(f"The archive {path} is refused: it {words}")


def test_a_frame_to_skip_at_its_begin_is_no_archive(tmp_path: Path) -> None:
    """It is not what an export writes: taken for a plain archive, which it is not either."""
    path = tmp_path / "a.tar.zst"
    path.write_bytes(SKIPPED + FRAME)

    assert read(path) == SKIPPED + FRAME
