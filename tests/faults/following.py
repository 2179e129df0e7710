"""A daemon that follows a world's lock, as a process that can be killed."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console import COMMAND, environment
from venvctl.client import Client
from venvctl.errors import DaemonUnreachableError
from world import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from world import World


@dataclass(slots=True)
class Daemon:
    """One of them; `close` ends it."""

    world: World
    socket: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def client(self) -> Client:
        return Client(self.socket)

    def start(self) -> None:
        variables = {
            "VENVCTL_ROOT": str(self.world.root.path),
            "VENVCTL_SOCKET": str(self.socket),
        }
        log = self.world.folder / "daemon.log"
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                [*COMMAND, "daemon"], env=environment(**variables), stdout=stream, stderr=stream
            )

        def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, log.read_text()
            try:
                return bool(self.client.root())
            except DaemonUnreachableError:
                return False

        wait_for(answers, "the daemon's first answer", seconds=60)

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
