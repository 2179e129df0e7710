"""What is remembered of an owner is enough to sync without it, and two owners never share."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from restamp import change
from venvctl.errors import ConfigurationError, UsageError
from venvctl.project import ComposeProject
from venvctl.registration import Registration, Registry
from venvctl.specification import EnvironmentSpecification

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "root")


def registration(tmp_path: Path, name: str = "shop", *, project: str = "store") -> Registration:
    return Registration(
        specification=EnvironmentSpecification.from_labels(
            name,
            {
                "venvctl.lock": "requirements.lock",
                "venvctl.extras": "fast,small",
                "venvctl.keep": "5",
                "venvctl.keep-snapshots": "30d",
            },
            directory=tmp_path,
            place="the volume",
        ),
        mount="/venv",
        images={"web": "shop-web", "worker": "shop-worker"},
        labels={"com.docker.compose.project": project, "com.example.team": "a"},
        project=project,
        directory=tmp_path,
    )


def path(tmp_path: Path, name: str = "shop") -> Path:
    return tmp_path / "root" / "environments" / name / "environment.json"


def test_what_is_claimed_is_found(registry: Registry, tmp_path: Path) -> None:
    for name in ("till", "shop"):
        registry.claim(registration(tmp_path, name))

    assert registry.names() == ["shop", "till"]
    assert registry.find("shop") == registration(tmp_path)
    assert registry.load("till") == registration(tmp_path, "till")
    assert registry.find("other") is None


def test_a_claim_is_brought_up_to_date(registry: Registry, tmp_path: Path) -> None:
    registry.claim(registration(tmp_path))
    changed = dataclasses.replace(registration(tmp_path), mount="/opt/venv")

    registry.claim(changed)

    assert registry.find("shop") == changed


def test_the_same_claim_again_writes_nothing(registry: Registry, tmp_path: Path) -> None:
    registry.claim(registration(tmp_path))
    before = path(tmp_path).stat()

    registry.claim(registration(tmp_path))

    assert path(tmp_path).stat() == before


@pytest.mark.parametrize(
    ("owner", "claimant", "words"),
    [("store", "other", "project store"), ("", "store", "`venvctl env add`")],
)
def test_a_second_owner_is_an_error_that_names_the_first(
    registry: Registry, tmp_path: Path, owner: str, claimant: str, words: str
) -> None:
    registry.claim(registration(tmp_path, project=owner))

    with pytest.raises(ConfigurationError) as caught:
        registry.claim(registration(tmp_path, project=claimant))

    assert caught.value.message == f"Environment shop already belongs to {words} ({tmp_path})."
    assert caught.value.hint == (
        "Share it as an external volume, or choose another volume name; "
        "`venvctl env rm shop` ends the old claim."
    )
    assert registry.load("shop").project == owner


def test_an_unknown_name_is_an_error_that_names_the_known(
    registry: Registry, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        registry.load("shop")
    assert caught.value.message == (
        f"There is no environment 'shop' in {tmp_path}/root; known: none."
    )
    for name in ("till", "bar"):
        registry.claim(registration(tmp_path, name))
    with pytest.raises(UsageError) as caught:
        registry.load("shop")
    assert caught.value.message == (
        f"There is no environment 'shop' in {tmp_path}/root; known: bar, till."
    )


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "../shop", "a/b", "/etc"])
def test_no_text_becomes_a_path_unchecked(registry: Registry, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        registry.find(name)

    assert caught.value.message == f"{name!r} is not an environment's name."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "{path} can't be read: Expecting value: line 1 column 1 (char 0)."),
        ("[]", "{path} is not a JSON object."),
        ("{}", "name is missing in {path}."),
    ],
)
def test_one_that_can_t_be_read_is_an_error_and_not_none(
    registry: Registry, tmp_path: Path, text: str, message: str
) -> None:
    registry.claim(registration(tmp_path))
    path(tmp_path).write_text(text)

    with pytest.raises(ConfigurationError) as caught:
        registry.find("shop")

    assert caught.value.message == message.format(path=path(tmp_path))


def test_a_field_of_another_type_names_its_place(registry: Registry, tmp_path: Path) -> None:
    registry.claim(registration(tmp_path))
    change(path(tmp_path), "mount", 7)

    with pytest.raises(ConfigurationError) as caught:
        registry.find("shop")

    assert caught.value.message == f"mount in {path(tmp_path)} is not a text."


def project(tmp_path: Path, name: str) -> ComposeProject:
    return ComposeProject(
        name=name,
        directory=tmp_path,
        files=(tmp_path / "compose.yaml",),
        profiles=("debug",),
        env_files=(tmp_path / ".env",),
        environments=(),
    )


def test_followed_projects_are_told_by_name(registry: Registry, tmp_path: Path) -> None:
    for name in ("till", "shop"):
        registry.follow(project(tmp_path, name))

    assert registry.projects() == [project(tmp_path, "shop"), project(tmp_path, "till")]
    assert registry.unfollow("shop")
    assert not registry.unfollow("shop")
    assert registry.projects() == [project(tmp_path, "till")]


def test_following_what_is_followed_writes_nothing(registry: Registry, tmp_path: Path) -> None:
    registry.follow(project(tmp_path, "shop"))
    file = tmp_path / "root/projects/shop.json"
    before = file.stat()

    registry.follow(project(tmp_path, "shop"))

    assert file.stat() == before


def test_a_project_that_can_t_be_read_is_named(registry: Registry, tmp_path: Path) -> None:
    registry.follow(project(tmp_path, "shop"))
    file = tmp_path / "root/projects/shop.json"
    file.write_text("")

    with pytest.raises(ConfigurationError) as caught:
        registry.projects()

    assert caught.value.message == (
        f"{file} can't be read: Expecting value: line 1 column 1 (char 0)."
    )
