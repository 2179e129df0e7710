"""What a running container has mounted is what was checked; looked up in a real one."""

from __future__ import annotations

import dataclasses
import subprocess
from typing import TYPE_CHECKING

import pytest

from venvctl import exposure
from venvctl.errors import RootError
from venvctl.progress import Silent
from venvctl.verification import seen, verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine_fixtures import Unique
    from venvctl.engine.model import Container
    from world import World

pytestmark = pytest.mark.engine


@pytest.fixture
def holder(world: World, unique: Unique) -> Container:
    world.labels = {"venvctl.bytecode": "off"}
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    return world.container(world.start(unique("web"), code="import time; time.sleep(600)"))


def reasons(world: World) -> list[str]:
    result = verify([world.name], world.root, repair=False, offline=True, progress=Silent())
    assert result.ok
    return [problem.reason for problem in seen(result, world.root, Silent()).problems]


_CALL = """
import ctypes, os, sys
library = ctypes.CDLL(None, use_errno=True)
name, *arguments = eval(sys.argv[1])
if getattr(library, name)(*arguments):
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
"""
_BIND, _REMOUNT = 0x1000, 0x20


def within(container: Container, *call: object) -> None:
    """Do what nobody in it may: call the C library in the container's mount namespace."""
    subprocess.run(
        [
            *("nsenter", "--target", str(container.pid), "--mount"),
            *("python3", "-c", _CALL, repr(call)),
        ],
        check=True,
        timeout=60,
    )


def test_nothing_is_wrong_with_a_plain_one(world: World, holder: Container) -> None:
    assert holder.pid
    assert reasons(world) == []


@pytest.mark.usefixtures("holder")
def test_a_mount_below_a_link_is_found(world: World, unique: Unique) -> None:
    world.docker(
        "run", "--detach", "--name", unique("linked"), "--volume", f"{world.name}:/lib/venv",
        world.image, "sleep", "60",
    )  # fmt: skip
    assert reasons(world) == []


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (("mount", b"/tmp", b"/venv", b"", _BIND, None), "has another directory mounted at /venv"),
        (("mount", b"x", b"/venv", b"tmpfs", 0, None), "has another directory mounted at /venv"),
        (("umount2", b"/venv", 2), "has nothing mounted at /venv"),
        (("mount", b"", b"/venv", b"", _BIND | _REMOUNT, None), "can write to /venv"),
        (
            ("mount", b"/tmp", b"/venv/lib", b"", _BIND, None),
            "has something else mounted at /venv/{lib}",
        ),
    ],
)
def test_what_is_not_the_environment_is_named(
    world: World, holder: Container, call: tuple[object, ...], expected: str
) -> None:
    within(holder, *call)

    current = world.environment.current()
    assert current is not None
    words = expected.format(lib=f".venvctl/generations/{current.name}/lib")
    assert reasons(world) == [f"is not what containers are shown: container {holder.name} {words}"]


def test_somebody_else_s_process_is_not_looked_into(holder: Container, tmp_path: Path) -> None:
    volume = next(iter(holder.mounts))
    changed: list[Callable[[], Container]] = [
        lambda: dataclasses.replace(holder, pid=1),
        lambda: dataclasses.replace(holder, pid=2**22 + 1),
    ]
    for change in changed:
        with pytest.raises(RootError) as caught:
            exposure.faults(change(), volume, tmp_path)
        assert caught.value.message.startswith(
            f"What container {holder.name} is shown at /venv can't be told: "
        )
