"""A compose project's parts: the options that mean it, and its JSON form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from venvctl.errors import ConfigurationError
from venvctl.policy import ChangeKind, OnChange, ServicePolicy
from venvctl.project import ComposeOptions, ComposeProject, ProjectEnvironment, Service, images
from venvctl.specification import EnvironmentSpecification, SnapshotRetention

SERVICE = Service(
    name="web",
    image="python:3",
    build=True,
    mount="/venv",
    policy=ServicePolicy(
        on_change=OnChange(kind=ChangeKind.SIGNAL, argument="SIGHUP"),
        health_timeout=0.25,
        grace=1.5,
        parallel=2,
    ),
    environment={"VENVCTL_PIN": "0"},
    depends_on={"db": True, "cache": False},
    profiles=("jobs",),
    network_mode="service:db",
    user="1000",
    pull_policy="always",
    programs=("tini", "/venv/bin/gunicorn"),
)
IGNORED = Service(
    name="static",
    image="nginx",
    mount="/srv",
    policy=ServicePolicy(ignore=True),
    environment={},
    depends_on={},
)
PROJECT = ComposeProject(
    name="shop",
    directory=Path("/srv/shop"),
    files=(Path("/srv/shop/compose.yaml"), Path("/srv/more.yaml")),
    profiles=("jobs",),
    env_files=(Path("/srv/shop/some.env"),),
    environments=(
        ProjectEnvironment(
            specification=EnvironmentSpecification(
                name="shop_venv",
                lock=Path("/srv/shop/uv.lock"),
                extras=("a", "b"),
                keep=0,
                keep_snapshots=SnapshotRetention(count=2),
                build_network=True,
            ),
            volume_key="venv",
            services=(IGNORED, SERVICE),
            labels={"venvctl.lock": "uv.lock", "other": "x"},
        ),
    ),
)


def test_the_options_as_compose_takes_them() -> None:
    assert ComposeOptions().arguments() == []
    assert PROJECT.options.arguments() == [
        *("--file", "/srv/shop/compose.yaml", "--file", "/srv/more.yaml"),
        *("--profile", "jobs"),
        *("--env-file", "/srv/shop/some.env"),
        *("--project-name", "shop"),
        *("--project-directory", "/srv/shop"),
    ]


def test_the_json_form_is_read_back() -> None:
    text = json.dumps(PROJECT.to_dict())
    assert ComposeProject.from_dict(json.loads(text), source="projects/shop.json") == PROJECT


def test_an_ignored_service_counts_for_neither_mount_nor_probe() -> None:
    [environment] = PROJECT.environments
    assert environment.probed_services == (SERVICE,)
    assert environment.mount == "/venv"


def test_the_images() -> None:
    assert images(PROJECT) == {"web": "python:3", "static": "nginx"}
    assert images(PROJECT, ["static", "db"]) == {"static": "nginx"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("shop", "projects/shop.json is not a JSON object."),
        ({"name": "shop"}, "directory is missing in projects/shop.json."),
        (
            {**PROJECT.to_dict(), "environments": [{"specification": {"name": 1}}]},
            "name in projects/shop.json is not a text.",
        ),
        (
            {**PROJECT.to_dict(), "files": [1]},
            "files in projects/shop.json is not a list of texts.",
        ),
    ],
)
def test_json_that_is_wrong(value: object, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ComposeProject.from_dict(value, source="projects/shop.json")
    assert caught.value.message == message
