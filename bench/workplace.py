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
from urllib.parse import urlsplit

from measurement import run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HERE = Path(__file__).parent
IMAGE = "venvctl-test/python:3.11"
TOOLS = Path(sys.executable).parent
LABEL = "venvctl-bench"  # of images, with the prefix
# Another index than the public one, as ``http://127.0.0.1:PORT/simple/``: tests have their own.
_INDEX = "BENCH_INDEX"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """One bench's own corner of the machine.

    Attributes:
        folder: everything on disk is in it.
        prefix: what its volumes, containers and projects are named with.
        packages: lines ``name==version`` that locks are made of.
        changes: versions of one package, each of which makes another lock.
        quick: whether one turn of everything will do.
    """

    folder: Path
    prefix: str
    packages: tuple[str, ...]
    changes: tuple[str, ...] = ()
    quick: bool = False

    def turns(self, number: int) -> int:
        """How often a thing is measured that is meant to be measured so often."""
        return 1 if self.quick else number

    @property
    def root(self) -> Path:
        """The venvctl root."""
        return self.folder / "root"

    @property
    def environment(self) -> dict[str, str]:
        """The variables of every process: as a user has them, with a root of the bench's own."""
        told = {"VENVCTL_ROOT": str(self.root)}
        told |= {"PIP_CACHE_DIR": str(self.folder / "pip"), "PIP_ROOT_USER_ACTION": "ignore"}
        # Users have bytecode of venvctl itself.
        kept = {
            name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
        }
        return {**kept, **told}

    def venvctl(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run venvctl."""
        return run(
            [*self.command, *arguments],
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

    @property
    def version(self) -> str:
        """The pin, in `packages`, of what `changes` has other versions of."""
        name = self.changes[0].partition("==")[0]
        return next(pin for pin in self.packages if pin.partition("==")[0] == name)

    @property
    def command(self) -> list[str]:
        """What starts venvctl."""
        return [str(TOOLS / "venvctl")]

    def lock(self, change: str = "") -> Path:
        """A hashed lock of the packages, with one of them in another version; made once."""
        path = self.folder / f"lock-{change or 'base'}.txt"
        if not path.exists():
            name = change.partition("==")[0]
            pins = [pin for pin in self.packages if not change or pin.partition("==")[0] != name]
            source = path.with_suffix(".in")
            source.write_text("\n".join([*pins, change]) + "\n")
            lines = _index_lines()
            asked = ("--default-index", lines[0].partition(" ")[2]) if lines else ()
            text = self.uv(
                "pip", "compile", "--quiet", "--no-deps", "--generate-hashes", "--no-header",
                "--no-emit-index-url", "--only-binary", ":all:", "--python-version", "3.11",
                *asked, str(source),
            )  # fmt: skip
            path.write_text("".join(f"{line}\n" for line in lines) + text)
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

    def pip(self, name: str, lock: Path, *options: str, anew: bool = True) -> None:
        """Install a lock into a venv on the host with pip; into a new one, or what is there."""
        place = self.folder / name
        if anew:
            shutil.rmtree(place, ignore_errors=True)
            self.uv("venv", "--quiet", "--python", sys.executable, str(place))
        run(
            [
                str(TOOLS / "python"), "-m", "pip", "--python", str(place / "bin" / "python"),
                "install", "--quiet", "--disable-pip-version-check", "--no-deps",
                "--require-hashes", *options, "--requirement", str(lock),
            ],
            cwd=self.folder,
            environment=self.environment,
        )  # fmt: skip

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
            (
                ("images", "--quiet", "--filter", f"label={LABEL}={self.prefix}"),
                ("rmi", "--force"),
            ),
        ):
            if found := self.docker(*listing).split():
                self.docker(*removal, *dict.fromkeys(found))


@contextmanager
def opened(
    packages: Sequence[str], *, changes: Sequence[str] = (), quick: bool = False
) -> Iterator[Workplace]:
    """A workplace, taken away afterwards.

    Args:
        packages: lines ``name==version`` that it works on.
        changes: versions of one of them.
        quick: whether one turn of everything will do.
    """
    with TemporaryDirectory(prefix="venvctl-bench-", dir=os.environ.get("BENCH_FOLDER")) as folder:
        place = Workplace(
            folder=Path(folder),
            prefix=f"vt-bench-{secrets.token_hex(3)}-",
            packages=tuple(packages),
            changes=tuple(changes),
            quick=quick,
        )
        try:
            yield place
        finally:
            place.clear()


def _index_lines() -> list[str]:
    """What a lock says of its index, where it has one of its own."""
    if not (index := os.environ.get(_INDEX, "")):
        return []
    return [f"--index-url {index}", f"--trusted-host {urlsplit(index).hostname}"]
