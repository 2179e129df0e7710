"""Which environments a command line means, in a compose project and outside of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from standing import NAME, Standing
from venvctl.cli.naming import find_project, resolve, resolve_all
from venvctl.errors import ConfigurationError, NoProjectError, UsageError
from venvctl.project import ComposeOptions

if TYPE_CHECKING:
    from pathlib import Path

HERE = ComposeOptions()
PROJECT = """\
name: shop
services:
  web:
    image: none
    volumes: [venv:/venv]
volumes:
  venv:
    labels: {venvctl.lock: requirements.lock}
"""


@pytest.fixture
def standing(tmp_path: Path) -> Standing:
    return Standing(tmp_path)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "compose.yaml").write_text(PROJECT)
    return directory


def test_a_registered_name_needs_no_project(standing: Standing, project: Path) -> None:
    (project / "compose.yaml").write_text("not a compose file")

    assert resolve(NAME, standing.root.registry.names(), HERE, project) == NAME


def test_in_a_project_its_keys_and_names_are_known(standing: Standing, project: Path) -> None:
    assert resolve("venv", standing.root.registry.names(), HERE, project) == "shop_venv"
    assert resolve_all(["shop_venv", "venv"], standing.root.registry.names(), HERE, project) == [
        "shop_venv"
    ]


def test_an_unknown_name_is_told_with_those_that_are_known(
    standing: Standing, project: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        resolve("vnev", standing.root.registry.names(), HERE, project)

    assert caught.value.message == (
        "There is no environment 'vnev'; known: shop_venv, venv (of the project shop)."
    )


def test_outside_of_a_project_there_is_none_and_compose_is_not_even_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    assert find_project(HERE, tmp_path) is None


def test_a_project_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(NoProjectError):
        find_project(ComposeOptions(project_name="shop"), tmp_path)


def test_a_project_that_can_not_be_read_is_an_error(project: Path) -> None:
    (project / "compose.yaml").write_text(PROJECT.replace("venvctl.lock", "venvctl.lcok"))

    with pytest.raises(ConfigurationError, match=r"The label venvctl\.lcok on the volume venv"):
        find_project(HERE, project)
