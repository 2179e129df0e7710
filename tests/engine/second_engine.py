"""A Docker Engine of a test's own, which may be stopped, killed and started as it likes.

It has its own data, exec root, pid file and socket, and a bridge of its own: with `--bridge none`
it would delete docker0, which belongs to the machine's engine (measured: no container of that one
starts any more).

As on an ordinary machine, containerd is a process beside it, and lives on when it is killed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEADLINE = 60.0


@dataclass(slots=True)
class SecondEngine:
    """One dockerd.

    Attributes:
        folder: everything of it is in it; a socket's path must be short.
        sees: directories that it sees at other paths than this machine has them.
        starts: how often it was started.
    """

    folder: Path
    sees: Mapping[str, Path] = field(default_factory=dict)
    starts: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _containerd: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def host(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self.folder / 'docker.sock'}"

    @property
    def log(self) -> Path:
        return self.folder / "dockerd.log"

    @property
    def bridge(self) -> str:
        """The network device of its own; a name has 15 characters at most."""
        return f"vt{zlib.crc32(str(self.folder).encode()):08x}"

    def start(self) -> None:
        """Start it, and return when it answers."""
        self.folder.mkdir(exist_ok=True)
        self._make_bridge()
        if self._containerd is None and not self.sees:
            self._start_containerd()
        # One that was killed leaves them, and their numbers may be anybody's by now.
        (self.folder / "pid").unlink(missing_ok=True)
        (self.folder / "exec" / "containerd" / "containerd.pid").unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._elsewhere(), "dockerd",
                    "--host", self.host, "--data-root", str(self.folder / "data"),
                    "--exec-root", str(self.folder / "exec"), "--pidfile", str(self.folder / "pid"),
                    "--bridge", self.bridge, "--iptables=false",
                    *(() if self.sees else ("--containerd", str(self._containerd_socket))),
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
            )  # fmt: skip
        self.starts += 1
        deadline = time.monotonic() + _DEADLINE
        while self._ask("version").returncode != 0:
            assert self._process.poll() is None, self.log.read_text()[-2000:]
            assert time.monotonic() < deadline, f"dockerd did not answer in {_DEADLINE:g} s"
            time.sleep(0.1)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it with a signal.

        With SIGTERM it stops its containers first; with SIGKILL they run on until it is started.
        """
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(timeout=_DEADLINE)

    def docker(self, *arguments: str) -> str:
        """What ``docker ARGUMENTS`` printed; it must succeed."""
        done = self._ask(*arguments)
        assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr.decode()}"
        return done.stdout.decode().strip()

    def clean_up(self, container: str) -> None:
        """Have what a killed engine left half made of a stopped container gone.

        It may refuse to start it ever after (measured, 20.10, about once in fifteen kills in the
        middle of a start): "task already exists", "id already in use", "mkdir: file exists".
        """
        identifier, running = self.docker(
            "inspect", "--format", "{{.Id}} {{.State.Running}}", container
        ).split()
        if running == "true":
            return
        ctr = ["ctr", "--address", str(self._containerd_socket), "--namespace", "moby"]
        for command in (["tasks", "delete", "--force"], ["containers", "delete"]):
            subprocess.run([*ctr, *command, identifier], capture_output=True, check=False)
        tasks = self.folder / "containerd" / "state" / "io.containerd.runtime.v2.task" / "moby"
        shutil.rmtree(tasks / identifier, ignore_errors=True)

    def try_docker(self, *arguments: str) -> str:
        """Why ``docker ARGUMENTS`` failed; empty if it did not."""
        done = self._ask(*arguments)
        return done.stderr.decode() if done.returncode else ""

    def copy_image(self, name: str) -> None:
        """Have an image of the machine's engine here too."""
        archive = self.folder / "image.tar"
        subprocess.run(["docker", "save", "--output", str(archive), name], check=True)
        self.docker("load", "--quiet", "--input", str(archive))
        archive.unlink()

    def close(self) -> None:
        """End it with all that is its own, whatever state it is in."""
        if self._process is None:
            return
        if self._process.poll() is not None:
            self.start()  # containers outlive an engine that was killed
        for container in self.docker("ps", "--all", "--quiet").split():
            self.docker("rm", "--force", container)
        self.stop()
        if self._containerd is not None:
            self._containerd.terminate()
            self._containerd.wait(timeout=_DEADLINE)
        self._end_strays()
        # One that was killed has left what it mounted below its folder; the deepest first.
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted(mounts, reverse=True):
            if mount.startswith(f"{self.folder}/"):
                subprocess.run(["umount", mount], capture_output=True, check=False)
        subprocess.run(["ip", "link", "delete", self.bridge], capture_output=True, check=False)

    def _end_strays(self) -> None:
        """End what a killed engine forgot: containers, and the processes that look after them."""
        for status in Path("/proc").glob("[0-9]*/stat"):
            with suppress(FileNotFoundError, ProcessLookupError):
                words = (status.parent / "cmdline").read_bytes().decode(errors="replace")
                if "containerd-shim" in words and f"{self.folder}/" in words:
                    shim = int(status.parent.name)
                    children = (status.parent / "task" / str(shim) / "children").read_text()
                    for number in (shim, *map(int, children.split())):
                        os.kill(number, signal.SIGKILL)

    @property
    def _containerd_socket(self) -> Path:
        return self.folder / "containerd.sock"

    def _start_containerd(self) -> None:
        folder = self.folder / "containerd"
        folder.mkdir(exist_ok=True)
        configuration = folder / "config.toml"
        configuration.write_text(
            f'root = "{folder / "root"}"\nstate = "{folder / "state"}"\n'
            'disabled_plugins = ["cri"]\n'
            f'[grpc]\naddress = "{self._containerd_socket}"\n'
        )
        with (folder / "log").open("ab") as log:
            self._containerd = subprocess.Popen(
                ["containerd", "--config", str(configuration)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
            )  # fmt: skip

    def _elsewhere(self) -> list[str]:
        """What gives it mounts of its own, where it needs any; it stays the same process."""
        if not self.sees:
            return []
        # The directories that these are in may not be there, and are hidden for it alone.
        parents = dict.fromkeys(shlex.quote(str(PurePosixPath(path).parent)) for path in self.sees)
        lines = [f"mount -t tmpfs tmpfs {parent}" for parent in parents]
        for path, source in self.sees.items():
            target = shlex.quote(path)
            lines.append(f"mkdir {target} && mount --bind {shlex.quote(str(source))} {target}")
        return ["unshare", "--mount", "sh", "-ec", "\n".join([*lines, 'exec "$@"']), "sh"]

    def _make_bridge(self) -> None:
        add = ["ip", "link", "add", self.bridge, "type", "bridge"]
        if subprocess.run(add, capture_output=True, check=False).returncode == 0:
            # Any private network that is not the machine's; nothing is ever sent over it.
            third = zlib.crc32(str(self.folder).encode()) % 256
            address = ["ip", "addr", "add", f"10.231.{third}.1/24", "dev", self.bridge]
            subprocess.run(address, check=True)
        subprocess.run(["ip", "link", "set", self.bridge, "up"], check=True)

    def _ask(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["docker", *arguments],
            env={**os.environ, "DOCKER_HOST": self.host},
            capture_output=True,
            timeout=120,
            check=False,
        )
