"""Builds run in the image that was asked for, if what it builds fits the service."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from sources import backend, in_tree, make_site
from venvctl.errors import BuildError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sources import Site
    from venvctl.engine.docker import DockerEngine

pytestmark = pytest.mark.engine


@pytest.fixture
def site(tmp_path: Path, engine: DockerEngine, image_311: str) -> Site:
    return make_site(tmp_path, engine, image_311)


def test_a_build_image_must_have_the_interpreter_of_the_service(site: Site, image_313: str) -> None:
    site.labels = {"venvctl.build-image": image_313}

    with pytest.raises(BuildError) as caught:
        site.build(in_tree(site, backend()))

    other = make_site(site.folder, site.engine, image_313).target
    assert caught.value.message == (
        f"What is built in the image {image_313} with Python {other.version} can be for"
        f" {other.tags[0]}, and the service's Python {site.target.version} does not take that."
    )
    assert caught.value.hint == (
        "Give `venvctl.build-image` an image with the same Python, and with the same or an older"
        " C library."
    )


def test_builds_run_in_the_image_that_the_label_names(
    site: Site, docker: Callable[..., str], unique: Callable[[str], str]
) -> None:
    (site.folder / "Dockerfile").write_text(f"FROM {site.image}\nENV OVEN=hot\n")
    image = unique("builder")
    docker("build", "--quiet", "--tag", image, str(site.folder))
    site.labels = {"venvctl.build-image": image}

    built = site.build(in_tree(site, backend("members['oven.txt'] = os.environ['OVEN']")))["shop"]

    assert site.members(built)["oven.txt"] == b"hot"


def test_a_build_image_that_is_not_here_is_not_pulled_offline(site: Site) -> None:
    site.labels = {"venvctl.build-image": "vt-build/none:1"}

    with pytest.raises(UnavailableError) as caught:
        site.build(in_tree(site, backend()), offline=True)

    assert caught.value.message == (
        "The image vt-build/none:1 to build in is not here, and --offline forbids to pull it."
    )
    assert caught.value.hint == "`docker pull vt-build/none:1`"


def test_an_image_with_another_c_library_gets_the_uv_that_it_can_run(site: Site) -> None:
    # musl's uv is linked statically, so it runs on this image too.
    site.target = dataclasses.replace(
        site.target, tags=("cp311-cp311-musllinux_1_2_x86_64", "py3-none-musllinux_1_1_x86_64",
                           "py3-none-any")
    )  # fmt: skip
    body = "members['uv.txt'] = os.popen('/inputs/uv --version').read()"

    built = site.build(in_tree(site, backend(body)))["shop"]

    assert b"musl" in site.members(built)["uv.txt"]
