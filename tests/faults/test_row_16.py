"""FAULTS 16: a lock that is gone never means that everything is to go; saves are polled too."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from promises import unharmed
from venvctl.errors import LockError
from world import wait_for

if TYPE_CHECKING:
    from following import Daemon
    from world import World

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("instead", ["nothing", "a directory", "a link to nowhere"])
def test_a_sync_without_its_lock_changes_nothing(settled: World, instead: str) -> None:
    settled.lock.unlink()
    if instead == "a directory":
        settled.lock.mkdir()
    elif instead == "a link to nowhere":
        settled.lock.symlink_to("nowhere")

    with pytest.raises(LockError) as caught:
        settled.sync()
    assert str(settled.lock) in caught.value.message
    assert not unharmed(settled, 1)


def test_the_folder_is_moved_away_and_comes_back_changed(settled: World, daemon: Daemon) -> None:
    folder = settled.folder / "project"
    folder.mkdir()
    was = settled.lock.read_bytes()
    settled.folder, (folder / settled.lock.name).parent
    shutil.move(settled.lock, folder)
    settled.folder = folder
    settled.sync()
    daemon.start()

    folder.rename(folder.with_name("away"))

    def problems() -> dict[str, str]:
        return daemon.client.ask("GET", "/v1/health").mapping("problems")

    wait_for(lambda: settled.name in problems(), "the report")
    folder.mkdir()
    wheel = settled.wheel("alpha", "2.0")
    settled.write_lock(wheel)
    assert settled.lock.read_bytes() != was
    wait_for(lambda: not problems(), "the end of the report")
    wait_for(lambda: len(settled.environment.generations()) == 2, "the sync")
    assert daemon.stop() == 0
    assert not unharmed(settled, 2)
