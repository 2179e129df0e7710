"""What every test on the real engine starts from, and cleans up after itself."""

from __future__ import annotations

import secrets
import subprocess
from typing import TYPE_CHECKING, Protocol

import pytest

from index import LocalIndex
from venvctl.engine import connect
from venvctl.root import Root
from world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from venvctl.engine.docker import DockerEngine


class Unique(Protocol):
    """Makes a name that nobody else has; what bears it is removed when the test ends."""

    def __call__(self, word: str) -> str: ...


class Docker(Protocol):
    """Runs the `docker` command: a second witness beside the engine under test."""

    def __call__(self, *arguments: str) -> str: ...


class MakeProject(Protocol):
    """Writes a compose project into a folder of its own and says where."""

    def __call__(self, text: str) -> Path: ...


def run_docker(*arguments: str) -> str:
    """What `docker ARGUMENTS` printed; it must succeed."""
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


@pytest.fixture
def docker() -> Docker:
    return run_docker


@pytest.fixture(scope="session")
def root_identity() -> str:
    return f"vt-{secrets.token_hex(6)}"


@pytest.fixture(scope="session")
def engine(root_identity: str) -> Iterator[DockerEngine]:
    engine = connect(root_identity)
    yield engine
    engine.remove_helpers()
    engine.close()


def require_image(engine: DockerEngine, name: str) -> str:
    """The name, if the engine has such an image."""
    if engine.image(name) is None:
        pytest.fail(f"the image {name} is missing: run `make test`, which makes it")
    return name


@pytest.fixture(scope="session")
def image_311(engine: DockerEngine) -> str:
    return require_image(engine, "venvctl-test/python:3.11")


@pytest.fixture(scope="session")
def image_313(engine: DockerEngine) -> str:
    return require_image(engine, "venvctl-test/python:3.13")


@pytest.fixture
def unique() -> Iterator[Unique]:
    prefix = f"vt-{secrets.token_hex(4)}-"
    yield lambda word: prefix + word
    names = f"name={prefix}"
    for listing, removal in (
        (("ps", "--all", "--quiet", "--filter", names), ("rm", "--force", "--volumes")),
        (("volume", "ls", "--quiet", "--filter", names), ("volume", "rm", "--force")),
        (("network", "ls", "--quiet", "--filter", names), ("network", "rm")),
        # By name: an ID would take every other name of the same image with it.
        (
            (
                "image",
                "ls",
                "--format",
                "{{.Repository}}:{{.Tag}}",
                "--filter",
                f"reference={prefix}*",
            ),
            ("rmi", "--force"),
        ),
    ):
        found = run_docker(*listing).split()
        if found:
            run_docker(*removal, *found)


@pytest.fixture
def compose_project(tmp_path: Path, unique: Unique) -> MakeProject:
    """Writes ``compose.yaml`` into a folder whose name, and so the project's, is unique."""

    def make(text: str) -> Path:
        directory = tmp_path / unique("project")
        directory.mkdir()
        (directory / "compose.yaml").write_text(text)
        return directory

    return make


@pytest.fixture
def world(tmp_path: Path, image_311: str, unique: Unique, docker: Docker) -> Iterator[World]:
    """An environment of its own root, on the image with Python 3.11, without a lock yet."""
    with LocalIndex() as index:
        yield World(
            folder=tmp_path,
            index=index,
            root=Root(tmp_path / "root"),
            name=unique("env"),
            image=image_311,
            docker=docker,
        )
