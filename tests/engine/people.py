"""Real users of this machine, and what they get from venvctl and its daemon."""

from __future__ import annotations

import grp
import json
import os
import pwd
import secrets
import shutil
import site
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from console import Done
from venvctl import compose

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).parents[2] / "src"
_DEADLINE = 60.0


@dataclass(frozen=True, slots=True)
class Person:
    """One user, with a home of their own below a test's folder."""

    name: str
    home: Path
    python: str

    @property
    def uid(self) -> int:
        return pwd.getpwnam(self.name).pw_uid

    def run(self, *words: str, cwd: Path | None = None, **variables: str) -> Done:
        """Run a command with exactly the rights of the user."""
        account = pwd.getpwnam(self.name)
        done = subprocess.run(
            words,
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=os.getgrouplist(self.name, account.pw_gid),
            cwd=cwd or self.home,
            env={
                "HOME": str(self.home),
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join([str(SOURCE), *site.getsitepackages()]),
                "DOCKER_CONFIG": str(self.home.parent / "docker"),
                "PWD": str(cwd or self.home),
                **variables,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Done(code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def venvctl(self, *arguments: str, socket: Path, cwd: Path | None = None) -> Done:
        return self.run(
            self.python, "-m", "venvctl", *arguments, cwd=cwd, VENVCTL_SOCKET=str(socket)
        )

    def ask(self, path: str, *, socket: Path, method: str = "GET", body: object = None) -> Any:
        """What the control API answers to curl."""
        words = ["curl", "--silent", "--max-time", "20", "--unix-socket", str(socket)]
        words += ["--request", method, f"http://localhost{path}"]
        if body is not None:
            words += ["--data", json.dumps(body)]
        done = self.run(*words)
        assert done.code == 0, done
        return json.loads(done.stdout)


@dataclass(frozen=True, slots=True)
class People:
    """The users of one test: two in the daemon's group, one outside; all may use the engine.

    Attributes:
        group: number of the daemon's group.
    """

    ann: Person
    bob: Person
    eve: Person
    group: int


@contextmanager
def people(folder: Path) -> Iterator[People]:
    """Make three users, and remove them again; only root can."""
    if os.geteuid() != 0 or shutil.which("useradd") is None:
        pytest.skip("only root can make users")
    mark = secrets.token_hex(3)
    group, names = f"vt{mark}", [f"vt{mark}{who}" for who in ("ann", "bob", "eve")]
    _copy_compose(folder)
    _account("groupadd", group)
    try:
        python = ""
        found = []
        for name in names:
            home = folder / name
            _account(
                "useradd", "--no-user-group", "--gid", "nogroup", "--home-dir", str(home), name
            )
            for more in ("docker", *([] if name.endswith("eve") else [group])):
                _account("usermod", "--append", "--groups", more, name)
            home.mkdir()
            home.chmod(0o755)
            os.chown(home, pwd.getpwnam(name).pw_uid, -1)
            python = python or _python_for(Person(name, home, ""))
            found.append(Person(name, home, python))
        ann, bob, eve = found
        yield People(ann=ann, bob=bob, eve=eve, group=grp.getgrnam(group).gr_gid)
    finally:
        for name in names:
            _account("userdel", name, check=False)
        _account("groupdel", group, check=False)


def _account(*words: str, check: bool = True) -> None:
    """Change the accounts; another test may hold their file's lock for a moment."""
    deadline = time.monotonic() + _DEADLINE
    while True:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode == 0 or not check:
            return
        assert "cannot lock" in done.stderr, done.stderr
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.1)


def _python_for(person: Person) -> str:
    """A Python that other users can start, and that has what venvctl needs."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        try:
            if person.run(candidate, "-c", "import venvctl, typer, docker").code == 0:
                return candidate
        except PermissionError:
            continue
    pytest.skip("no Python here can be started by another user")


def _copy_compose(folder: Path) -> None:
    """Have Docker Compose where other users find it."""
    place = next(place for place in compose.plugin_places() if place.exists())
    plugins = folder / "docker" / "cli-plugins"
    plugins.mkdir(parents=True)
    shutil.copy(place, plugins / "docker-compose")
    for path in (plugins.parent, plugins, plugins / "docker-compose"):
        path.chmod(0o755)
