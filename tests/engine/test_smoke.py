"""Trying a generation before the switch, on the real engine."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import pytest

from venvctl.errors import SmokeError
from venvctl.plan import Action
from wheelhouse import BuiltWheel, make_wheel

if TYPE_CHECKING:
    from world import World

pytestmark = pytest.mark.engine


def _package(world: World, name: str, version: str, code: str) -> BuiltWheel:
    made = make_wheel(world.folder, name, version, files={f"{name}/__init__.py": code})
    world.index.add(made.path)
    return made


def test_what_cannot_be_imported_is_a_warning_that_names_the_package(world: World) -> None:
    world.write_lock(_package(world, "first", "1.0", ""))
    world.sync()
    world.write_lock(
        _package(world, "sound", "1.0", "print('noise')"),
        _package(world, "broken", "1.0", "raise ValueError('not\\nlike this')"),
        _package(world, "deadly", "1.0", "import os; os.kill(os.getpid(), 11)"),
        _package(world, "needy", "1.0", "import ctypes; ctypes.CDLL('libnowhere.so.7')"),
        _package(world, "leaving", "1.0", "raise SystemExit(4)"),
    )

    result = world.sync()

    image = world.root.engine.image(world.image)
    assert image is not None
    identifier = image.id.removeprefix("sha256:")[:12]
    assert set(result.warnings) == {
        "broken can't be imported by itself: ValueError: not like this",
        "deadly can't be imported by itself: the process ended with status 11",
        f"needy needs the system library libnowhere.so.7, which the image {identifier} lacks",
        "leaving can't be imported by itself: SystemExit: 4",
    }
    assert result.generation == 2


def test_of_a_first_generation_only_compiled_packages_are_imported(world: World) -> None:
    """They are what an image can lack libraries for; nobody's place is taken by the others."""
    code = "import ctypes; ctypes.CDLL('libnowhere.so.7')"
    tag = f"cp311-cp311-linux_{platform.machine()}"
    needy = make_wheel(world.folder, "needy", "1.0", files={"needy/__init__.py": code}, tag=tag)
    world.index.add(needy.path)
    world.write_lock(needy, _package(world, "broken", "1.0", "raise ValueError"))

    result = world.sync()

    (warning,) = result.warnings
    assert warning.startswith("needy needs the system library libnowhere.so.7, which the image ")


def test_only_what_is_new_is_imported(world: World) -> None:
    broken = _package(world, "broken", "1.0", "raise ValueError('old')")
    world.write_lock(broken)
    world.sync()
    world.write_lock(broken, _package(world, "sound", "1.0", ""))

    assert world.sync().warnings == ()


def test_a_generation_that_was_current_before_is_not_tried_again(world: World) -> None:
    world.write_lock(_package(world, "sound", "1.0", ""))
    world.sync()
    broken = _package(world, "broken", "1.0", "raise ValueError")
    world.write_lock(broken)
    assert world.sync().warnings
    world.write_lock(_package(world, "sound", "1.0", ""))
    world.sync()
    world.write_lock(broken)

    again = world.sync()

    assert (again.action, again.generation, again.warnings) == (Action.REUSE, 2, ())


def test_a_module_that_must_pass_and_does_not_prevents_the_switch(world: World) -> None:
    world.labels = {"venvctl.smoke": "alpha, alpha.extra"}
    world.write_lock(_package(world, "alpha", "1.0", ""))

    with pytest.raises(SmokeError) as caught:
        world.sync()

    assert caught.value.message == (
        f"The new generation of {world.name} was not switched to, because of what its label "
        "venvctl.smoke names: alpha.extra of alpha can't be imported by itself: "
        "ModuleNotFoundError: No module named 'alpha.extra'."
    )
    assert world.environment.current() is None
    assert world.root.engine.volume(world.name) is None


def test_a_command_must_end_well_on_the_new_generation(world: World) -> None:
    world.labels = {"venvctl.smoke": "python -c 'import alpha; assert alpha.VERSION != 2, alpha'"}
    world.write_lock(_package(world, "alpha", "1.0", "VERSION = 1"))
    world.sync()
    world.write_lock(_package(world, "alpha", "2.0", "VERSION = 2"))

    with pytest.raises(SmokeError) as caught:
        world.sync()

    assert "the command of its label venvctl.smoke, ended with exit code 1." in caught.value.message
    assert "AssertionError: <module 'alpha' from '/venv/.venvctl/generations/2-" in (
        caught.value.message
    )
    current = world.environment.current()
    assert current is not None
    assert current.number == 1
