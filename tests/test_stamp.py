"""A stamped text says when one bit of it flipped, wherever that is."""

from __future__ import annotations

import json

import pytest

from venvctl import stamp

DOCUMENT = {"schema": 1, "name": "alpha", "text": "é\n\ud800", "list": [1, 2.5, None], "empty": {}}
TEXTS = [
    stamp.stamped(DOCUMENT),
    stamp.stamped(DOCUMENT, indent=1),
    stamp.stamped(DOCUMENT, compact=True),
]


@pytest.mark.parametrize("data", TEXTS)
def test_it_comes_back_without_its_digest_and_is_json_for_everybody(data: bytes) -> None:
    assert stamp.opened(data) == DOCUMENT
    assert json.loads(data) == {"digest": json.loads(data)["digest"], **DOCUMENT}


@pytest.mark.parametrize("data", TEXTS)
def test_no_flipped_bit_and_no_cut_gets_through(data: bytes) -> None:
    for place, bit in ((place, bit) for place in range(len(data)) for bit in range(8)):
        flipped = data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
        with pytest.raises(ValueError):  # noqa: PT011 - json's own message differs with the place
            stamp.opened(flipped)
    for length in range(len(data)):
        with pytest.raises(ValueError):  # noqa: PT011 - the same
            stamp.opened(data[:length])


@pytest.mark.parametrize(
    "text", ['{"schema": 1, "name": "alpha"}', '{\n "schema": 1\n}', '{"interpreter": "/x"}', "[1]"]
)
def test_what_has_no_digest_is_read_as_it_is(text: str) -> None:
    assert stamp.opened(text.encode()) == json.loads(text)


def test_a_digest_that_somebody_moved_counts_as_wrong() -> None:
    moved = json.dumps(json.loads(TEXTS[0]))

    with pytest.raises(ValueError, match=r"^its digest is not where it belongs$"):
        stamp.opened(moved.encode())


def test_a_marked_text_says_it_too() -> None:
    text = b'lock-version = "1.0"\n# \xc3\xa9\n'
    data = stamp.marked(text)

    assert stamp.unmarked(data) == text
    assert stamp.unmarked(text) == text
    # Of its first byte alone the reader of such texts knows: it begins no line of theirs.
    for place, bit in ((place, bit) for place in range(1, len(data)) for bit in range(8)):
        flipped = data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
        with pytest.raises(ValueError, match=r"^it is not what its own digest says$"):
            stamp.unmarked(flipped)
