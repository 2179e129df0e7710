"""The daemon as a process of its own, beside a real engine: saves, crashes, events, orders."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from open_folder import open_folder
from venvctl import client
from venvctl.client import Client, RemoteError
from venvctl.daemon.feed import Feed
from venvctl.daemon.reactions import EngineListener, Reaction
from venvctl.errors import DaemonUnreachableError
from venvctl.plan import Action
from venvctl.progress import Silent
from venvctl.remote import Remote
from venvctl.sync import SyncOptions
from world import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine_fixtures import Docker, Unique
    from world import World

pytestmark = pytest.mark.engine

SOURCE = Path(__file__).parents[2] / "src"
NOBODY = 65534


class Stages(Silent):
    """Remembers the names of the stages."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self._names = names

    def stage(self, name: str, **_more: object) -> None:
        """Remember it."""
        self._names.append(name)


@dataclass
class Daemon:
    """A daemon of a world's root, in a process that can be killed."""

    world: World
    socket: Path
    process: subprocess.Popen[bytes] | None = None
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.world.folder / "daemon.log"

    @property
    def client(self) -> Client:
        return Client(self.socket)

    @property
    def remote(self) -> Remote:
        return Remote(self.client)

    def start(self) -> None:
        environment = {
            **os.environ,
            "VENVCTL_ROOT": str(self.world.root.path),
            "VENVCTL_SOCKET": str(self.socket),
            "PYTHONPATH": str(SOURCE),
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "venvctl", "daemon", "--verbose"],
                env=environment,
                stderr=log,
                stdout=log,
            )
        self.processes.append(self.process)
        wait_for(self.answers, "the daemon's first answer")

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            return bool(self.client.root())
        except DaemonUnreachableError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def count(self, kind: str) -> int:
        """How often something of that kind happened since it started."""
        with_events = (
            "curl", "--silent", "--no-buffer", "--max-time", "1", "--unix-socket",
            str(self.socket), "http://localhost/v1/events?after=0",
        )  # fmt: skip
        done = subprocess.run(with_events, capture_output=True, text=True, check=False)
        return [json.loads(line)["kind"] for line in done.stdout.splitlines()].count(kind)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In place of pytest's own: users besides ours have to get to the socket."""
    with open_folder() as folder:
        yield folder


@pytest.fixture
def daemon(world: World, tmp_path: Path) -> Iterator[Daemon]:
    one = Daemon(world=world, socket=tmp_path / "control.sock")
    yield one
    for process in one.processes:
        process.kill()
        process.wait()


def generation(world: World) -> int:
    current = world.environment.current()
    return current.number if current else 0


def register(world: World) -> None:
    world.root.create()
    world.root.registry.claim(world.registration)


def test_a_save_brings_the_running_container_onto_the_new_lock(
    world: World, daemon: Daemon, unique: Unique
) -> None:
    one, two = world.wheel("alpha", "1.0"), world.wheel("alpha", "2.0")
    world.write_lock(one)
    world.sync()
    web = world.start(unique("web"), "--label", "venvctl.grace=0s")
    world.wait_for_line(web, "start 1.0 1")
    daemon.start()

    temporary = world.lock.with_suffix(".tmp")
    was = world.lock.read_text()
    world.write_lock(two)
    world.lock.rename(temporary)
    world.lock.write_text(was)
    temporary.rename(world.lock)

    world.wait_for_line(web, "start 2.0 2")
    world.lock.touch()
    world.lock.chmod(0o600)
    world.write_lock(two, comment="# a comment")
    wait_for(lambda: len(world.environment.history()) == 4, "the sync of the comment")
    assert world.said(web) == ["start 1.0 1", "start 2.0 2"]
    assert daemon.stop() == 0


def test_registering_is_writing_a_file_and_what_was_missed_is_found_at_start(
    world: World, daemon: Daemon
) -> None:
    daemon.start()
    world.write_lock(world.wheel("alpha", "1.0"))
    register(world)
    wait_for(lambda: generation(world) == 1, "the first sync")
    assert daemon.stop() == 0
    world.write_lock(world.wheel("alpha", "2.0"))

    daemon.start()

    wait_for(lambda: generation(world) == 2, "the sync of what was missed")


def test_a_lock_that_is_gone_is_told_and_nothing_is_done_and_it_may_come_back(
    world: World, daemon: Daemon
) -> None:
    one = world.wheel("alpha", "1.0")
    world.write_lock(one)
    world.sync()
    daemon.start()
    was = world.lock.read_bytes()

    world.lock.unlink()

    def problems() -> dict[str, str]:
        return daemon.client.ask("GET", "/v1/health").mapping("problems")

    told = f"The lockfile {world.lock} does not exist; the environment stays as it is."
    wait_for(lambda: problems() == {world.name: told}, "the report")
    world.lock.write_bytes(was)
    wait_for(lambda: problems() == {}, "the end of the report")
    assert [event.kind for event in world.environment.history()] == ["sync"]


def test_killed_in_the_middle_it_goes_on_when_it_starts_again(
    world: World, daemon: Daemon, unique: Unique
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    web = world.start(unique("web"), "--label", "venvctl.grace=0s")
    world.wait_for_line(web, "start 1.0 1")
    daemon.start()
    world.write_lock(world.wheel("alpha", "2.0"))
    wait_for(lambda: f"{world.name}: unpacking" in daemon.log.read_text(), "the work")

    daemon.stop(signal.SIGKILL)
    daemon.start()

    world.wait_for_line(web, "start 2.0 2")
    # The rollout may still watch the container; while somebody works, a sign of it stands there.
    wait_for(lambda: not list((world.root.path / "tmp").glob("*")), "an empty tmp")
    assert world.said(web) == ["start 1.0 1", "start 2.0 2"]


def test_a_volume_that_was_removed_is_made_again(
    world: World, daemon: Daemon, docker: Docker
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    daemon.start()
    wait_for(lambda: daemon.count("synced") == 1, "the first look")

    docker("volume", "rm", world.name)

    wait_for(lambda: world.root.engine.volume(world.name) is not None, "the new volume")


def test_a_container_with_another_interpreter_is_told(
    world: World, daemon: Daemon, docker: Docker, unique: Unique, image_313: str
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    daemon.start()
    wait_for(lambda: daemon.count("synced") == 1, "the first look")
    name = unique("other")

    docker("run", "-d", "--name", name, "--volume", f"{world.name}:/venv", image_313, "sleep", "60")

    def problem() -> str:
        (only,) = daemon.client.ask("GET", "/v1/environments").tables("environments")
        return only.text("problem")

    wait_for(lambda: f"than what runs in {name} (version " in problem(), "the report")
    assert generation(world) == 1
    docker("rm", "--force", name)


def test_a_container_that_starts_before_the_engine_is_listened_to_is_heard_of(
    world: World, unique: Unique, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    engine, heard = world.root.engine, list[Reaction]()
    version = engine.version

    def start_one() -> str:
        monkeypatch.undo()
        world.start(unique("web"))
        return version()

    monkeypatch.setattr(engine, "version", start_one)
    listener = EngineListener(
        engine,
        images=lambda names: {name: {"another"} for name in names if name == world.name},
        wanted=heard.append,
        returned=lambda: None,
        feed=Feed(),
    )

    listener.start()

    wait_for(lambda: heard, "the start")
    listener.stop()
    assert heard[0].reason == f"container {unique('web')} started with another image"


def test_orders_give_what_the_commands_give_with_their_progress(
    world: World, daemon: Daemon
) -> None:
    one, two = world.wheel("alpha", "1.0"), world.wheel("alpha", "2.0")
    world.write_lock(one)
    daemon.start()
    stages: list[str] = []

    first = daemon.remote.sync(world.name, world.registration, SyncOptions(), Stages(stages))

    assert (first.action, first.generation, first.changes) == (Action.BUILD, 1, ("+ alpha 1.0",))
    assert stages[:2] == ["reading the lock", "selecting"]
    world.write_lock(two)
    wait_for(lambda: generation(world) == 2, "the daemon's own sync")
    back = daemon.remote.rollback(world.name, to=None, progress=Silent())
    assert (back.generation, back.previous, back.changes) == (1, 2, ("alpha 2.0 → 1.0",))
    with pytest.raises(RemoteError) as caught:
        daemon.remote.rollback(world.name, to=7, progress=Silent())
    assert caught.value.message == f"Environment {world.name} has no generation 7; it has 1, 2."
    assert caught.value.exit_code == 2
    again = daemon.remote.restore(world.name, snapshot=None, progress=Silent())
    assert (again.generation, again.packages, again.replaced) == (3, 1, False)
    assert daemon.remote.names() == [world.name]
    assert daemon.remote.status(world.name).generation == 3


def test_a_second_daemon_says_who_has_the_root(world: World, daemon: Daemon) -> None:
    daemon.start()
    assert daemon.process is not None
    first = daemon.process.pid

    done = subprocess.run(
        [sys.executable, "-m", "venvctl", "daemon"],
        env={**os.environ, "VENVCTL_ROOT": str(world.root.path), "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 75
    assert done.stderr.splitlines()[0] == (
        f"Error: A daemon already runs for {world.root.path}: process {first}."
    )
    assert client.find(world.root.path) is None  # the socket is not in the usual place


def test_a_developer_hands_the_lock_over_and_it_is_followed_with_their_rights(
    world: World, daemon: Daemon
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    world.write_lock(world.wheel("alpha", "1.0"))
    daemon.start()

    def as_developer(body: object) -> dict[str, object]:
        done = subprocess.run(
            [
                "curl", "--silent", "--unix-socket", str(daemon.socket), "--data", "@-",
                f"http://localhost/v1/environments/{world.name}/sync",
            ],
            input=json.dumps(body), text=True, capture_output=True, check=True,
            user=NOBODY, group=NOBODY, extra_groups=[daemon.socket.stat().st_gid],
        )  # fmt: skip
        answer: dict[str, object] = json.loads(done.stdout)
        return answer

    registration = world.registration.to_dict()
    text = world.lock.read_text()

    answer = as_developer({"registration": registration, "files": {str(world.lock): text}})

    assert answer["ok"], answer
    assert generation(world) == 1
    world.write_lock(world.wheel("alpha", "2.0"))
    wait_for(lambda: generation(world) == 2, "the sync of what the developer may read")
    world.lock.unlink()
    world.lock.write_text("root:x:0:0 a secret\n")
    world.lock.chmod(0o600)
    told = f"The lockfile {world.lock} can't be read by "
    wait_for(lambda: told in daemon.log.read_text(), "the report")
    local = "alpha @ file:///etc/passwd --hash=sha256:" + "0" * 64
    refused = as_developer({"registration": registration, "files": {str(world.lock): local}})
    assert refused["ok"] is False
    variable = "--index-url https://x/${HOME}\nalpha==1.0"
    refused = as_developer({"registration": registration, "files": {str(world.lock): variable}})
    assert refused["error"] == {
        "code": "lock-invalid",
        "message": f"The lockfile {world.lock} has ${{HOME}}, and the daemon has not your "
        "environment's variables.",
        "hint": "Give the index's credentials to the daemon (netrc), or sync as the root's owner.",
    }
    assert "secret" not in daemon.log.read_text()
    assert generation(world) == 2


def test_it_ends_in_the_middle_of_work_within_ten_seconds_and_goes_on_later(
    world: World, daemon: Daemon, unique: Unique
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    web = world.start(unique("web"), "--label", "venvctl.grace=30s")
    world.wait_for_line(web, "start 1.0 1")
    daemon.start()
    world.write_lock(world.wheel("alpha", "2.0"))
    wait_for(lambda: f"{world.name}: restarting" in daemon.log.read_text(), "the rollout")

    assert daemon.stop() == 0  # which waits for ten seconds at most

    world.wait_for_line(web, "start 2.0 2")
    assert generation(world) == 2
    daemon.start()
    wait_for(lambda: daemon.remote.names() == [world.name], "the next start")
    assert world.said(web) == ["start 1.0 1", "start 2.0 2"]
