"""An engine that goes away in the middle of a call, or hangs: a real one behind a socket to cut."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from relay import Relay
from venvctl.engine import connect, tasks
from venvctl.engine.connection import Connection
from venvctl.engine.model import Task
from venvctl.errors import EngineError, EngineUnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine_fixtures import Docker, Unique
    from venvctl.engine.docker import DockerEngine

pytestmark = pytest.mark.engine


@pytest.fixture
def relay(engine: DockerEngine, tmp_path: Path) -> Iterator[Relay]:
    relay = Relay(tmp_path / "relay.sock", engine.endpoint)
    yield relay
    relay.cut()


@pytest.fixture
def relayed(
    relay: Relay, root_identity: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DockerEngine]:
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", relay.endpoint)
        relayed = connect(root_identity)
    yield relayed
    relayed.close()


def cut_soon(relay: Relay) -> threading.Timer:
    timer = threading.Timer(0.7, relay.cut)
    timer.start()
    return timer


def test_it_goes_away_while_a_helper_runs(
    engine: DockerEngine, relayed: DockerEngine, relay: Relay, image_311: str
) -> None:
    timer = cut_soon(relay)
    task = Task(purpose="test", image=image_311, command=["sleep", "60"])
    with pytest.raises(EngineUnreachableError, match=f"^The Docker Engine at {relay.endpoint} "):
        relayed.run(task)
    timer.join()
    # What could not be removed then is removed by whoever recovers.
    assert engine.remove_helpers() == 1


def test_it_goes_away_while_a_container_stops(
    relayed: DockerEngine, relay: Relay, docker: Docker, image_311: str, unique: Unique
) -> None:
    name = unique("web")
    docker("run", "--detach", "--name", name, "--stop-timeout", "3", image_311, "sleep", "60")
    timer = cut_soon(relay)
    message = f"The Docker Engine at {relay.endpoint} did not answer when asked to restart the"
    with pytest.raises(EngineUnreachableError, match=f"^{re.escape(message)} container {name}: "):
        relayed.restart(name)
    timer.join()


def test_it_goes_away_while_a_command_runs(
    relayed: DockerEngine, relay: Relay, docker: Docker, image_311: str, unique: Unique
) -> None:
    docker("run", "--detach", "--name", unique("web"), image_311, "sleep", "60")
    timer = cut_soon(relay)
    with pytest.raises(EngineUnreachableError):
        relayed.execute(unique("web"), ["sleep", "60"])
    timer.join()


def test_it_goes_away_while_its_events_are_followed(relayed: DockerEngine, relay: Relay) -> None:
    timer = cut_soon(relay)
    with pytest.raises(EngineUnreachableError) as caught:
        list(relayed.events())
    timer.join()
    assert caught.value.message == f"The Docker Engine at {relay.endpoint} ended its events."


def test_it_comes_back(
    relayed: DockerEngine, relay: Relay, engine: DockerEngine, tmp_path: Path
) -> None:
    assert relayed.version() == engine.version()
    relay.cut()
    with pytest.raises(EngineUnreachableError) as caught:
        relayed.version()
    assert caught.value.message == (
        f"The Docker Engine at {relay.endpoint} did not answer when asked to tell its version:"
        " Connection refused."
    )
    (tmp_path / "relay.sock").unlink()
    again = Relay(tmp_path / "relay.sock", engine.endpoint)
    assert relayed.version() == engine.version()
    relayed.close()
    again.cut()


def test_it_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("venvctl.engine.connection.PATIENCE", 0.2)
    endpoint = f"unix://{tmp_path}/hangs.sock"
    connection = Connection(endpoint)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/hangs.sock")
        listener.listen()
        with pytest.raises(EngineUnreachableError) as caught, connection.asking("answer"):
            pytest.fail("it was connected to")
    assert caught.value.message == (
        f"The Docker Engine at {endpoint} did not answer when asked to answer: it took too long."
    )


def test_it_is_something_else(tmp_path: Path) -> None:
    endpoint = f"unix://{tmp_path}/other.sock"
    connection = Connection(endpoint)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/other.sock")
        listener.listen()

        def answer() -> None:
            for _ in range(2):
                with listener.accept()[0] as one, suppress(OSError):
                    one.sendall(b"220 mail ready\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(EngineUnreachableError) as caught, connection.asking("answer"):
            pytest.fail("it was connected to")
        thread.join()
    assert caught.value.message.startswith(
        f"The Docker Engine at {endpoint} did not answer when asked to answer: "
    )


def sockets() -> int:
    """How many this process has open."""
    found = 0
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the listing's own
            found += str(path.readlink()).startswith("socket:")
    return found


def test_no_socket_stays_open_whatever_was_asked_for(
    engine: DockerEngine, image_311: str, unique: Unique
) -> None:
    engine.version()
    before = sockets()

    for _ in range(3):
        assert engine.image(image_311) is not None
        assert engine.image(unique("image")) is None
        assert engine.volume(unique("volume")) is None
        engine.containers()
        engine.run(Task(purpose="probe", image=image_311, command=("true",)))

    assert sockets() == before


def test_no_socket_stays_open_when_a_helper_is_removed_before_its_output_is_read(
    engine: DockerEngine, docker: Docker, image_311: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_to_end = tasks._run_to_end

    def run_and_remove(connection: Connection, identifier: str, task: Task) -> object:
        end = run_to_end(connection, identifier, task)
        docker("rm", "--force", identifier)
        return end

    monkeypatch.setattr(tasks, "_run_to_end", run_and_remove)
    engine.version()
    before = sockets()

    with pytest.raises(EngineError) as caught:  # whose frames hold what they were at
        engine.run(Task(purpose="test", image=image_311, command=["true"]))

    assert sockets() == before
    assert "No such container" in caught.value.message


def test_no_socket_stays_open_when_an_answer_is_left_before_its_end(
    engine: DockerEngine,
) -> None:
    engine.version()
    before = sockets()

    with engine._connection.asking("tell its events") as client:
        stream = client.events(decode=True)

    assert sockets() == before
    del stream
