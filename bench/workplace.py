"""Where the bench works: a folder, a root, locks, and containers that nobody else has."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from measurement import run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HERE = Path(__file__).parent
IMAGE = "venvctl-test/python:3.11"
TOOLS = Path(sys.executable).parent
_CHANGING = HERE / "changing.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """One bench's own corner of the machine.

    Attributes:
        folder: everything on disk is in it.
        prefix: what its volumes, containers and projects are named with.
        packages: lines ``name==version`` that locks are made of.
    """

    folder: Path
    prefix: str
    packages: tuple[str, ...]

    @property
    def root(self) -> Path:
        """The venvctl root."""
        return self.folder / "root"

    @property
    def environment(self) -> dict[str, str]:
        """The variables of every process: as a user has them, with a root of the bench's own."""
        told = {"VENVCTL_ROOT": str(self.root)}
        # Users have bytecode of venvctl itself.
        kept = {
            name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
        }
        return {**kept, **told}

    def venvctl(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run venvctl."""
        return run(
            [str(TOOLS / "venvctl"), *arguments],
            cwd=cwd or self.folder,
            environment={**self.environment, "PWD": str(cwd or self.folder)},
        )

    def uv(self, *arguments: str, **variables: str) -> str:
        """Run uv, with the versions that venvctl itself uses."""
        environment = {**self.environment, **variables}
        return run([str(TOOLS / "uv"), *arguments], cwd=self.folder, environment=environment)

    def docker(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run docker."""
        return run(["docker", *arguments], cwd=cwd or self.folder).strip()

    def changes(self) -> list[str]:
        """Versions of one package, each of which makes another lock."""
        return _CHANGING.read_text().split()

    def lock(self, change: str = "") -> Path:
        """A hashed lock of the packages, with one of them in another version; made once."""
        path = self.folder / f"lock-{change or 'base'}.txt"
        if not path.exists():
            name = change.partition("==")[0]
            pins = [pin for pin in self.packages if not change or pin.partition("==")[0] != name]
            source = path.with_suffix(".in")
            source.write_text("\n".join([*pins, change]) + "\n")
            self.uv(
                "pip", "compile", "--quiet", "--no-deps", "--generate-hashes", "--no-header",
                "--no-emit-index-url", "--only-binary", ":all:", "--python-version", "3.11",
                str(source), "--output-file", str(path),
            )  # fmt: skip
        return path

    def add(self, name: str, lock: Path, *options: str) -> str:
        """Make an environment without compose, synced; its name."""
        full = f"{self.prefix}{name}"
        self.venvctl("env", "add", full, "--lock", str(lock), "--image", IMAGE, *options)
        return full

    def peer(self, name: str, lock: Path, *options: str) -> Path:
        """A venv on the host, made by uv; its Python."""
        place = self.folder / name
        shutil.rmtree(place, ignore_errors=True)
        self.uv("venv", "--quiet", "--python", sys.executable, str(place))
        python = place / "bin" / "python"
        self.peer_sync(python, lock, *options)
        return python

    def peer_sync(self, python: Path, lock: Path, *options: str) -> None:
        """What a developer would run."""
        self.uv("pip", "sync", "--quiet", *options, "--python", str(python), str(lock))

    def project(self, name: str, services: Mapping[str, object], lock: Path) -> Path:
        """A compose project with an environment; its directory."""
        directory = self.folder / f"{self.prefix}{name}"
        directory.mkdir()
        shutil.copyfile(lock, directory / "requirements.lock")
        volumes = {"venv": {"labels": {"venvctl.lock": "requirements.lock"}}}
        document = {"services": services, "volumes": volumes}
        (directory / "compose.yaml").write_text(json.dumps(document))  # JSON is YAML
        return directory

    def clear(self) -> None:
        """Take everything away that bears the prefix."""
        name = f"name={self.prefix}"
        for listing, removal in (
            (("ps", "--all", "--quiet", "--filter", name), ("rm", "--force")),
            (("volume", "ls", "--quiet", "--filter", name), ("volume", "rm", "--force")),
            (("network", "ls", "--quiet", "--filter", name), ("network", "rm")),
            (("images", "--quiet", f"{self.prefix}*"), ("rmi", "--force")),
        ):
            if found := self.docker(*listing).split():
                self.docker(*removal, *dict.fromkeys(found))


@contextmanager
def opened(size: str) -> Iterator[Workplace]:
    """A workplace, taken away afterwards.

    Args:
        size: ``small`` or ``large``, which list of packages it works on.
    """
    packages = tuple((HERE / f"{size}.txt").read_text().split())
    with TemporaryDirectory(prefix="venvctl-bench-", dir=os.environ.get("BENCH_FOLDER")) as folder:
        place = Workplace(
            folder=Path(folder), prefix=f"vt-bench-{secrets.token_hex(3)}-", packages=packages
        )
        try:
            yield place
        finally:
            place.clear()
