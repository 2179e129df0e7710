"""A collection beside live containers: what one of them may still import from stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from venvctl.collection import CollectResult, collect
from venvctl.verification import verify

if TYPE_CHECKING:
    from engine_fixtures import Unique
    from world import World

pytestmark = pytest.mark.engine


def gc(world: World) -> CollectResult:
    return collect(world.root, dry_run=False, progress=world.progress)


def numbers(world: World) -> list[int]:
    return [generation.number for generation in world.environment.generations()]


def test_a_live_container_keeps_the_generation_it_started_on_until_it_ends(
    world: World, unique: Unique
) -> None:
    world.labels = {"venvctl.keep": "0", "venvctl.keep-snapshots": "0"}
    for version in ("1.0", "2.0"):
        world.write_lock(world.wheel("alpha", version))
        world.sync()
    web = world.start(unique("web"), "--label", "venvctl.on-change=none")
    world.wait_for_line(web, "start 2.0 2")
    for version in ("3.0", "4.0"):
        world.write_lock(world.wheel("alpha", version))
        world.sync()

    first = gc(world)

    name = world.name
    assert first.generations == (f"{name} 1",)
    assert numbers(world) == [2, 3, 4]
    world.docker("kill", "--signal", "HUP", web)
    world.wait_for_line(web, "late 2.0")

    world.docker("stop", web)
    second = gc(world)

    assert second.generations == (f"{name} 2", f"{name} 3")
    assert len(second.snapshots) == 2
    assert second.wheels == ("alpha-2.0-py3-none-any.whl", "alpha-3.0-py3-none-any.whl")
    assert verify([name], world.root, repair=False, progress=world.progress).ok
    world.docker("start", web)
    world.wait_for_line(web, "start 4.0 4")


def test_a_repair_compiles_anew_and_a_running_container_goes_on(
    world: World, unique: Unique
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"), world.wheel("beta", "1.0"))
    world.sync()
    web = world.start(unique("web"))
    world.wait_for_line(web, "start 1.0 1")
    current = world.environment.current()
    assert current is not None
    site = current.path / "lib/python3.11/site-packages/alpha"
    (site / "late.py").write_text("VERSION = 'evil'\n")
    bytecode = site / "__pycache__/late.cpython-311.pyc"
    good = bytecode.read_bytes()
    bytecode.write_bytes(b"evil")

    found = verify([world.name], world.root, repair=False, progress=world.progress)
    result = verify([world.name], world.root, repair=True, progress=world.progress)

    assert [problem.path for problem in found.problems] == [site / "late.py", bytecode]
    assert result.ok
    assert bytecode.read_bytes() == good
    world.docker("kill", "--signal", "HUP", web)
    world.wait_for_line(web, "late 1.0")
    assert world.container(web).restart_count == 0


def test_the_targets_of_images_in_use_stay(world: World) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()

    assert gc(world).records == 0
    (record,) = (world.root.path / "targets").iterdir()
    stale = record.with_name("0" * 64 + ".json")
    stale.write_bytes(record.read_bytes())

    assert gc(world).records == 1
    assert not stale.exists()
