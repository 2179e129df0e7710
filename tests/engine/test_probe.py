"""An image is asked once what its interpreter is, and one that can't be used says why."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from packaging.tags import Tag

from restamp import replaced
from venvctl.errors import TargetError
from venvctl.probe import Probe, record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine_fixtures import Docker, Unique
    from venvctl.engine.docker import DockerEngine
    from venvctl.target import Target

pytestmark = pytest.mark.engine

_FACTS = """
import json, platform, sys
print(json.dumps([platform.python_version(), sys.implementation.cache_tag, sys.executable]))
"""


@pytest.fixture
def probe(tmp_path: Path, engine: DockerEngine) -> Probe:
    return Probe(tmp_path / "root", engine)


@pytest.fixture
def build(
    tmp_path: Path, unique: Unique, docker: Docker, engine: DockerEngine
) -> Callable[[str], str]:
    """Builds an image from a Dockerfile without a network; its ID."""

    def make(dockerfile: str) -> str:
        (tmp_path / "Dockerfile").write_text(dockerfile)
        name = unique("image")
        docker("build", "--quiet", "--network", "none", "--tag", name, str(tmp_path))
        image = engine.image(name)
        assert image is not None
        return image.id

    return make


def ask(probe: Probe, engine: DockerEngine, image: str, python: str = "") -> Target:
    found = engine.image(image)
    assert found is not None
    return probe.ask(found.id, python, name=image)


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_it_finds_what_the_interpreter_says_of_itself(
    probe: Probe, engine: DockerEngine, docker: Docker, version: str
) -> None:
    image = f"venvctl-test/python:{version}"
    full, cache_tag, _ = json.loads(docker("run", "--rm", image, "python3", "-c", _FACTS))

    target = ask(probe, engine, image)

    digits = version.replace(".", "")
    assert (target.version, target.cache_tag) == (full, cache_tag)
    assert target.interpreter == f"/usr/bin/python{version}"
    assert target.library == f"python{version}"
    assert target.python_version == version
    assert target.markers["python_full_version"] == full
    assert target.markers["sys_platform"] == "linux"
    assert "platform_release" not in target.markers
    machine = target.markers["platform_machine"]
    assert Tag(f"cp{digits}", f"cp{digits}", f"manylinux_2_17_{machine}") in target.wheel_tags()
    assert target.wheel_tags()[-1] == Tag("py30", "none", "any")


def test_two_interpreters_have_two_fingerprints_and_one_has_one(
    probe: Probe, engine: DockerEngine, image_311: str, image_313: str, build: Callable[[str], str]
) -> None:
    rebuilt = build(f"FROM {image_311}\nENV COMMIT=2\nUSER 1234\n")

    one = ask(probe, engine, image_311)

    assert ask(probe, engine, rebuilt).fingerprint == one.fingerprint
    assert ask(probe, engine, image_313).fingerprint != one.fingerprint


def test_it_is_asked_once_for_each_image(
    probe: Probe, engine: DockerEngine, image_311: str, tmp_path: Path
) -> None:
    image = engine.image(image_311)
    assert image is not None
    assert probe.remembered(image.id, "") is None
    first = probe.ask(image.id, "", name=image_311)
    path = record(tmp_path / "root", image.id, "")
    path.write_bytes(replaced(path.read_bytes(), first.version.encode(), b"3.11.99"))

    assert probe.ask(image.id, "", name=image_311).version == "3.11.99"
    assert probe.remembered(image.id, "/usr/bin/python3.11") is None
    path.write_text("{")
    assert probe.ask(image.id, "", name=image_311) == first
    assert list((tmp_path / "root" / "tmp").iterdir()) == []


def test_the_label_names_another_interpreter_of_the_image(
    probe: Probe, engine: DockerEngine, image_311: str
) -> None:
    assert ask(probe, engine, image_311, "/usr/bin/python3.11") == ask(probe, engine, image_311)


def test_an_image_of_a_virtual_environment_gives_the_interpreter_behind_it(
    probe: Probe, engine: DockerEngine, image_311: str, build: Callable[[str], str]
) -> None:
    image = build(
        f"FROM {image_311}\n"
        "RUN mkdir -p /app/bin && ln -s /usr/bin/python3.11 /app/bin/python3 "
        "&& echo 'home = /usr/bin' > /app/pyvenv.cfg\n"
        "ENV PATH=/app/bin:/usr/bin:/bin\n"
    )
    assert ask(probe, engine, image).interpreter == "/usr/bin/python3.11"


def test_what_the_image_s_own_modules_do_or_print_does_not_matter(
    probe: Probe, engine: DockerEngine, image_311: str, build: Callable[[str], str]
) -> None:
    image = build(
        f"FROM {image_311}\n"
        "RUN mkdir -p /usr/lib/python3/dist-packages && cd /usr/lib/python3/dist-packages "
        "&& echo 'print(\"hello\")' > sitecustomize.py && mkdir packaging "
        "&& echo 'raise SystemExit(9)' > packaging/__init__.py\n"
        'ENTRYPOINT ["false"]\n'
        "ENV PYTHONPATH=/nowhere PYTHONHOME=/nowhere\n"
    )
    assert ask(probe, engine, image) == ask(probe, engine, image_311)


def test_an_image_without_python_says_so_and_what_to_do(
    probe: Probe, engine: DockerEngine, unique: Unique, tmp_path: Path
) -> None:
    archive = tmp_path / "empty.tar"
    subprocess.run(["tar", "cf", archive, "--files-from", "/dev/null"], check=True)
    name = unique("empty")
    subprocess.run(["docker", "import", archive, name], check=True, capture_output=True)

    with pytest.raises(TargetError) as caught:
        ask(probe, engine, name)

    assert caught.value.message == f"Image {name} has no interpreter python3 or python."
    assert "`venvctl.python`" in caught.value.hint
    with pytest.raises(TargetError) as caught:
        ask(probe, engine, name, "/opt/python/bin/python")
    assert caught.value.message == f"Image {name} has no interpreter /opt/python/bin/python."


def test_python_is_taken_where_there_is_no_python3(
    probe: Probe, engine: DockerEngine, image_311: str, build: Callable[[str], str]
) -> None:
    image = build(
        f"FROM {image_311}\nRUN mkdir /only && ln -s /usr/bin/python3.11 /only/python\n"
        "ENV PATH=/only\n"
    )
    assert ask(probe, engine, image).version.startswith("3.11.")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "echo 'cannot open shared object' >&2; exit 3",
            "can't be used: it ended with exit code 3 and said: cannot open shared object.",
        ),
        ("exit 0", "can't be used: it ended with exit code 0."),
        (
            "echo 'venvctl-probe:{}'",
            "described itself in a way that can't be read: 'interpreter'.",
        ),
        (
            "echo 'venvctl-probe:['",
            "described itself in a way that can't be read: "  # noqa: ISC004 - one text
            "Expecting value: line 1 column 2 (char 1).",
        ),
    ],
)
def test_one_that_can_not_be_used_says_why(
    probe: Probe,
    engine: DockerEngine,
    image_311: str,
    build: Callable[[str], str],
    script: str,
    message: str,
) -> None:
    quoted = script.replace("'", "'\\''")
    image = build(
        f"FROM {image_311}\n"
        f"RUN printf '#!/bin/sh\\n%s\\n' '{quoted}' > /usr/local/bin/python3 "
        "&& chmod +x /usr/local/bin/python3\n"
    )

    with pytest.raises(TargetError) as caught:
        ask(probe, engine, image)

    assert caught.value.message == f"The interpreter python3 or python of image {image} {message}"
    assert probe.remembered(image, "") is None
