"""What a soak plays on: an engine, a compose project in git, its locks, and a daemon beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from console import COMMAND, Done, environment, venvctl_command
from venvctl.client import Client
from venvctl.errors import VenvctlError
from wheelhouse import make_wheel
from world import SERVER

if TYPE_CHECKING:
    from pathlib import Path

    from index import LocalIndex
    from second_engine import SecondEngine

IMAGE = "venvctl-test/python:3.11"
VERSIONS = ("1.0", "2.0", "3.0", "4.0")
SERVICES = ("tool", "web", "worker")
BRANCHES = ("main", "other")
_STOP_SECONDS = 10.0
_START_SECONDS = 30.0


@dataclass(slots=True)
class Lock:
    """A lockfile, and what was last meant to be in it.

    Attributes:
        services: those that hold its environment.
        version: of alpha, as the file pins it.
    """

    path: Path
    environment: str
    services: tuple[str, ...]
    version: str = VERSIONS[0]


@dataclass(slots=True)
class Daemon:
    """The daemon as a process, which may be killed.

    Attributes:
        starts: how often it was started.
    """

    folder: Path
    variables: dict[str, str]
    starts: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.folder / "control.sock"

    @property
    def log(self) -> Path:
        return self.folder / "daemon.log"

    def start(self) -> None:
        """Start it, and return when it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "daemon", "--verbose"],
                env=environment(**self.variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
            )
        self.starts += 1
        deadline = time.monotonic() + _START_SECONDS
        while self.health() is None:
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            assert time.monotonic() < deadline, f"no answer within {_START_SECONDS:g} s"
            time.sleep(0.1)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it with a signal, which must take it no longer than it may."""
        assert self.process is not None
        assert self.process.poll() is None, f"the daemon died:\n{self.log.read_text()[-3000:]}"
        self.process.send_signal(number)
        self.process.wait(timeout=_STOP_SECONDS)

    def health(self) -> dict[str, Any] | None:
        """What it says of itself; None if it does not answer."""
        try:
            return dict(Client(self.socket).ask("GET", "/v1/health").fields)
        except VenvctlError:
            return None


@dataclass(slots=True)
class Stage:
    """All of it.

    Attributes:
        folder: everything on disk is in it.
        serial: counts the contents that were written, so that no two are the same by chance.
    """

    folder: Path
    engine: SecondEngine
    index: LocalIndex
    serial: int = 0
    hashes: dict[str, str] = field(default_factory=dict)
    locks: list[Lock] = field(default_factory=list)
    daemon: Daemon = field(init=False)

    def __post_init__(self) -> None:
        self.daemon = Daemon(folder=self.folder, variables=self.variables)

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def project(self) -> Path:
        return self.folder / "soak"

    @property
    def variables(self) -> dict[str, str]:
        """What every venvctl here is told."""
        return {
            "VENVCTL_ROOT": str(self.root),
            "VENVCTL_SOCKET": str(self.folder / "control.sock"),
            "DOCKER_HOST": self.engine.host,
            "PWD": str(self.project),
        }

    def venvctl(self, *arguments: str) -> Done:
        """Run a command in the project."""
        return venvctl_command(*arguments, cwd=self.project, **self.variables)

    def open(self) -> None:
        """Bring the project up, and start the daemon."""
        self.engine.start()
        self.engine.copy_image(IMAGE)
        for version in VERSIONS:
            wheel = make_wheel(
                self.folder, "alpha", version, files={"alpha/__init__.py": f"VERSION={version!r}\n"}
            )
            self.index.add(wheel.path)
            self.hashes[version] = wheel.sha256
        self._write_project()
        for branch in reversed(BRANCHES):
            self.git("checkout", "--quiet", "-B", branch)
            for lock in self.locks:
                lock.path.write_text(self.content(lock))
            self.commit()
        up = self.venvctl("up", "--json")
        assert up.code == 0, up.stdout + up.stderr
        self.daemon.start()

    def close(self) -> None:
        """End what was started."""
        process = self.daemon.process
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
        self.engine.close()

    def content(self, lock: Lock, version: str = "") -> str:
        """A new content for a lock; with another version it matters, else it is a comment's."""
        self.serial += 1
        lock.version = version or lock.version
        return (
            f"--index-url {self.index.url}\n--trusted-host {self.index.host}\n"
            f"# content {self.serial}\n"
            f"alpha=={lock.version} --hash=sha256:{self.hashes[lock.version]}\n"
        )

    def git(self, *arguments: str) -> str:
        """Run git in the project."""
        identity = ("-c", "user.name=soak", "-c", "user.email=soak@example.org")
        done = subprocess.run(
            ["git", *identity, *arguments],
            cwd=self.project,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
        return done.stdout.strip()

    def commit(self) -> None:
        """Commit everything, also where nothing changed."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", f"content {self.serial}")

    def logs(self, service: str) -> list[str]:
        """Every line that a service's container printed, over all its starts."""
        return self.engine.docker("logs", f"soak-{service}-1").splitlines()

    def start_containers(self) -> None:
        """As whoever looks after the machine would; those that run stay as they are."""
        names = [f"soak-{service}-1" for service in SERVICES]
        deadline = time.monotonic() + _START_SECONDS
        while words := self.engine.try_docker("start", *names):
            sys.stderr.write(f"soak: {words}")
            assert time.monotonic() < deadline, words
            for name in names:
                self.engine.clean_up(name)

    def _write_project(self) -> None:
        service = {
            "image": IMAGE,
            "entrypoint": ["/venv/bin/python", "-c", SERVER],
            "restart": "unless-stopped",
            "network_mode": "none",
            "stop_grace_period": "2s",
            "labels": {"venvctl.grace": "300ms"},
        }
        (self.project / "locks").mkdir(parents=True)
        document = {
            "name": "soak",
            "services": {
                "web": {**service, "volumes": ["venv:/venv"]},
                "worker": {**service, "volumes": ["venv:/venv"]},
                "tool": {**service, "volumes": ["tools:/venv"]},
            },
            "volumes": {
                "venv": {"labels": {"venvctl.lock": "requirements.lock"}},
                "tools": {"labels": {"venvctl.lock": "locks/tools.lock"}},
            },
        }
        # JSON is YAML
        (self.project / "compose.yaml").write_text(json.dumps(document))
        self.locks = [
            Lock(self.project / "requirements.lock", "soak_venv", ("web", "worker")),
            Lock(self.project / "locks" / "tools.lock", "soak_tools", ("tool",)),
        ]
        subprocess.run(["git", "init", "--quiet", str(self.project)], check=True)


def chances() -> tuple[int, float]:
    """The seed and the minutes that whoever runs it asks for."""
    seed = int(os.environ.get("SOAK_SEED") or time.time_ns() % 1_000_000)
    return seed, float(os.environ.get("SOAK_MINUTES") or 0)
