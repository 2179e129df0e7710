"""The real engine is given the volume once, read-only, and what it made is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from venvctl import volumes
from venvctl.engine.model import LABEL_ROOT
from venvctl.environments import Environment
from venvctl.errors import VolumeConflictError

if TYPE_CHECKING:
    from pathlib import Path

    from engine_fixtures import Docker, Unique
    from venvctl.engine.docker import DockerEngine

pytestmark = pytest.mark.engine


@pytest.fixture
def environment(tmp_path: Path, unique: Unique) -> Environment:
    found = Environment(tmp_path / "root", unique("volume"))
    found.prepare()
    (found.volume / "file").write_text("content")
    return found


def test_it_is_made_once_and_can_not_be_written(
    engine: DockerEngine, environment: Environment, docker: Docker, image_311: str
) -> None:
    assert volumes.ensure(engine, environment, {"com.example.team": "a"})
    assert not volumes.ensure(engine, environment, {"com.example.team": "b"})

    made = engine.volume(environment.name)
    assert made is not None
    assert made.labels == {"com.example.team": "a", LABEL_ROOT: str(environment.root)}
    mount = ("--volume", f"{environment.name}:/venv")
    assert docker("run", "--rm", *mount, image_311, "cat", "/venv/file") == "content"
    with pytest.raises(AssertionError, match="Read-only file system"):
        docker("run", "--rm", *mount, image_311, "touch", "/venv/file")


def test_one_of_that_name_is_not_taken_for_it(
    engine: DockerEngine, environment: Environment, docker: Docker
) -> None:
    docker("volume", "create", environment.name)

    with pytest.raises(VolumeConflictError) as caught:
        volumes.ensure(engine, environment, {})

    assert caught.value.message == (
        f"Volume {environment.name} exists and was not made by venvctl "
        "(driver local, options none)."
    )
