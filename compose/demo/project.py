"""A copy of the demo's project that is driven by commands and watched through its page."""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
SERVICE = "web"
VOLUME = "venv"
LOCK = "requirements.lock"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
INDEXES = ("PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX")
PREFERRED_PORT = 8765
COMMAND_DEADLINE = 600.0
"""Seconds for one command; the first `up` downloads some megabytes."""
PAGE_DEADLINE = 60.0
"""Seconds until the page must say what a step promised."""


class DemoError(Exception):
    """A step did not do what it says."""


def say(text: str, indent: str = "   ") -> None:
    """Print now, also into a pipe."""
    sys.stdout.write(textwrap.indent(text.rstrip("\n"), indent) + "\n")
    sys.stdout.flush()


def require(condition: bool, otherwise: str) -> None:  # noqa: FBT001 (it reads like assert)
    """Raise DemoError with the sentence `otherwise` unless the condition holds."""
    if not condition:
        raise DemoError(otherwise)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the application says of itself."""

    prefix: str
    versions: dict[str, str]

    @property
    def key(self) -> str:
        """The key of the generation that the process runs on: generations/<number>-<key>."""
        return self.prefix.rpartition("/")[2].partition("-")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The one package in which the demo's two locks differ."""

    package: str
    old: str
    new: str


def read_change() -> Change:
    """Compare the two locks."""

    def pins(name: str) -> dict[str, str]:
        text = (HERE / name).read_text(encoding="utf-8")
        return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", text, flags=re.MULTILINE))

    old, new = pins(LOCK), pins("requirements.update.lock")
    changed = [name for name in old if old[name] != new.get(name)]
    require(
        len(changed) == 1 and len(old) == len(new),
        f"the locks differ in {changed}, not in one package.",
    )
    return Change(package=changed[0], old=old[changed[0]], new=new[changed[0]])


def free_port() -> int:
    """Return DEMO_PORT, else the usual port if nobody has it, else any."""
    if "DEMO_PORT" in os.environ:
        return int(os.environ["DEMO_PORT"])
    for port in (PREFERRED_PORT, 0):
        with socket.socket() as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = candidate.getsockname()[1]
            return found
    raise DemoError("there is no free port on 127.0.0.1.")


def interrupt(process: subprocess.Popen[str]) -> int:
    """End a process and its children as Ctrl-C in a terminal does; return its exit code."""
    for number, patience in ((signal.SIGINT, 30), (signal.SIGKILL, None)):
        if process.poll() is None:
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            return process.wait(patience)
    raise AssertionError("a killed process ends")


class Project:
    """A copy of the project with a name, a port and a root of its own, so nothing is in its way."""

    def __init__(self, directory: Path) -> None:
        """Copy the project into `directory`."""
        self.name = f"venvctl-demo-{secrets.token_hex(3)}"
        self.environment = f"{self.name}_{VOLUME}"
        self.root = directory / "root"
        self.directory = directory / "project"
        self.directory.mkdir()
        self.change = read_change()
        self.port = free_port()
        for name in ("compose.yaml", "app.py", LOCK):
            # The container's user reads app.py, whatever the umask here is.
            shutil.copy(HERE / name, self.directory / name)
            (self.directory / name).chmod(0o644)
        self.command = str(Path(sys.executable).with_name("venvctl"))
        self._docker = shutil.which("docker") or "docker"
        self._environ: dict[str, str] = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("COMPOSE_", "VENVCTL_"))
        } | {
            "COMPOSE_PROJECT_NAME": self.name,
            "DEMO_PORT": str(self.port),
            "VENVCTL_ROOT": str(self.root),
        }

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command in the project, in a process group of its own (see interrupt)."""
        return subprocess.Popen(
            command,
            cwd=self.directory,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def _run(self, *command: str) -> tuple[int, str]:
        """Run a command to its end; return its exit code and all that it printed."""
        process = self.start(*command)
        try:
            output, _ = process.communicate(timeout=COMMAND_DEADLINE)
        except BaseException:
            # Nothing may still be starting containers while the demo cleans up.
            interrupt(process)
            raise
        return process.returncode, output

    def venvctl(self, *arguments: str, expected: int = 0) -> None:
        """Run a venvctl command and show what it says."""
        say(f"$ venvctl {' '.join(arguments)}")
        code, output = self._run(self.command, *arguments)
        if output:
            say(output, "   | ")
        require(code == expected, f"venvctl {arguments[0]} ended with {code}, not {expected}.")

    def docker(self, *arguments: str) -> str:
        """Run a docker command and return what it printed."""
        code, output = self._run(self._docker, *arguments)
        require(code == 0, f"docker {' '.join(arguments)} ended with {code}: {output}")
        return output

    def imports(self) -> bool:
        """Return whether a new process in the container can import what the lock names."""
        program = f"import {self.change.package}"
        arguments = ("compose", "exec", "-T", SERVICE, "/venv/bin/python", "-c", program)
        return self._run(self._docker, *arguments)[0] == 0

    def isolate(self) -> None:
        """From now on let every way to an index lead to a port where nobody listens."""
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            nowhere = f"127.0.0.1:{closed.getsockname()[1]}"
        self._environ |= {
            **{name: f"http://{nowhere}" for proxy in PROXIES for name in (proxy, proxy.lower())},
            **dict.fromkeys(INDEXES, f"https://{nowhere}/simple"),
            **dict.fromkeys(("NO_PROXY", "no_proxy"), ""),
            "PIP_CONFIG_FILE": os.devnull,
            "UV_NO_CONFIG": "1",
            # What uv remembers is no index, but it must not stand in for one either.
            "UV_NO_CACHE": "1",
        }

    def container_start(self) -> str:
        """Return which container serves the page, and since when."""
        container = self.docker("compose", "ps", "--quiet", SERVICE).strip()
        require(bool(container), f"the service {SERVICE} has no running container.")
        return self.docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", container)

    @contextmanager
    def next_start(self) -> Iterator[subprocess.Popen[str]]:
        """Run what prints a line when a container of the project starts, from now on."""
        events = self.start(
            *(self._docker, "events", "--format", "{{.Time}}", "--since", f"{time.time():.9f}"),
            *("--filter", f"label=com.docker.compose.project={self.name}"),
            *("--filter", "event=start"),
        )
        try:
            yield events
        finally:
            interrupt(events)

    def leftovers(self) -> dict[str, list[str]]:
        """Return what the engine still has of the project: IDs or names by kind."""
        mine = ("--quiet", "--filter", f"label=com.docker.compose.project={self.name}")
        lists = {
            "container": ("ps", "--all", *mine),
            "volume": ("volume", "ls", *mine),
            "network": ("network", "ls", *mine),
        }
        found = {kind: self.docker(*arguments).split() for kind, arguments in lists.items()}
        return {kind: names for kind, names in found.items() if names}

    def read_page(self) -> Page | None:
        """Ask the application once; None while nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/versions")
            response = connection.getresponse()
            if response.status != http.HTTPStatus.OK:
                return None
            answer = json.load(response)
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        return Page(prefix=answer["prefix"], versions=answer["versions"])

    def await_page(self, version: str) -> Page:
        """Wait until the page shows this version of the package that changes, and say so."""
        deadline = time.monotonic() + PAGE_DEADLINE
        page = None
        while time.monotonic() < deadline:
            page = self.read_page()
            if page and page.versions.get(self.change.package) == version:
                say(
                    f"http://127.0.0.1:{self.port}/ shows {len(page.versions)} packages, "
                    f"{self.change.package} {version}, from {page.prefix}"
                )
                return page
            time.sleep(0.01)
        raise DemoError(
            f"http://127.0.0.1:{self.port}/ does not show {self.change.package} {version} after "
            f"{PAGE_DEADLINE:.0f} s; it answers {page}.\n"
            + self.docker("compose", "logs", "--tail", "20")
        )


def save(text: str, path: Path) -> None:
    """Replace the file as an editor does: written beside it, then renamed."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
