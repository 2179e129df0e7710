"""FAULTS 29: a collection beside a build, beside a live container, in a root it can't read."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from promises import picture, unharmed
from venvctl.collection import collect
from venvctl.errors import BusyError, VenvctlError
from venvctl.sync import SyncOptions

if TYPE_CHECKING:
    from engine_fixtures import Unique
    from world import World

pytestmark = pytest.mark.engine


def _three(world: World) -> None:
    world.labels = {**world.labels, "venvctl.keep": "0", "venvctl.keep-snapshots": "0"}
    for version in ("2.0", "3.0"):
        world.write_lock(world.wheel("alpha", version))
        world.sync(SyncOptions(restart=False))


def test_somebody_is_at_work(settled: World) -> None:
    _three(settled)
    before = picture(settled.root.path)
    working = (
        "import sys; from pathlib import Path; from venvctl.root import Root\n"
        f"with Root(Path({str(settled.root.path)!r})).working():\n"
        "    print('working', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", working],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"working\n"
        with pytest.raises(BusyError):
            collect(settled.root, dry_run=False, progress=settled.progress)
        assert {
            path: state
            for path, state in picture(settled.root.path).items()
            if not path.startswith("tmp/")
        } == before
        other.kill()
    # The last one that was good stays, too.
    removed = collect(settled.root, dry_run=False, progress=settled.progress).generations
    assert removed == (f"{settled.name} 1",)
    assert not unharmed(settled, 3)


@pytest.mark.parametrize("state", ["running", "paused"])
def test_a_container_of_an_old_generation(settled: World, unique: Unique, state: str) -> None:
    web = settled.start(unique("web"), "--label", "venvctl.on-change=none")
    settled.wait_for_line(web, "start 1.0 1")
    if state == "paused":
        settled.docker("pause", web)
    _three(settled)

    # Number 2 was current since it started, too.
    assert not collect(settled.root, dry_run=False, progress=settled.progress).generations

    if state == "paused":
        settled.docker("unpause", web)
    settled.docker("kill", "--signal", "HUP", web)
    settled.wait_for_line(web, "late 1.0")
    settled.docker("rm", "--force", web)
    # The last one that was good stays, too.
    removed = collect(settled.root, dry_run=False, progress=settled.progress).generations
    assert removed == (f"{settled.name} 1",)
    assert not unharmed(settled, 3)


@pytest.mark.parametrize(
    "damaged",
    [
        "snapshots/*/snapshot.json",
        "environments/*/environment.json",
        "environments/*/volume/.venvctl/generations/3-*/seal.json",
    ],
)
@pytest.mark.parametrize("content", [b"", b"{", b"[]"])
def test_what_can_t_be_read_stops_it(settled: World, damaged: str, content: bytes) -> None:
    _three(settled)
    path = max(settled.root.path.glob(damaged))
    good = path.read_bytes()
    path.write_bytes(content)
    before = picture(settled.root.path)

    with pytest.raises(VenvctlError) as caught:
        collect(settled.root, dry_run=False, progress=settled.progress)

    assert caught.value.message.endswith("Nothing was removed.")
    assert picture(settled.root.path) == before
    path.write_bytes(good)
    assert not unharmed(settled, 3)
