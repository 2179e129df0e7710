"""The harness that kills notices what is broken: each of these breaks venvctl on purpose."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

import cases
from arena import SEED, Arena, Case
from powerloss import Luck
from venvctl.root import Root

if TYPE_CHECKING:
    from engine_fixtures import Unique

pytestmark = pytest.mark.engine

_STRICT = Luck(names=0, content=0, seed=SEED)
_NAMES_FIRST = Luck(names=1, content=0, seed=SEED)


def _noticed(arena: Arena, case: Case, broken: str, at: str = "", luck: Luck | None = None) -> str:
    """What the harness says when a broken venvctl is killed there, or comes to its end."""
    arena.killer.broken = broken
    with pytest.raises(AssertionError) as caught:
        arena.try_one(case, at=at, luck=luck)
    return str(caught.value)


@pytest.mark.parametrize(
    ("broken", "at", "luck", "finding"),
    [
        (
            "no fsync",
            "after rename .*/snapshots/[0-9a-f]+",
            _NAMES_FIRST,
            "Snapshot .* can't be read",
        ),
        ("no fsync of directories", "", _STRICT, "current is .*, and should be one of"),
        ("no syncfs", "after rename .*/current", _STRICT, "has no seal"),
        (
            "files written in place",
            "after write .*/snapshots/.*/snapshot.json",
            None,
            "can't be read",
        ),
        ("wheels written in place", r"after write .*\.whl", None, "has the SHA-256"),
        ("half a switch", "after unlink .*/current", None, "there is no current generation"),
        ("a switch to nothing", "after rename .*/current", None, "current is generations/"),
        ("trees that changed", "after rename .*/current", None, "is not what RECORD of"),
    ],
)
def test_in_an_update(arena: Arena, broken: str, at: str, luck: Luck | None, finding: str) -> None:
    world = arena.world
    world.labels = {"venvctl.bytecode": "off"}
    arena.next_lock()
    world.sync()

    assert re.search(finding, _noticed(arena, cases.update(arena)(), broken, at, luck))


@pytest.mark.parametrize(
    ("broken", "at", "finding"),
    [
        ("the stopped started", "", "was touched"),
        ("nothing pending", "after rename .*/current", "on generation [0-9]+ did not happen"),
    ],
)
def test_in_a_rollout(busy: Arena, broken: str, at: str, finding: str) -> None:
    assert re.search(finding, _noticed(busy, cases.update(busy)(), broken, at))


def test_in_a_wheel_that_leads_out_of_the_root(busy: Arena) -> None:
    found = _noticed(busy, cases.hostile_update(busy)(), "members of any name")

    assert re.search(r"outside of the root in .*\n.*/alpha/\.\.", found)


def test_in_an_image_with_another_interpreter(busy: Arena, image_313: str) -> None:
    case = cases.another_interpreter(busy, image_313)()

    found = _noticed(busy, case, "any interpreter", "after rename .*/current")

    assert re.search("has python3.11, and current is for python3.13", found)


def test_in_a_collection(arena: Arena) -> None:
    arena.world.labels = {"venvctl.bytecode": "off"}
    case = cases.collection(arena)()

    found = _noticed(arena, case, "wheels collected first", "after rename .*/store/wheels/")

    assert re.search("snapshot .* names .*, which the store lacks", found)


def test_in_an_import(arena: Arena, unique: Unique) -> None:
    case = cases.snapshot_import(arena, unique)()

    found = _noticed(arena, case, "snapshots before their wheels", r"after write .*\.whl")

    assert "has the SHA-256" in found


def test_in_a_recovery(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    arena.world.labels = {"venvctl.bytecode": "off"}
    monkeypatch.setattr(Root, "_recover", lambda _: None)

    found = _noticed(arena, cases.repair(arena)(), "", "after rename")

    assert "is left in tmp" in found
