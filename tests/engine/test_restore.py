"""Restoring on the real engine, with nothing left but the store and a snapshot."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import uv

from venvctl.errors import IntegrityError, RolloutStuckError, UsageError
from venvctl.restore import restore
from venvctl.sync import SyncOptions

if TYPE_CHECKING:
    from pathlib import Path

    from engine_fixtures import Unique
    from world import World

pytestmark = pytest.mark.engine


def test_it_is_file_for_file_what_it_was_with_nothing_to_ask(world: World) -> None:
    world.write_lock(world.wheel("alpha", "1.0"), world.wheel("beta", "2.0"))
    world.sync()
    before = _files(world)
    _lose_environments(world)
    world.index.remove("alpha-1.0-py3-none-any.whl")
    asked = len(world.index.requests)

    result = restore(world.name, world.root, snapshot=None, progress=world.progress)

    assert (result.packages, result.generation) == (2, 2)
    after = _files(world)
    # The number in the generation's own name is all that differs.
    assert after.keys() == before.keys()
    assert [path for path in before if before[path] != after[path]] == [
        next(path for path in before if path.endswith("/_venvctl_pin.py"))
    ]
    assert len(world.index.requests) == asked


def test_two_running_holders_come_back_on_the_restored_generation(
    world: World, unique: Unique
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    holders = [world.start(unique("web")), world.start(unique("worker"))]
    for holder in holders:
        world.wait_for_line(holder, "start 1.0 1")
    _lose_environments(world)

    result = restore(world.name, world.root, snapshot=None, progress=world.progress)

    assert result.replaced
    for holder in holders:
        world.wait_for_line(holder, "start 1.0 2")
        assert world.container(holder).running
    assert world.python("import alpha; print(alpha.VERSION)") == "1.0"


def test_a_replaced_directory_is_noticed_by_a_sync_and_mended_by_a_restore(
    world: World, unique: Unique
) -> None:
    alpha = world.wheel("alpha", "1.0")
    world.write_lock(alpha)
    world.sync()
    web = world.start(unique("web"))
    world.wait_for_line(web, "start 1.0 1")
    volume = world.environment.volume
    shutil.copytree(volume, volume.with_name("copy"), symlinks=True)
    shutil.rmtree(volume)
    volume.with_name("copy").rename(volume)
    world.write_lock(alpha, comment="# changed")

    with pytest.raises(IntegrityError) as caught:
        world.sync()

    name = world.container(web).name
    assert caught.value.message == (
        f"{volume} was deleted or replaced while {name} ran on it: "
        "what is done there now reaches no container."
    )
    restore(world.name, world.root, snapshot=None, progress=world.progress)
    world.wait_for_line(web, "start 1.0 2")


def test_a_holder_that_must_not_be_restarted_stops_it_before_anything_is_done(
    world: World, unique: Unique
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    web = world.start(unique("web"), "--label", "venvctl.on-change=none")
    world.wait_for_line(web, "start 1.0 1")
    started = world.container(web).started_at
    _lose_environments(world)

    with pytest.raises(RolloutStuckError) as caught:
        restore(world.name, world.root, snapshot=None, progress=world.progress)

    assert caught.value.message == (
        f"The directory of volume {world.name} was lost, and {world.container(web).name} still "
        "holds the old one; it is left alone because its label venvctl.on-change says none."
    )
    assert world.container(web).started_at == started


def test_an_earlier_snapshot_comes_back_by_its_key(world: World) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    first = world.sync()
    world.write_lock(world.wheel("alpha", "2.0"))
    world.sync()

    result = restore(world.name, world.root, snapshot=first.key, progress=world.progress)

    assert (result.key, result.generation) == (first.key, 3)
    assert world.python("import alpha; print(alpha.VERSION)") == "1.0"
    assert world.sync().generation == 3


def test_a_tree_that_was_changed_is_unpacked_again_from_its_wheel(world: World) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    victim = next((world.root.path / "store/trees").glob("*/prefix/lib/*/*/alpha/__init__.py"))
    victim.write_text("VERSION = 'evil'\n")

    restore(world.name, world.root, snapshot=None, progress=world.progress)

    assert world.python("import alpha; print(alpha.VERSION)") == "1.0"


def test_a_wheel_that_is_not_what_its_name_says_is_not_restored_from(world: World) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    wheel = next((world.root.path / "store/wheels").glob("*/*/alpha-*.whl"))
    wheel.chmod(0o644)
    content = bytearray(wheel.read_bytes())
    content[40] ^= 1
    wheel.write_bytes(content)
    shutil.rmtree(world.root.path / "store/trees")

    with pytest.raises(IntegrityError):
        restore(world.name, world.root, snapshot=None, progress=world.progress)

    current = world.environment.current()
    assert current is not None
    assert current.number == 1


def test_without_a_snapshot_it_says_so(world: World) -> None:
    with pytest.raises(UsageError) as caught:
        restore(world.name, world.root, snapshot=None, progress=world.progress)

    assert caught.value.message == (
        f"There is no snapshot of an environment {world.name!r} in {world.root.path}."
    )


def test_plain_uv_installs_a_snapshot_without_a_network(world: World, tmp_path: Path) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    key = world.sync(SyncOptions()).key
    peer = tmp_path / "peer"
    subprocess.run(
        [uv.find_uv_bin(), "venv", "--quiet", "--python", sys.executable, peer], check=True
    )

    subprocess.run(
        [
            uv.find_uv_bin(), "pip", "sync", "--offline", "--quiet", "--preview",
            "--python", peer / "bin/python", world.root.path / "snapshots" / key / "pylock.toml",
        ],
        check=True,
        env={**os.environ, "UV_CACHE_DIR": str(tmp_path / "empty-cache")},
    )  # fmt: skip

    done = subprocess.run(
        [peer / "bin/python", "-c", "import alpha; print(alpha.VERSION)"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "1.0\n"


def _lose_environments(world: World) -> None:
    shutil.rmtree(world.root.path / "environments")


def _files(world: World) -> dict[str, str]:
    """Everything in the current generation but its seal: path → digest, or where a link leads."""
    current = world.environment.current()
    assert current is not None
    found = {}
    for path in current.path.rglob("*"):
        name = str(path.relative_to(current.path))
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file() and name != "seal.json":
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
