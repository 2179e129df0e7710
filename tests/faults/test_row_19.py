"""FAULTS 19: the same package twice for one target is an error that names both places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from promises import unharmed
from venvctl.errors import LockError, SelectionError

if TYPE_CHECKING:
    from world import World

pytestmark = pytest.mark.engine


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("", ""),
        (" ; python_version >= '3.8'", " ; python_version < '4'"),
        (" ; os_name == 'posix'", " ; sys_platform == 'linux'"),
    ],
)
def test_both_places(settled: World, first: str, second: str) -> None:
    one, two = settled.wheel("alpha", "2.0"), settled.wheel("Alpha", "3.0")
    settled.write_lock(settled.wheel("beta", "1.0"))
    head = settled.lock.read_text()
    lines = [
        f"alpha==2.0{first} --hash=sha256:{one.sha256}",
        f"Alpha==3.0{second} --hash=sha256:{two.sha256}",
    ]
    settled.lock.write_text(head + "\n".join(lines) + "\n")
    number = len(head.splitlines()) + 1

    with pytest.raises((LockError, SelectionError)) as caught:
        settled.sync()

    for place in (number, number + 1):
        assert str(place) in caught.value.message, caught.value.message
    assert "alpha" in caught.value.message
    assert not unharmed(settled, 1)


def test_two_of_which_one_is_meant_are_fine(settled: World) -> None:
    one, two = settled.wheel("alpha", "2.0"), settled.wheel("alpha", "3.0")
    settled.write_lock()
    settled.lock.write_text(
        settled.lock.read_text()
        + f"alpha==2.0 ; python_version < '3.9' --hash=sha256:{one.sha256}\n"
        + f"alpha==3.0 ; python_version >= '3.9' --hash=sha256:{two.sha256}\n"
    )

    assert settled.sync().changes == ("alpha 1.0 → 3.0",)
