"""A small world for the tests of the main job: an index, a root, an environment, containers."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from venvctl.progress import Silent
from venvctl.registration import Registration
from venvctl.specification import EnvironmentSpecification
from venvctl.sync import SyncOptions, SyncResult, sync
from wheelhouse import BuiltWheel, make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from index import LocalIndex
    from venvctl.engine.model import Container
    from venvctl.environments import Environment
    from venvctl.root import Root

_DEADLINE = 60.0

# A process that says what it imported at its start, imports more on SIGHUP, and ends on SIGTERM.
SERVER = """
import importlib, os, signal, sys
import alpha
print("start", alpha.VERSION, sys.prefix.rpartition("/")[2].partition("-")[0], flush=True)
def late(number, frame):
    import alpha.late
    print("late", alpha.late.VERSION, flush=True)
signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
signal.signal(signal.SIGHUP, late)
while True:
    signal.pause()
"""


def wait_for(condition: Callable[[], object], what: str, seconds: float = _DEADLINE) -> None:
    """Return when the condition holds; fail after a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.02)


@dataclass(slots=True)
class World:
    """One environment of one root, fed by one index.

    Attributes:
        name: the environment's.
        image: what its containers run.
        images: of further services that share it.
    """

    folder: Path
    index: LocalIndex
    root: Root
    name: str
    image: str
    docker: Callable[..., str]
    images: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    progress: Silent = field(default_factory=Silent)

    @property
    def lock(self) -> Path:
        return self.folder / "requirements.lock"

    @property
    def environment(self) -> Environment:
        return self.root.environment(self.name)

    @property
    def registration(self) -> Registration:
        labels = {"venvctl.lock": str(self.lock), **self.labels}
        return Registration(
            specification=EnvironmentSpecification.from_labels(
                self.name, labels, directory=self.folder, place="the volume"
            ),
            mount="/venv",
            images=self.images or {"": self.image},
            labels={},
            project="",
            directory=self.folder,
        )

    def wheel(self, name: str, version: str) -> BuiltWheel:
        """A wheel in the index whose modules know their version."""
        made = make_wheel(
            self.folder,
            name,
            version,
            files={
                f"{name}/__init__.py": f"VERSION = {version!r}\n",
                f"{name}/late.py": f"VERSION = {version!r}\n",
            },
            entry_points=f"[console_scripts]\n{name}-tool = {name}:late\n",
        )
        self.index.add(made.path)
        return made

    def write_lock(self, *wheels: BuiltWheel, comment: str = "") -> None:
        """A hashed requirements file that names the index."""
        lines = [f"--index-url {self.index.url}", f"--trusted-host {self.index.host}", comment]
        lines += [f"{each.name}=={each.version} --hash=sha256:{each.sha256}" for each in wheels]
        self.lock.write_text("\n".join(lines) + "\n")

    def sync(self, options: SyncOptions | None = None) -> SyncResult:
        return sync(self.registration, self.root, options or SyncOptions(), self.progress)

    def start(self, name: str, *arguments: str, code: str = SERVER) -> str:
        """Start a container that mounts the environment; its ID."""
        return self.docker(
            "run", "--detach", "--name", name, "--volume", f"{self.name}:/venv",
            "--label", "venvctl.grace=0.3s", *arguments,
            self.image, "/venv/bin/python", "-c", code,
        )  # fmt: skip

    def container(self, identifier: str) -> Container:
        found = self.root.engine.container(identifier)
        assert found is not None
        return found

    def said(self, container: str) -> list[str]:
        """Every line a container printed."""
        return self.docker("logs", container).splitlines()

    def wait_for_line(self, container: str, line: str) -> None:
        wait_for(lambda: line in self.said(container), f"{line!r} in the log of {container}")

    def python(self, code: str, *arguments: str) -> str:
        """What a fresh process in a container of the image prints."""
        return self.docker(
            "run", "--rm", "--volume", f"{self.name}:/venv", *arguments,
            self.image, "/venv/bin/python", "-c", code,
        )  # fmt: skip
