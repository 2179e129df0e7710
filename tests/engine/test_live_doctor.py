"""What `venvctl doctor` finds with the real engine, and that it leaves everything as it was."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from second_engine import SecondEngine
from venvctl.checks.finding import Finding, Status, ok, problem, warning
from venvctl.cli.naming import find_project
from venvctl.doctor import Doctor
from venvctl.project import ComposeOptions
from venvctl.root import Root

if TYPE_CHECKING:
    from engine_fixtures import Docker, MakeProject, Unique
    from world import World

pytestmark = pytest.mark.engine

PROJECT = """
services:
  web:
    image: {image}
    command: sleep infinity
    init: true
    volumes: ["venv:{mount}"]
volumes:
  venv:
    labels:
      venvctl.lock: requirements.lock
"""


def examine(root: Root, directory: Path) -> list[Finding]:
    def load() -> object:
        return find_project(ComposeOptions(), directory)

    doctor = Doctor(root.path, cwd=directory, load=load, offline=True)  # type: ignore[arg-type] # as above
    return list(doctor.examine())


def named(findings: list[Finding], name: str) -> list[Finding]:
    return [finding for finding in findings if finding.name == name]


def test_a_synced_environment_is_well(world: World, unique: Unique) -> None:
    alpha = world.wheel("alpha", "1.0")
    world.write_lock(alpha)
    world.sync()
    world.root.registry.claim(world.registration)
    world.start(unique("web"))

    findings = examine(world.root, world.folder)

    assert [each for each in findings if each.status is Status.PROBLEM] == []
    assert named(findings, "volume") == [ok("volume", f"Volume {world.name} is venvctl's.")]
    assert named(findings, "interpreter") == [
        ok("interpreter", f"All that use environment {world.name} have Python 3.11.2.")
    ]
    assert ok("engine host", f"The engine sees the root {world.root.path}.") in findings
    [engine] = named(findings, "engine")
    assert engine == ok("engine", f"Docker Engine {world.root.engine.version()} answers.")


def test_a_container_of_another_interpreter_is_a_problem(
    world: World, unique: Unique, docker: Docker, image_313: str
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    world.root.registry.claim(world.registration)
    name = unique("web")
    docker("run", "--detach", "--name", name, "--volume", f"{world.name}:/venv", image_313,
           "sleep", "60")  # fmt: skip

    [finding] = named(examine(world.root, world.folder), "interpreter")

    assert finding.status is Status.PROBLEM
    assert finding.found.startswith(
        f"The interpreters on environment {world.name} differ "
        f"(image {world.image} and container {name}: version 3.11.2 and 3.13."
    )


def test_a_lost_directory_and_a_lost_volume_name_what_mends_them(
    world: World, docker: Docker
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    world.root.registry.claim(world.registration)
    docker("volume", "rm", world.name)

    [finding] = named(examine(world.root, world.folder), "volume")
    assert finding == warning(
        "volume",
        f"Volume {world.name} is gone, and its environment is not.",
        f"`venvctl up`, or `venvctl sync {world.name}`, makes it again from what is there.",
    )
    world.sync()
    volume = world.environment.volume
    volume.rename(volume.with_name("elsewhere"))
    [finding] = named(examine(world.root, world.folder), "volume")
    assert finding == problem(
        "volume",
        f"The directory {volume} was removed or replaced: running containers do not see what is in "
        "it now.",
        f"`venvctl restore {world.name}`.",
    )


def test_a_volume_that_compose_made_first_is_a_problem(
    compose_project: MakeProject, tmp_path: Path, image_311: str, docker: Docker
) -> None:
    directory = compose_project(PROJECT.format(image=image_311, mount="/venv"))
    (directory / "requirements.lock").write_text("")
    name = f"{directory.name}_venv"
    docker("volume", "create", "--label", f"com.docker.compose.project={directory.name}",
           "--label", "com.docker.compose.volume=venv", name)  # fmt: skip
    root = Root(tmp_path / "root")

    findings = examine(root, directory)

    assert named(findings, "volume") == [
        problem(
            "volume",
            f"Volume {name} was made by compose (project {directory.name}) before venvctl: it is "
            "an ordinary volume, and containers hold it.",
            f"Nothing in it is needed: `docker compose -p {directory.name} down` and "
            f"`docker volume rm {name}`, then `venvctl up`.",
        )
    ]
    assert [each.name for each in named(findings, "search path")] == ["search path"]
    assert named(findings, "hidden files") == [
        ok("hidden files", "The image of service web has nothing there.")
    ]
    assert not root.path.exists(), "a probe for the doctor is kept nowhere"
    assert docker("ps", "--all", "--quiet", "--filter", f"label=venvctl.root={root.path}") == ""


def test_an_image_with_a_venv_of_its_own_is_told(
    compose_project: MakeProject, tmp_path: Path, unique: Unique, image_311: str, docker: Docker
) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(
        f"FROM {image_311}\nRUN mkdir /opt/venv && touch /opt/venv/pyvenv.cfg\n"
        "ENV PATH=/opt/venv/bin:/usr/bin:/bin\n"
    )
    image = f"{unique('image')}:1"
    docker("build", "--quiet", "--tag", image, str(context))
    directory = compose_project(PROJECT.format(image=image, mount="/opt/venv"))
    (directory / "requirements.lock").write_text("")

    findings = examine(Root(tmp_path / "root"), directory)

    assert named(findings, "hidden files") == [
        warning(
            "hidden files",
            f"The image {image} of service web has a virtual environment of its own at /opt/venv, "
            "which the volume hides.",
            "Leave it out of the image, which gets smaller, or mount the volume elsewhere.",
        )
    ]
    assert named(findings, "search path") == [
        ok("search path", "Service web has /opt/venv/bin first in its PATH.")
    ]


def test_an_image_that_is_not_here_is_a_warning(
    compose_project: MakeProject, tmp_path: Path
) -> None:
    directory = compose_project(PROJECT.format(image="venvctl-test/none:1", mount="/venv"))
    (directory / "requirements.lock").write_text("")

    findings = examine(Root(tmp_path / "root"), directory)

    assert named(findings, "interpreter") == [
        warning(
            "interpreter",
            f"The image venvctl-test/none:1 of environment {directory.name}_venv is not here.",
            "`venvctl up` builds or pulls it.",
        )
    ]


@pytest.mark.parametrize("there", [False, True])
def test_an_engine_that_has_no_root_or_another_one_there_is_a_problem(
    world: World, monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    """As an engine in a machine of its own, whatever it says of itself."""
    world.write_lock(world.wheel("alpha", "1.0"))
    world.root.create()
    world.root.registry.claim(world.registration)
    place = world.root.path.parent
    with tempfile.TemporaryDirectory(prefix="vt-seen-") as name:
        elsewhere = Path(name) / "elsewhere"
        elsewhere.mkdir()
        seen = world.root.path if there else place / "another"
        engine = SecondEngine(Path(name) / "engine", sees={str(seen): elsewhere})
        try:
            engine.start()
            engine.copy_image(world.image)
            with monkeypatch.context() as patch:
                patch.setenv("DOCKER_HOST", engine.host)
                found = named(examine(Root(world.root.path), world.folder), "engine host")
        finally:
            engine.close()

    what = (
        f"The engine sees another directory at {world.root.path} than this host has there."
        if there
        else f"The engine can't mount the root {world.root.path}: The Docker Engine refused to "
        'create a container for doctor: invalid mount config for type "bind": bind source path '
        f"does not exist: {world.root.path}."
    )
    assert found[-1] == problem(
        "engine host",
        what,
        "Use the engine that runs on this host itself (`docker context ls`), or give the engine's "
        f"machine {world.root.path} at the same path.",
    )
