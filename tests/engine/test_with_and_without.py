"""Commands do the same with a daemon and without one, and say the same of it."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest

from daemons import Daemon
from index import LocalIndex
from shop import Shop, opened
from venvctl.backend import Here
from venvctl.progress import Silent
from venvctl.root import Root
from venvctl.survey import SyncOptions
from world import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from console import Done
    from engine_fixtures import Docker, Unique
    from world import World

pytestmark = pytest.mark.engine

_CHANGING = (
    (r"[0-9]+\.[0-9]{2} s\b", "TIME"),
    (r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+Z?", "WHEN"),
    (r'"seconds": ([0-9.e-]+|\{[^}]*\})', "SECONDS"),
    # compose's own words, whose order is its own
    (r"(?m)^ (Network|Container|Volume) .*\n", ""),
    # A step that took less than what a person notices is not listed.
    (r"TIME \([^)]*\)", "TIME"),
)


class Shops:
    """Two projects that differ in their names, one of them with a daemon beside it."""

    def __init__(self, alone: Shop, served: Shop, daemon: Daemon) -> None:
        self.alone = alone
        self.served = served
        self.daemon = daemon

    def pin(self, *pins: str) -> None:
        for shop in (self.alone, self.served):
            shop.pin(*pins)

    def both(self, *arguments: str) -> str:
        """What a command prints in the project without a daemon; in the other one it is the same.

        Every ``ENV`` is the environment's name.
        """
        none = str(self.alone.directory / "none.sock")
        alone = self._run(self.alone, arguments, none)
        served = self._run(self.served, arguments, str(self.daemon.socket))
        assert served == alone
        return alone

    def _run(self, shop: Shop, arguments: tuple[str, ...], socket: str) -> str:
        words = [word.replace("ENV", shop.name) for word in arguments]
        done: Done = shop.run(*words, VENVCTL_SOCKET=socket)
        text = f"{done.code}\n{done.stdout}\n{done.stderr}".replace(shop.project, "PROJECT")
        text = text.replace(str(shop.root.path), "ROOT").replace(str(shop.index.url), "INDEX")
        text = text.replace(str(shop.directory.parent), "FOLDER")
        for pattern, word in _CHANGING:
            text = re.sub(pattern, word, text)
        return text


def _shop(folder: Path, name: str, image: str, docker: Docker, index: LocalIndex) -> Shop:
    directory = folder / name
    directory.mkdir(parents=True)
    root = Root(folder / "root")
    return Shop(directory=directory, index=index, root=root, image=image, docker=docker)


@pytest.fixture
def shops(tmp_path: Path, image_311: str, unique: Unique, docker: Docker) -> Iterator[Shops]:
    with LocalIndex() as index:
        one = opened(_shop(tmp_path / "a", unique("first"), image_311, docker, index))
        two = opened(_shop(tmp_path / "b", unique("other"), image_311, docker, index))
        alone, served = next(one), next(two)
        served.wheels.update(alone.wheels)
        with Daemon(root=served.root.path, folder=tmp_path / "b") as daemon:
            yield Shops(alone, served, daemon)
        for each in (one, two):
            next(each, None)


def test_every_verb_prints_the_same_and_ends_the_same(shops: Shops) -> None:
    assert "PROJECT_venv: generation 1 made and current" in shops.both("up")
    assert '"action": "keep"' in shops.both("sync", "--force", "--json")
    assert shops.both("rollback", "ENV", "--to", "7", "--json").startswith("2\n")
    assert "generation 2 restored and current" in shops.both("restore", "ENV")
    assert "is current again" in shops.both("rollback", "venv", "--to", "1")
    assert "is mounted by" in shops.both("env", "rm", "ENV")
    assert "generation 1, up to date" in shops.both("status")
    shops.both("down")

    # The one with a daemon did not do it by itself.
    done = [order.partition(": ")[2] for order in shops.daemon.orders()]
    assert {"sync", "rollout", "restore", "rollback"} <= set(done)


def test_failures_are_the_same_too(shops: Shops) -> None:
    for shop in (shops.alone, shops.served):
        shop.lock.write_text(shop.lock.read_text() + "alpha==\n")

    failed = shops.both("sync")

    assert failed.startswith("4\n")
    assert "Error: requirements.lock:" in failed
    assert shops.both("up", "--json").startswith("4\n")


def test_live_progress_is_the_same(world: World, tmp_path: Path) -> None:
    stages: dict[str, list[tuple[str, int, str]]] = {"alone": [], "daemon": []}

    class Stages(Silent):
        def __init__(self, where: str) -> None:
            super().__init__()
            self.where = where
            self.name = ""
            self.done = 0
            self.unpacked = self.to_unpack = 0

        def stage(self, name: str, *, total: int = 0, unit: str = "") -> None:
            self.name = name
            # How much is left to unpack when everything is fetched is a matter of luck.
            luck = name == "unpacking"
            self.to_unpack += total if luck else 0
            stages[self.where].append((name, 0 if luck else total, unit))

        def advance(self, amount: int) -> None:
            self.unpacked += amount if self.name == "unpacking" else 0
            self.done += 0 if self.name == "unpacking" else amount

    wheel = world.wheel("alpha", "1.0")
    world.write_lock(wheel)
    here = Here(world.root)
    alone = Stages("alone")
    first = here.sync(world.name, world.registration, SyncOptions(), alone)
    assert first.generation == 1
    here.remove(world.name)
    other = Root(tmp_path / "other")
    with Daemon(root=other.path, folder=tmp_path) as daemon:
        told = Stages("daemon")
        second = daemon.remote.sync(world.name, world.registration, SyncOptions(), told)
        daemon.remote.remove(world.name)

    assert second.generation == 1
    assert stages["daemon"] == stages["alone"]
    assert (told.done, told.done > 0) == (alone.done, True)
    for each in (told, alone):
        assert each.unpacked == each.to_unpack
        assert each.to_unpack in {0, wheel.path.stat().st_size}


def test_a_daemon_that_dies_in_the_middle_of_a_sync_is_done_without(
    shops: Shops, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, daemon = shops.served, shops.daemon
    shop.run("up", VENVCTL_SOCKET=str(daemon.socket))
    assert daemon.process is not None
    monkeypatch.setenv("VENVCTL_SOCKET", str(daemon.socket))
    shop.root.registry.unfollow(shop.project)  # so that the daemon does not do it by itself
    wait_for(lambda: "is not followed any more" in daemon.log.read_text(), "the end of following")
    shop.pin("alpha==2.0")
    killed: list[str] = []

    class Killing(Silent):
        def stage(self, name: str, **_more: object) -> None:
            if name == "selecting" and not killed:
                assert daemon.process is not None
                daemon.process.send_signal(signal.SIGKILL)
                killed.append(name)

    backend = Here(Root(shop.root.path), wait=20)
    progress = Killing()

    result = backend.sync(shop.name, None, SyncOptions(wait=20), progress)

    assert killed == ["selecting"]
    assert result.generation == 2
    assert progress.warnings[0].startswith(f"The daemon on {daemon.socket} went away")
    assert progress.warnings[0].endswith(" This command goes on without it.")
