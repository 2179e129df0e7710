"""FAULTS 18: text that is not UTF-8, a byte order mark, line ends, NUL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from promises import unharmed
from venvctl.errors import LockError
from venvctl.plan import Action

if TYPE_CHECKING:
    from world import World

pytestmark = pytest.mark.engine


@pytest.mark.parametrize(
    ("before", "old", "new"),
    [
        (b"\xef\xbb\xbf", b"", b""),
        (b"", b"\n", b"\r\n"),
        (b"\xef\xbb\xbf", b"\n", b"\r\n"),
        ("# größer\n".encode(), b"", b""),
    ],
    ids=["mark", "line ends", "both", "a comment beyond ASCII"],
)
def test_what_means_the_same_is_the_same(
    settled: World, before: bytes, old: bytes, new: bytes
) -> None:
    data = settled.lock.read_bytes()
    settled.lock.write_bytes(before + (data.replace(old, new) if old else data))

    assert settled.sync().action is Action.KEEP
    assert not unharmed(settled, 1)


@pytest.mark.parametrize("piece", [b"# gr\xf6\xdfer\n", b"alp\0ha==1.0\n", b"\xff\xfea\0l\0"])
def test_what_can_t_be_read_says_where(settled: World, piece: bytes) -> None:
    lines = settled.lock.read_bytes().count(b"\n")
    settled.lock.write_bytes(settled.lock.read_bytes() + piece)

    with pytest.raises(LockError) as caught:
        settled.sync()

    assert settled.lock.name in caught.value.message
    assert str(lines + 1) in caught.value.message, caught.value.message
    assert not unharmed(settled, 1)
