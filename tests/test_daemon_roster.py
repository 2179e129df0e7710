"""Whose rights a lock is read with is never guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from estate import Estate
from venvctl.daemon.roster import Roster
from venvctl.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    estate = Estate(folder=tmp_path)
    for name in ("shop", "till"):
        estate.root.registry.claim(estate.registration(name))
    return estate


def test_it_is_read_with_those_of_who_had_it_followed(estate: Estate) -> None:
    roster = Roster(estate.root)
    roster.follow_for("shop", 4711)

    found = roster.read()

    assert found["shop"].reader == roster.reader("shop") == 4711
    assert found["till"].reader == roster.reader("till") != 4711


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"uid": -1}', b"flip"])
def test_where_that_is_damaged_it_is_read_with_nobodys(estate: Estate, damage: bytes) -> None:
    roster = Roster(estate.root)
    roster.follow_for("shop", 4711)
    path = estate.environment("shop").directory / "reader.json"
    good = path.read_bytes()
    path.write_bytes(good.replace(b"4711", b"4710") if damage == b"flip" else damage)

    assert list(roster.read()) == ["till"]
    assert roster.problems == {str(path): f"{path} names no user."}
    with pytest.raises(ConfigurationError) as caught:
        roster.reader("shop")
    assert caught.value.hint == (
        f"Write there whose it is: `echo '{{\"uid\": 1000}}' > {path}`, with that user's number."
    )

    path.write_text('{"uid": 4711}\n')

    assert roster.read()["shop"].reader == 4711
