"""FAULTS 24: two daemons, a command beside a daemon or another command, what the dead left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from console import venvctl_command
from promises import unharmed
from venvctl.errors import BusyError

if TYPE_CHECKING:
    from following import Daemon
    from world import World

pytestmark = pytest.mark.engine


def test_the_second_daemon_says_who_is_there_and_a_dead_one_holds_nothing(
    settled: World, daemon: Daemon
) -> None:
    daemon.start()
    assert daemon.process is not None
    first = daemon.process.pid

    second = venvctl_command(
        "daemon", VENVCTL_ROOT=str(settled.root.path), VENVCTL_SOCKET=str(daemon.socket)
    )

    assert second.code == 75
    assert str(first) in second.stderr, second.stderr
    daemon.stop(signal.SIGKILL)
    assert daemon.socket.exists()
    daemon.start()
    assert daemon.process.pid != first
    assert daemon.stop() == 0
    assert not unharmed(settled, 1)


def test_a_command_beside_another_says_which_process_it_is(settled: World) -> None:
    settled.write_lock(settled.wheel("alpha", "2.0"))
    holding = (
        "import sys; from pathlib import Path; from venvctl.environments import Environment\n"
        f"with Environment(Path({str(settled.root.path)!r}), {settled.name!r}).writing():\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"

        with pytest.raises(BusyError) as caught:
            settled.sync()

        assert f"process {other.pid} " in caught.value.message
        assert not [line for line in unharmed(settled, 1) if "still held" not in line]
        os.kill(other.pid, signal.SIGKILL)
    assert settled.sync().generation == 2
    assert not unharmed(settled, 2)
