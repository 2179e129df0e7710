"""Every inflater gives the same, in whatever pieces, and never more than it is asked for."""

from __future__ import annotations

import random
import zlib
from typing import TYPE_CHECKING

import pytest

from venvctl.inflate import InflateError, IsalInflater, ZlibInflater, inflater

if TYPE_CHECKING:
    from collections.abc import Callable

    from venvctl.inflate import Inflater

    Make = Callable[[], Inflater]

# A long run of one byte inflates to far more than it takes, the rest to about as much.
CONTENT = bytes(500_000) + random.Random(1).randbytes(200_000)  # noqa: S311 - no secret


def deflated(content: bytes) -> bytes:
    stream = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return stream.compress(content) + stream.flush()


@pytest.fixture(params=[ZlibInflater, IsalInflater])
def make(request: pytest.FixtureRequest) -> Make:
    chosen: Make = request.param
    return chosen


def test_the_faster_one_is_taken() -> None:
    assert isinstance(inflater(), IsalInflater)


@pytest.mark.parametrize("content", [b"", b"x", CONTENT])
def test_in_one_piece(make: Make, content: bytes) -> None:
    stream = make()
    assert stream.decompress(deflated(content), len(content) + 1) == content
    assert stream.eof
    assert stream.unused_data == b""


@pytest.mark.parametrize("taken", [1, 1000, 1 << 20])
@pytest.mark.parametrize("given", [7, 4096])
def test_in_pieces(make: Make, given: int, taken: int) -> None:
    content = CONTENT[499_000:503_000] if taken == 1 else CONTENT
    data = deflated(content)
    stream = make()
    parts = []
    while not stream.eof:
        piece, data = (data[:given], data[given:]) if stream.needs_input else (b"", data)
        parts.append(stream.decompress(piece, taken))
        assert len(parts[-1]) <= taken
    assert b"".join(parts) == content


def test_what_follows_the_end_is_not_its_own(make: Make) -> None:
    stream = make()
    stream.decompress(deflated(CONTENT) + b"more", len(CONTENT) + 1)
    assert (stream.eof, stream.unused_data) == (True, b"more")


def test_more_than_was_asked_for_is_not_the_end(make: Make) -> None:
    stream = make()
    assert len(stream.decompress(deflated(CONTENT), 100)) == 100
    assert not stream.eof


def test_one_that_is_cut_has_no_end(make: Make) -> None:
    stream = make()
    assert CONTENT.startswith(stream.decompress(deflated(CONTENT)[:-3], len(CONTENT) + 1))
    assert not stream.eof
    assert stream.needs_input


def test_what_is_no_such_stream_is_an_error(make: Make) -> None:
    with pytest.raises(InflateError, match=r"[Ii]nvalid"):
        make().decompress(b"\xff" * 50, 100)
