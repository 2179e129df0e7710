"""FAULTS 12: two wheels own one path; what differs is told, what is equal is nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from venvctl.errors import FileConflictError
from wheelhouse import BuiltWheel, make_wheel

if TYPE_CHECKING:
    from world import World

pytestmark = pytest.mark.engine


def _owner(world: World, name: str, text: str) -> BuiltWheel:
    made = make_wheel(world.folder, name, files={"shared/__init__.py": f"TEXT = {text!r}\n"})
    world.index.add(made.path)
    return made


def test_the_last_in_name_order_wins_and_the_seal_says_so(world: World) -> None:
    world.write_lock(_owner(world, "beta", "of beta"), _owner(world, "alpha", "of alpha"))

    result = world.sync()

    assert result.warnings == (
        (
            "beta and alpha both own lib/python3.11/site-packages/shared/__init__.py, "
            "with different content: the file of beta is used."
        ),
    )
    assert world.python("import shared; print(shared.TEXT)") == "of beta"
    current = world.environment.current()
    assert current is not None
    seal = json.loads((current.path / "seal.json").read_bytes())
    path = "lib/python3.11/site-packages/shared/__init__.py"
    assert seal["conflicts"] == [{"path": path, "winner": "beta", "loser": "alpha"}]


def test_the_label_makes_it_an_error(world: World) -> None:
    world.labels = {"venvctl.conflicts": "error"}
    world.write_lock(_owner(world, "beta", "of beta"), _owner(world, "alpha", "of alpha"))

    with pytest.raises(FileConflictError) as caught:
        world.sync()

    assert caught.value.message == (
        "beta and alpha both own lib/python3.11/site-packages/shared/__init__.py, with different "
        "content."
    )
    assert world.environment.current() is None


def test_equal_content_is_nothing(world: World) -> None:
    world.labels = {"venvctl.conflicts": "error"}
    world.write_lock(_owner(world, "beta", "of both"), _owner(world, "alpha", "of both"))

    assert world.sync().warnings == ()

    assert world.python("import shared; print(shared.TEXT)") == "of both"
