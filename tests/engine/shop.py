"""A compose project of its own, with an index, a root and a lock, for tests of the command line."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from console import Done, venvctl_command
from venvctl.backend import Here
from venvctl.project import ComposeOptions
from venvctl.up import PATIENCE, UpRequest, UpResult, up
from venvctl.workplace import Workplace
from wheelhouse import BuiltWheel, make_wheel
from world import SERVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from index import LocalIndex
    from venvctl.engine.model import Container
    from venvctl.environments import Environment
    from venvctl.root import Root


@dataclass(slots=True)
class Shop:
    """A project whose service `web` serves alpha from the environment `venv`.

    Attributes:
        directory: the project's; its name is the project's too.
    """

    directory: Path
    index: LocalIndex
    root: Root
    image: str
    docker: Callable[..., str]
    wheels: dict[tuple[str, str], BuiltWheel] = field(default_factory=dict)

    @property
    def project(self) -> str:
        return self.directory.name

    @property
    def name(self) -> str:
        return f"{self.project}_venv"

    @property
    def lock(self) -> Path:
        return self.directory / "requirements.lock"

    @property
    def environment(self) -> Environment:
        return self.root.environment(self.name)

    def write(
        self,
        services: Mapping[str, Mapping[str, object]] | None = None,
        volumes: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None:
        """Write the compose file; every service serves alpha and says so in its log."""
        common = {
            "image": self.image,
            "entrypoint": ["/venv/bin/python", "-c", SERVER],
            "volumes": ["venv:/venv"],
            "labels": {"venvctl.grace": "300ms"},
        }
        document = {
            "services": {
                name: {**common, **extra} for name, extra in (services or {"web": {}}).items()
            },
            "volumes": volumes or {"venv": {"labels": {"venvctl.lock": "requirements.lock"}}},
        }
        # JSON is YAML
        (self.directory / "compose.yaml").write_text(json.dumps(document))

    def pin(self, *pins: str, lock: Path | None = None, comment: str = "") -> None:
        """Write a hashed lock of pins such as ``alpha==1.0``, whose wheels the index has."""
        lines = [f"--index-url {self.index.url}", f"--trusted-host {self.index.host}", comment]
        for pin in pins:
            name, _, version = pin.partition("==")
            wheel = self._wheel(name, version)
            lines.append(f"{pin} --hash=sha256:{wheel.sha256}")
        (lock or self.lock).write_text("\n".join(lines) + "\n")

    def up(
        self,
        *services: str,
        flags: Sequence[str] = (),
        options: ComposeOptions | None = None,
        offline: bool = False,
    ) -> UpResult:
        """`venvctl up` in this process, silently."""
        from venvctl.cli.display import Quiet  # noqa: PLC0415 - only who brings something up

        request = UpRequest(
            options=options or ComposeOptions(),
            cwd=self.directory,
            services=services,
            flags=tuple(flags),
            offline=offline,
        )
        return up(request, Workplace(Here(self.root, wait=PATIENCE)), Quiet())

    def run(self, *arguments: str, **variables: str) -> Done:
        """Run venvctl in the project's directory."""
        return venvctl_command(
            *arguments,
            cwd=self.directory,
            **{"VENVCTL_ROOT": str(self.root.path), "PWD": str(self.directory), **variables},
        )

    def containers(self) -> dict[str, Container]:
        """The project's containers by service."""
        found = self.root.engine.containers(project=self.project)
        return {container.service: container for container in found}

    def said(self, service: str) -> list[str]:
        """Every line that a service's container printed."""
        return self.docker("logs", self.containers()[service].id).splitlines()

    def dockerfile(self, base: str, mark: str) -> None:
        """Write a Dockerfile whose image is nobody else's: it is removed by its ID."""
        text = f"FROM {base}\nLABEL vt.shop={self.project} vt.mark={mark}\n"
        (self.directory / "Dockerfile").write_text(text)

    def own_image(self, base: str) -> str:
        """Name of an image of the project's own, with the Python of `base`.

        Not a mere tag: whoever removes that by the image's ID removes the base's name too.
        """
        name = f"{self.project}-own"
        self.dockerfile(base, "own")
        self.docker("build", "--quiet", "--network", "none", "--tag", name, str(self.directory))
        return name

    def stop(self) -> None:
        """Take everything away that a test left."""
        self.docker(
            "compose", "--project-directory", str(self.directory), "--profile", "*", "down",
            "--volumes", "--timeout", "0", "--remove-orphans",
        )  # fmt: skip
        # What a second build of the same name left without one; an engine prunes once at a time.
        left = self.docker(
            "image", "ls", "--quiet", "--filter", "dangling=true",
            "--filter", f"label=vt.shop={self.project}",
        ).split()  # fmt: skip
        if left:
            self.docker("image", "rm", "--force", *left)

    def _wheel(self, name: str, version: str) -> BuiltWheel:
        if (name, version) not in self.wheels:
            made = make_wheel(
                self.directory.parent,
                name,
                version,
                files={
                    f"{name}/__init__.py": f"VERSION = {version!r}\n",
                    f"{name}/late.py": f"VERSION = {version!r}\n",
                },
            )
            self.index.add(made.path)
            self.wheels[name, version] = made
        return self.wheels[name, version]


def opened(shop: Shop) -> Iterator[Shop]:
    """For a fixture: the shop with its usual compose file and lock, taken away afterwards."""
    shop.write()
    shop.pin("alpha==1.0")
    yield shop
    shop.stop()
