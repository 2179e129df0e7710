"""What compose says of a project, turned into environments: all that can be wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from venvctl.configuration import Configuration
from venvctl.document import Document
from venvctl.errors import ConfigurationError, TargetError, VenvctlError
from venvctl.policy import ChangeKind, OnChange, ServicePolicy
from venvctl.project import ProjectEnvironment, Service

FILE = "/srv/shop/compose.yaml"
Fields = dict[str, object]


def mount(target: str = "/venv", source: str = "venv", **more: object) -> Fields:
    return {"type": "volume", "source": source, "target": target, **more}


def service(*mounts: Fields, **fields: object) -> Fields:
    return {"image": "python:3", "volumes": list(mounts), **fields}


def volume(**fields: object) -> Fields:
    return {"name": "shop_venv", "labels": {"venvctl.lock": "req.lock"}, **fields}


def parse(
    services: Fields, volumes: Fields | None = None, separator: str = "-"
) -> tuple[ProjectEnvironment, ...]:
    document = {
        "name": "shop",
        "services": services,
        "volumes": {"venv": volume()} if volumes is None else volumes,
    }
    return Configuration(
        document=Document.parse(document, FILE),
        directory=Path("/srv/shop"),
        files=(Path(FILE),),
        image_separator=separator,
    ).environments()


def failure(services: Fields, volumes: Fields | None = None) -> VenvctlError:
    with pytest.raises(VenvctlError) as caught:
        parse(services, volumes)
    return caught.value


def test_a_project_without_environments() -> None:
    volumes: Fields = {"data": {"name": "shop_data"}, "other": {"name": "o", "labels": {"a": "b"}}}
    assert parse({"web": service(mount(source="data"))}, volumes) == ()


def test_everything_that_is_read_of_a_service() -> None:
    web = service(
        mount("/venv/"),
        {"type": "bind", "source": "/srv/code", "target": "/code"},
        labels={"venvctl.on-change": "none", "traefik.enable": "true"},
        environment={
            "PATH": "/venv/bin",
            "PYTHONPATH": "/code",
            "VENVCTL_PIN": "0",
            "VIRTUAL_ENV": "/venv",
            "PASSWORD": "secret",
            "UNSET": None,
        },
        depends_on={"db": {"restart": True}, "cache": {"condition": "service_started"}},
        profiles=["jobs"],
        network_mode="service:db",
        user="1000",
        pull_policy="always",
    )
    [environment] = parse({"web": web, "db": {"image": "db"}})
    assert environment.volume_key == "venv"
    assert environment.labels == {"venvctl.lock": "req.lock"}
    assert environment.specification.name == "shop_venv"
    assert environment.specification.lock == Path("/srv/shop/req.lock")
    assert environment.mount == "/venv"
    assert environment.services == (
        Service(
            name="web",
            image="python:3",
            build=False,
            mount="/venv",
            policy=ServicePolicy(on_change=OnChange(kind=ChangeKind.NONE)),
            environment={
                "PATH": "/venv/bin",
                "PYTHONPATH": "/code",
                "VENVCTL_PIN": "0",
                "VIRTUAL_ENV": "/venv",
            },
            depends_on={"db": True, "cache": False},
            profiles=("jobs",),
            network_mode="service:db",
            user="1000",
            pull_policy="always",
        ),
    )


def test_two_services_on_one_volume_and_two_environments() -> None:
    services: Fields = {
        "web": service(mount()),
        "admin": service(mount(), mount("/tools", "tools")),
        "db": {"image": "db"},
    }
    found = parse(services, {"venv": volume(), "tools": volume(name="shop_tools")})
    assert {
        environment.volume_key: [one.name for one in environment.services] for environment in found
    } == {"tools": ["admin"], "venv": ["admin", "web"]}


@pytest.mark.parametrize(
    ("fields", "separator", "image"),
    [
        ({"build": {}}, "-", "shop-web"),
        ({"build": {}}, "_", "shop_web"),
        ({"build": {}, "image": "mine:1"}, "-", "mine:1"),
    ],
)
def test_the_image_that_compose_builds(fields: Fields, separator: str, image: str) -> None:
    [environment] = parse({"web": {"volumes": [mount()], **fields}}, separator=separator)
    [web] = environment.services
    assert web.build
    assert web.image == image


def test_volumes_from_another_service() -> None:
    services: Fields = {
        "web": service(mount()),
        "copy": service(volumes_from=["web:ro", "container:elsewhere"]),
        "again": service(volumes_from=["copy", "again"]),
    }
    [environment] = parse(services)
    assert {one.name: one.mount for one in environment.services} == dict.fromkeys(
        ("web", "copy", "again"), "/venv"
    )


def test_an_ignored_service_may_mount_it_elsewhere() -> None:
    ignored = service(mount("/static"), labels={"venvctl.ignore": "true"})
    [environment] = parse({"aaa": ignored, "web": service(mount())})
    assert environment.mount == "/venv"
    assert [one.name for one in environment.probed_services] == ["web"]
    assert [one.name for one in environment.services] == ["aaa", "web"]


def test_services_that_disagree_on_the_path() -> None:
    error = failure({"web": service(mount()), "worker": service(mount("/opt/venv"))})
    assert isinstance(error, TargetError)
    assert error.message == (
        "The services of the environment shop_venv mount it at different paths:"
        " web at /venv, worker at /opt/venv."
    )
    assert error.hint == (
        "Mount it at one path everywhere; a service that only needs its files can have the label"
        ' venvctl.ignore: "true".'
    )


def test_a_service_that_mounts_it_twice() -> None:
    error = failure({"web": service(mount(), mount("/other"))})
    assert isinstance(error, ConfigurationError)
    assert error.message == (
        f"The service web in {FILE} mounts the volume venv more than once: at /other, /venv."
    )
    assert error.hint == "Keep one of them: an environment has one path in its container."


def test_a_service_that_mounts_a_part_of_it() -> None:
    error = failure({"web": service(mount(volume={"subpath": "lib"}))})
    assert error.message == (
        f"The service web in {FILE} mounts the volume venv with the subpath 'lib', but an"
        " environment is mounted as a whole."
    )
    assert error.hint == "Remove `subpath` from the mount."


def test_an_environment_of_ignored_services_alone() -> None:
    error = failure({"static": service(mount(), labels={"venvctl.ignore": "true"})})
    assert error.message == (
        f"There is no interpreter for the volume venv in {FILE}:"
        " only services with venvctl.ignore mount it (static)."
    )
    assert error.hint == "Add `venv:/venv` to the volumes of the service that runs Python."


@pytest.mark.parametrize(
    ("fields", "said", "hint"),
    [
        ({"driver": "nfs"}, "driver nfs", "Remove driver from the volume."),
        (
            {"driver": "local", "driver_opts": {"o": "bind"}},
            "driver_opts",
            "Remove driver_opts from the volume.",
        ),
    ],
)
def test_a_volume_that_compose_would_make_in_its_own_way(
    fields: Fields, said: str, hint: str
) -> None:
    error = failure({"web": service(mount())}, {"venv": volume(**fields)})
    assert error.message == (
        f"The volume venv in {FILE} has {said} beside venvctl.lock, but venvctl makes the volume"
        " itself."
    )
    assert error.hint == hint


def test_the_local_driver_alone_is_fine() -> None:
    assert len(parse({"web": service(mount())}, {"venv": volume(driver="local")})) == 1


def test_labels_without_a_lock() -> None:
    labels = {"venvctl.keep": "3", "venvctl.builds": "deny"}
    error = failure({"web": service(mount())}, {"venv": volume(labels=labels)})
    assert error.message == (
        f"The label venvctl.builds on the volume venv in {FILE} says nothing without venvctl.lock."
    )
    assert error.hint == (
        "Add venvctl.lock with the lockfile's path, or remove the other venvctl. labels."
    )


def test_two_volumes_of_one_name() -> None:
    services: Fields = {"web": service(mount(), mount("/b", "b"))}
    error = failure(services, {"venv": volume(name="same"), "b": volume(name="same")})
    assert error.message == f"The volumes b and venv in {FILE} have the same name same."
    assert error.hint == "Let services share one volume, or give the two other names."


@pytest.mark.parametrize("mounts", [[], [mount()]])
def test_a_wrong_label_on_any_service(mounts: list[Fields]) -> None:
    services: Fields = {
        "web": service(mount()),
        "db": service(*mounts, labels={"venvctl.onchange": "none"}),
    }
    error = failure(services)
    assert error.message == f"The label venvctl.onchange on the service db in {FILE} is unknown."
    assert error.hint == "The nearest known one is venvctl.on-change."
