"""Compose's own rules for files and directory, checked against compose itself."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from venvctl.compose import find_compose
from venvctl.errors import ConfigurationError
from venvctl.location import Location, locate
from venvctl.project import ComposeOptions

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two folders with projects, one with a folder below it."""
    for name in ("a", "a/sub", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sub.env").touch()
    return tmp_path


def write(file: Path) -> Path:
    """A compose file that tells its own name and, by a relative path, the project directory."""
    service = {
        "image": "none",
        "labels": {f"from.{file.name}": "yes"},
        "volumes": ["./relative:/mounted"],
    }
    file.write_text(json.dumps({"services": {"web": service}}))
    return file


def asked(options: ComposeOptions, cwd: Path) -> tuple[Path, set[str]]:
    """Compose's own idea of the project directory and the names of the files."""
    done = subprocess.run(
        [*find_compose(), *options.arguments(), "config", "--format", "json"],
        cwd=cwd,
        capture_output=True,
        check=True,
    )
    web = json.loads(done.stdout)["services"]["web"]
    names = {label.removeprefix("from.") for label in web["labels"]}
    return type(cwd)(web["volumes"][0]["source"]).parent, names


def check(options: ComposeOptions, cwd: Path, *files: Path, directory: Path) -> None:
    found = locate(options, cwd, find_compose())
    assert found == Location(files=files, directory=directory)
    assert asked(options, cwd) == (directory, {file.name for file in files})


@pytest.mark.parametrize(
    "name", ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"]
)
def test_the_usual_names(tree: Path, name: str) -> None:
    check(ComposeOptions(), tree / "a", write(tree / "a" / name), directory=tree / "a")


@pytest.mark.parametrize(
    "names",
    [
        ("compose.yaml", "compose.yml"),
        ("compose.yml", "docker-compose.yml"),
        ("docker-compose.yml", "docker-compose.yaml"),
    ],
)
def test_their_order(tree: Path, names: tuple[str, str]) -> None:
    first, _ = (write(tree / "a" / name) for name in names)
    check(ComposeOptions(), tree / "a", first, directory=tree / "a")


@pytest.mark.parametrize(
    "name",
    [
        "compose.override.yml",
        "compose.override.yaml",
        "docker-compose.override.yml",
        "docker-compose.override.yaml",
    ],
)
def test_an_override_beside_it(tree: Path, name: str) -> None:
    files = (write(tree / "a" / "compose.yaml"), write(tree / "a" / name))
    check(ComposeOptions(), tree / "a", *files, directory=tree / "a")


def test_the_parents_are_searched(tree: Path) -> None:
    write(tree / "a" / "sub" / "compose.override.yaml")
    check(
        ComposeOptions(), tree / "a" / "sub", write(tree / "a/compose.yaml"), directory=tree / "a"
    )


def test_named_files(tree: Path) -> None:
    files = (write(tree / "b" / "one.yaml"), write(tree / "a" / "two.yaml"))
    write(tree / "a" / "compose.yaml")
    options = ComposeOptions(files=("../b/one.yaml", str(files[1])))
    check(options, tree / "a", *files, directory=tree / "b")


def test_a_named_directory(tree: Path) -> None:
    file = write(tree / "b" / "one.yaml")
    options = ComposeOptions(files=("../b/one.yaml",), project_directory="sub")
    check(options, tree / "a", file, directory=tree / "a" / "sub")


def test_a_named_directory_is_where_the_search_starts(tree: Path) -> None:
    file = write(tree / "a" / "compose.yaml")
    check(ComposeOptions(project_directory="../a"), tree / "b", file, directory=tree / "a")


def test_files_from_the_environment(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = (write(tree / "b" / "one.yaml"), write(tree / "a" / "two.yaml"))
    write(tree / "a" / "compose.yaml")
    monkeypatch.setenv("COMPOSE_FILE", f"../b/one.yaml:{files[1]}")
    check(ComposeOptions(), tree / "a", *files, directory=tree / "b")
    monkeypatch.setenv("COMPOSE_PATH_SEPARATOR", ";")
    monkeypatch.setenv("COMPOSE_FILE", f"../b/one.yaml;{files[1]}")
    check(ComposeOptions(), tree / "a", *files, directory=tree / "b")


def test_named_files_come_before_the_environment(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tree / "b" / "one.yaml")
    monkeypatch.setenv("COMPOSE_FILE", "../b/one.yaml")
    file = write(tree / "a" / "two.yaml")
    check(ComposeOptions(files=("two.yaml",)), tree / "a", file, directory=tree / "a")


@pytest.mark.parametrize(
    "text",
    [
        "COMPOSE_FILE=../b/one.yaml:two.yaml\n",
        "export COMPOSE_FILE='../b/one.yaml:two.yaml' # quoted\n",
        "WHERE=../b\nCOMPOSE_PATH_SEPARATOR=,\nCOMPOSE_FILE=${WHERE}/one.yaml,two.yaml\n",
    ],
)
def test_files_from_the_env_file(tree: Path, text: str) -> None:
    files = (write(tree / "b" / "one.yaml"), write(tree / "a" / "two.yaml"))
    write(tree / "a" / "compose.yaml")
    (tree / "a" / ".env").write_text(text)
    check(ComposeOptions(), tree / "a", *files, directory=tree / "b")


def test_an_env_file_that_only_mentions_it(tree: Path) -> None:
    (tree / "a" / ".env").write_text("# COMPOSE_FILE=../b/one.yaml\n")
    check(ComposeOptions(), tree / "a", write(tree / "a/compose.yaml"), directory=tree / "a")


def test_files_from_an_env_file_beside_the_file_that_was_found(tree: Path) -> None:
    file = write(tree / "b" / "one.yaml")
    write(tree / "a" / "compose.yaml")
    (tree / "a" / ".env").write_text("COMPOSE_FILE=../../b/one.yaml\n")
    check(ComposeOptions(), tree / "a" / "sub", file, directory=tree / "b")


def test_files_from_a_named_env_file(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tree / "b" / "one.yaml")
    write(tree / "a" / "compose.yaml")
    (tree / "a" / ".env").write_text("COMPOSE_FILE=none.yaml\n")
    (tree / "b" / "named.env").write_text("COMPOSE_FILE=../b/one.yaml\n")
    options = ComposeOptions(env_files=("../b/named.env",))
    check(options, tree / "a", file, directory=tree / "b")
    monkeypatch.setenv("COMPOSE_ENV_FILES", "sub.env,../b/named.env")
    check(ComposeOptions(), tree / "a", file, directory=tree / "b")


def test_no_file(tree: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        locate(ComposeOptions(), tree / "a" / "sub", find_compose())
    assert caught.value.message == f"There is no compose file in {tree}/a/sub or above it."
    assert caught.value.hint == "Go to the project's directory, or name the file with -f."


@pytest.mark.parametrize(
    ("name", "what"),
    [("-", "standard input"), ("oci://host.invalid/shop", "oci://host.invalid/shop")],
)
def test_a_file_that_is_not_on_this_host(tree: Path, name: str, what: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        locate(ComposeOptions(files=(name,)), tree, find_compose())
    assert caught.value.message == (
        f"The compose file can't be {what}: venvctl reads it again whenever it changes."
    )
    assert caught.value.hint == "Save it as a file on this host."
