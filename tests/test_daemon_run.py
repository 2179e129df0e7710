"""The daemon as a process without an engine: systemd's protocol, its socket, its end."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from venvctl.client import Client
from venvctl.errors import DaemonUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCE = Path(__file__).parents[1] / "src"
_DEADLINE = 60.0
_AS_SYSTEMD_STARTS_IT = """
import os, sys
os.dup2(int(os.environ["PASSED"]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.executable, [sys.executable, "-m", "venvctl", "daemon"])
"""


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Return when the condition holds; fail after a deadline."""
    deadline = time.monotonic() + _DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {_DEADLINE:g} s"
        time.sleep(0.02)


class Daemons:
    """Starts daemons of one root and socket, and ends those that a test left."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.socket = folder / "run" / "control.sock"
        self._started: list[subprocess.Popen[str]] = []

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "VENVCTL_ROOT": str(self.root),
            "VENVCTL_SOCKET": str(self.socket),
            "PYTHONPATH": str(SOURCE),
            "DOCKER_HOST": f"unix://{self.root}/no-engine.sock",
        }

    def start(self, *command: str, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command or [sys.executable, "-m", "venvctl", "daemon"],
            env={**self.environment, **variables},
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[int(variables["PASSED"])] if "PASSED" in variables else (),
        )
        self._started.append(process)
        return process

    def answers(self) -> bool:
        try:
            return Client(self.socket).root() == self.root
        except DaemonUnreachableError:
            return False

    def end(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()
            if process.stderr is not None:
                process.stderr.close()


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Daemons]:
    found = Daemons(tmp_path)
    yield found
    found.end()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """What NOTIFY_SOCKET names."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(_DEADLINE)
        yield receiver


def test_it_tells_systemd_what_it_does(
    daemons: Daemons, systemd: socket.socket, tmp_path: Path
) -> None:
    def heard(until: str) -> list[str]:
        found = [""]
        while found[-1].partition("\n")[0] != until:
            found.append(systemd.recv(4096).decode())
        return found[1:]

    process = daemons.start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="4000000")

    assert heard("READY=1") == ["READY=1"]
    heard("STATUS=following 0 environments, working on 0")
    fed = [time.monotonic() for _ in range(3) if heard("WATCHDOG=1")]
    assert max(after - before for before, after in pairwise(fed)) < 4
    process.send_signal(signal.SIGHUP)
    heard("RELOADING=1")
    heard("READY=1")
    process.send_signal(signal.SIGTERM)
    heard("STOPPING=1")
    assert process.wait(timeout=_DEADLINE) == 0


def test_it_ends_soon_and_takes_its_socket_with_it(daemons: Daemons) -> None:
    process = daemons.start()
    wait_for(daemons.answers, "the first answer")
    mode = stat.S_IMODE(daemons.socket.stat().st_mode)
    directory = stat.S_IMODE(daemons.socket.parent.stat().st_mode)
    assert (mode, directory) == (0o660, 0o755 if os.geteuid() == 0 else 0o750)
    began = time.monotonic()

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=_DEADLINE) == 0
    assert time.monotonic() - began < 30
    assert not daemons.socket.exists()


def test_a_dead_daemons_lock_and_socket_hold_nothing(daemons: Daemons) -> None:
    process = daemons.start()
    wait_for(daemons.answers, "the first answer")
    process.kill()
    process.wait()
    assert daemons.socket.exists()

    daemons.start()

    wait_for(daemons.answers, "the answer of the second one")


def test_a_second_one_says_who_is_there(daemons: Daemons, tmp_path: Path) -> None:
    first = daemons.start()
    wait_for(daemons.answers, "the first answer")

    same_root = daemons.start()
    other_root = daemons.start(VENVCTL_ROOT=str(tmp_path / "other"))

    assert same_root.communicate()[1].splitlines()[0] == (
        f"Error: A daemon already runs for {daemons.root}: process {first.pid}."
    )
    assert other_root.communicate()[1].splitlines()[0] == (
        f"Error: Another daemon answers on {daemons.socket}."
    )
    assert (same_root.returncode, other_root.returncode) == (75, 75)
    assert daemons.answers()


def test_a_socket_that_systemd_made_is_used_and_left(daemons: Daemons) -> None:
    daemons.socket.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(daemons.socket))
        listener.listen(1)
        number = listener.fileno()
        process = daemons.start(sys.executable, "-c", _AS_SYSTEMD_STARTS_IT, PASSED=str(number))
        wait_for(daemons.answers, "the answer on the passed socket")

        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=_DEADLINE) == 0
        assert daemons.socket.exists()


def test_an_engine_that_is_away_is_told_and_nothing_else_is_wrong(daemons: Daemons) -> None:
    daemons.start()
    wait_for(daemons.answers, "the first answer")

    def problems() -> dict[str, str]:
        return Client(daemons.socket).ask("GET", "/v1/health").mapping("problems")

    wait_for(lambda: problems() == {"engine": "The engine does not answer."}, "the report")


def test_the_configuration_is_read_again_on_sighup(daemons: Daemons, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[[indices]]")
    process = daemons.start(VENVCTL_CONFIG=str(path))
    assert process.stderr is not None

    def said(line: str) -> bool:
        return any(each.rstrip("\n") == line for each in iter(process.stderr.readline, ""))  # type: ignore[union-attr]  # asserted above

    assert said(
        f"WARNING The configuration file {path} can't be used: indices is unknown."
        " The nearest known one is index."
    )
    path.write_text("")
    process.send_signal(signal.SIGHUP)
    assert said(f"INFO The configuration file {path} can be used.")
