"""A machine that systemd starts, in a container: venvctl is installed in it, an engine answers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine_fixtures import run_docker
from world import wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping

IMAGE = "venvctl-test/systemd"
REPOSITORY = Path(__file__).parents[2]
STATE = "/var/lib/venvctl"
_PACKAGES = "/usr/local/lib/python3.11/dist-packages"  # where Debian's own Python looks
_PROGRAM = "/usr/bin/venvctl"
_BOOT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Done:
    """How a command in it ended."""

    code: int
    output: str


@dataclass(slots=True)
class Machine:
    """One such container.

    Attributes:
        mounts: what else of this machine it has, by the path there.
    """

    name: str
    folder: Path
    mounts: Mapping[str, Path]

    def boot(self) -> None:
        """Start it, and return when systemd has started everything."""
        packages = self._install()
        program = self.folder / "venvctl"
        program.write_text("#!/usr/bin/python3\nfrom venvctl.__main__ import main\n\nmain()\n")
        program.chmod(0o755)
        mounts = {_PACKAGES: packages, _PROGRAM: program, **self.mounts}
        run_docker(
            "run", "--detach", "--name", self.name,
            # What systemd and the units' own sandboxes take.
            "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined",
            "--security-opt", "apparmor=unconfined",
            "--tmpfs", "/run", "--tmpfs", "/run/lock",
            "--cgroupns", "host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw",
            # The index of the test is on this machine's loopback.
            "--network", "host",
            "--env", "container=docker", "--stop-signal", "SIGRTMIN+3",
            *(f"--volume={source}:{target}" for target, source in mounts.items()),
            IMAGE, "/lib/systemd/systemd",
        )  # fmt: skip
        self.wait_until_up()
        # As packages do when they are installed: services may not write there.
        self.tell("python3", "-m", "compileall", "-q", _PACKAGES)

    def restart(self) -> None:
        """Shut it down, and boot it again."""
        run_docker("restart", self.name)
        self.wait_until_up()

    def remove(self) -> None:
        """Take it away."""
        subprocess.run(
            ["docker", "rm", "--force", "--volumes", self.name], capture_output=True, check=False
        )

    def wait_until_up(self) -> None:
        """Return when systemd says that it has started what it is to start."""
        deadline = time.monotonic() + _BOOT_SECONDS
        while (state := self.run("systemctl", "is-system-running").output.strip()) != "running":
            assert time.monotonic() < deadline, f"{state}: {self.run('systemctl', '--failed')}"
            time.sleep(0.2)

    def run(self, *command: str, **variables: str) -> Done:
        """Run a command as root of the machine."""
        told = [f"--env={name}={value}" for name, value in variables.items()]
        done = subprocess.run(
            ["docker", "exec", *told, self.name, *command],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=120,
        )  # fmt: skip
        return Done(done.returncode, done.stdout)

    def tell(self, *command: str, **variables: str) -> str:
        """What a command that must succeed printed."""
        done = self.run(*command, **variables)
        assert done.code == 0, f"{' '.join(command)}: {done.output}\n{self.journal()}"
        return done.output

    def shown(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.tell("systemctl", "show", "--property", name, "--value", unit).strip()

    def journal(self, unit: str = "venvctl.service") -> str:
        """What a unit wrote."""
        return self.run("journalctl", "--unit", unit, "--output", "cat", "--no-pager").output

    def wait_for_state(self, unit: str, state: str) -> None:
        """Return when a unit is in that state."""
        wait_for(
            lambda: self.shown(unit, "ActiveState") == state,
            f"{unit} {state}:\n{self.journal()}",
            _BOOT_SECONDS,
        )

    def write(self, path: str, text: str) -> None:
        """Write a file in it."""
        subprocess.run(
            ["docker", "exec", "--interactive", self.name, "sh", "-c",
             f"mkdir -p $(dirname {path}) && cat >{path}"],
            input=text, text=True, check=True,
        )  # fmt: skip

    def _install(self) -> Path:
        """Everything that venvctl is and needs, for the Python of the machine."""
        uv = str(Path(sys.executable).with_name("uv"))
        wheels, packages = self.folder / "wheels", self.folder / "packages"
        for command in (
            [uv, "build", "--quiet", "--wheel", "--out-dir", str(wheels), str(REPOSITORY)],
            [
                uv, "pip", "install", "--quiet", "--target", str(packages),
                "--python-version", "3.11", "--only-binary", ":all:",
                "--constraint", str(REPOSITORY / ".ci" / "requirements.txt"),
                "--find-links", str(wheels), "venvctl-docker",
            ],
        ):  # fmt: skip
            subprocess.run(command, check=True, env={**os.environ, "UV_NO_CONFIG": "1"})
        return packages
