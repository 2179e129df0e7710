"""A compose project on the real engine: what venvctl reads of it is what compose makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from venvctl.compose import active_services, load, run
from venvctl.errors import ComposeError
from venvctl.policy import ChangeKind, ServicePolicy
from venvctl.project import ComposeOptions, images

if TYPE_CHECKING:
    from pathlib import Path

    from engine_fixtures import MakeProject, Unique
    from venvctl.engine.docker import DockerEngine

pytestmark = pytest.mark.engine

NOTHING = ComposeOptions()
SLEEPER = "entrypoint: [sleep, infinity]\n    stop_signal: SIGKILL"


def project_text(image: str) -> str:
    return f"""\
services:
  web:
    image: {image}
    {SLEEPER}
    volumes: [venv:/venv]
    environment: {{VENVCTL_PIN: 0}}
    labels: {{venvctl.on-change: "signal:HUP", venvctl.grace: 500ms}}
    depends_on: {{side: {{condition: service_started, restart: true}}}}
  side:
    image: {image}
    {SLEEPER}
    volumes_from: [job]
  job:
    build: {{context: ., network: none}}
    {SLEEPER}
    profiles: [jobs]
    volumes: [venv:/venv/]
volumes:
  venv:
    labels: {{venvctl.lock: req.lock}}
"""


@pytest.fixture
def shop(compose_project: MakeProject, image_311: str) -> Path:
    directory = compose_project(project_text(image_311))
    (directory / "Dockerfile").write_text(f"FROM {image_311}\nLABEL built=yes\n")
    return directory


def test_the_containers_are_as_the_project_said(engine: DockerEngine, shop: Path) -> None:
    project = load(NOTHING, shop)
    [environment] = project.environments
    options = ComposeOptions(profiles=("jobs",))
    run(options, ["up", "--detach"], shop, capture=True)
    containers = {one.service: one for one in engine.containers(project=project.name)}
    assert sorted(containers) == ["job", "side", "web"]
    assert {
        name: engine.image(image).id  # type: ignore[union-attr]  # a missing one fails the test
        for name, image in images(project).items()
    } == {name: container.image for name, container in containers.items()}
    for service in environment.services:
        container = containers[service.name]
        assert container.mounts == {environment.specification.name: (environment.mount, True)}
        assert ServicePolicy.of_container(container) == service.policy
        assert service.programs == ("sleep",)
        assert container.running
    assert containers["web"].environment["VENVCTL_PIN"] == "0"
    assert ServicePolicy.of_container(containers["web"]).on_change.kind is ChangeKind.SIGNAL
    run(options, ["down", "--timeout", "0"], shop, capture=True)
    assert engine.containers(project=project.name) == []


def test_only_active_services_are_started(engine: DockerEngine, shop: Path) -> None:
    (shop / "compose.yaml").write_text(
        (shop / "compose.yaml").read_text().replace("volumes_from: [job]", "volumes: [venv:/venv]")
    )
    project = load(NOTHING, shop)
    for options, names in (
        (NOTHING, ["side"]),
        (NOTHING, []),
        (ComposeOptions(profiles=("jobs",)), []),
    ):
        run(options, ["up", "--detach", *names], shop, capture=True)
        started = {one.service for one in engine.containers(project=project.name)}
        assert active_services(project, options, shop, names) == started
    assert started == {"job", "side", "web"}


def test_a_volume_made_beforehand_is_taken_over_by_compose(
    engine: DockerEngine, shop: Path, tmp_path: Path
) -> None:
    project = load(NOTHING, shop)
    [environment] = project.environments
    device = tmp_path / "volume"
    device.mkdir()
    (device / "file").write_text("content")
    labels = {
        **environment.labels,
        "com.docker.compose.project": project.name,
        "com.docker.compose.volume": environment.volume_key,
        "venvctl.root": "test",
    }
    options = {"type": "none", "o": "bind,ro", "device": str(device)}
    made = engine.create_volume(environment.specification.name, options=options, labels=labels)
    result = run(ComposeOptions(profiles=("jobs",)), ["up", "--detach"], shop, capture=True)
    assert "already exists" not in result.stderr
    assert engine.volume(environment.specification.name) == made
    [web] = [one for one in engine.containers(project=project.name) if one.service == "web"]
    read = engine.execute(web.id, ["cat", "/venv/file"])
    assert read.stdout == "content"
    written = engine.execute(web.id, ["touch", "/venv/new"])
    assert written.stderr == "touch: cannot touch '/venv/new': Read-only file system\n"
    # `venvctl.root` is no label of a service: the holders' own can be read all the same.
    assert ServicePolicy.of_container(web).grace == pytest.approx(0.5)


def test_what_compose_says_of_a_failure_is_in_the_error(unique: Unique, shop: Path) -> None:
    missing = unique("missing")
    text = f"services: {{web: {{image: '{missing}', pull_policy: never}}}}"
    (shop / "compose.yaml").write_text(text)
    with pytest.raises(ComposeError) as caught:
        run(NOTHING, ["up", "--detach"], shop, capture=True)
    assert caught.value.message.startswith("`docker compose up` ended with exit code 1: ")
    assert f"No such image: {missing}:latest" in caught.value.message
