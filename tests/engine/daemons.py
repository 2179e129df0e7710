"""A daemon of some root in a process of its own, on a socket that a group of users may speak to."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from venvctl.client import Client
from venvctl.errors import DaemonUnreachableError
from venvctl.remote import Remote
from world import wait_for

if TYPE_CHECKING:
    from types import TracebackType

SOURCE = Path(__file__).parents[2] / "src"
# What systemd does for a service that its socket unit starts.
_ACTIVATED = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.executable, [sys.executable, "-m", "venvctl", "daemon", "--verbose"])
"""


@dataclass
class Daemon:
    """A context manager that starts one, and ends it.

    Attributes:
        root: the root's directory.
        folder: where its socket and its log are.
        group: number of the group whose members may speak to it.
    """

    root: Path
    folder: Path
    group: int = 0
    process: subprocess.Popen[bytes] | None = None
    listener: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_UNIX))

    @property
    def socket(self) -> Path:
        return self.folder / "control.sock"

    @property
    def log(self) -> Path:
        return self.folder / "daemon.log"

    @property
    def remote(self) -> Remote:
        return Remote(Client(self.socket))

    def __enter__(self) -> Self:
        self.listener.bind(str(self.socket))
        self.listener.listen(64)
        os.chown(self.socket, -1, self.group)
        self.socket.chmod(0o660)
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
        self.listener.close()

    def start(self) -> None:
        number = self.listener.fileno()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _ACTIVATED, str(number)],
                env={**os.environ, "VENVCTL_ROOT": str(self.root), "PYTHONPATH": str(SOURCE)},
                pass_fds=[number],
                stdout=log,
                stderr=log,
            )
        wait_for(self._answers, "the daemon's first answer")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def orders(self) -> list[str]:
        """What was ordered, as ``NAME: sync``."""
        lines = self.log.read_text().splitlines()
        return [
            line.removeprefix("INFO ")
            for line in lines
            if line.endswith((": sync", ": rollback", ": restore", ": rollout", ": env rm"))
        ]

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            return bool(self.remote.path)
        except DaemonUnreachableError:
            return False
