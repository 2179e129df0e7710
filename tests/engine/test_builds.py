"""Sources become wheels in containers of the real engine, with real build backends."""

from __future__ import annotations

import dataclasses
import shutil
from typing import TYPE_CHECKING

import pytest

from gitserver import GitServer, commit, git
from sources import backend, in_tree, make_site
from venvctl.errors import BuildError, HostileWheelError, UnavailableError
from venvctl.selection import SelectedFile
from wheelhouse import make_sdist, make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from sources import Site
    from venvctl.engine.docker import DockerEngine

pytestmark = pytest.mark.engine

_PROJECT = """\
[build-system]
requires = [{requires!r}]
build-backend = {backend!r}
[project]
name = "shop"
version = "1.0"
description = "A shop"
"""
_BACKENDS = {
    "setuptools": ("setuptools>=61", "setuptools.build_meta"),
    "hatchling": ("hatchling", "hatchling.build"),
    "flit": ("flit-core>=3.2", "flit_core.buildapi"),
}


@pytest.fixture
def site(tmp_path: Path, engine: DockerEngine, image_311: str) -> Site:
    return make_site(tmp_path, engine, image_311)


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all the index there is."""
    folder = tmp_path / "links"
    folder.mkdir()
    (tmp_path / "simple").mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_DEFAULT_INDEX", (tmp_path / "simple").as_uri())
    return folder


@pytest.mark.parametrize(
    ("backend", "image"),
    [
        ("setuptools", "image_311"),
        ("setuptools", "image_313"),
        ("hatchling", "image_311"),
        ("flit", "image_313"),
    ],
)
def test_pure_packages_are_built_on_minimal_images_by_the_backends_people_use(
    backend: str, image: str, tmp_path: Path, engine: DockerEngine, request: pytest.FixtureRequest
) -> None:
    site = make_site(tmp_path, engine, request.getfixturevalue(image))
    requires, name = _BACKENDS[backend]
    pyproject = _PROJECT.format(requires=requires, backend=name)
    path = site.archive({"pyproject.toml": pyproject, "shop.py": '"""A shop."""\n'})

    built = site.build(site.source(path))["shop"]

    assert (built.name, built.version) == ("shop", "1.0")
    assert built.file in {"shop-1.0-py3-none-any.whl", "shop-1.0-py2.py3-none-any.whl"}
    assert site.members(built)["shop.py"] == b'"""A shop."""\n'
    assert site.leftovers() == []


def test_an_old_setup_script_gets_what_it_asks_for_only_when_it_is_run(site: Site) -> None:
    setup = (
        "from setuptools import setup\n"
        "setup(name='shop', version='1.0', py_modules=['shop'], setup_requires=['flit-core'])\n"
    )
    path = site.archive({"setup.py": setup, "shop.py": "import sys\n"})

    built = site.build(site.source(path))["shop"]

    assert site.members(built)["shop.py"] == b"import sys\n"
    # What the second round needed is what a rebuild begins with.
    record = next((site.root / "pins" / "builds").iterdir()).read_text()
    assert 'name = "flit-core"' in record
    assert 'name = "setuptools"' in record


def test_it_is_built_once_and_then_had_from_the_store(site: Site) -> None:
    file = in_tree(site, backend("members['shop.py'] = 'x = 1'"))
    first = site.build(file)
    site.image = "sha256:" + "0" * 64  # no container can be made of it

    assert site.build(file, offline=True) == first
    assert list(first) == ["shop"]


def test_another_interpreter_is_another_build(site: Site, image_313: str) -> None:
    file = in_tree(site, backend("members['built.txt'] = str(sys.version_info[:2])"))
    site.build(file)
    other = make_site(site.folder, site.engine, image_313)

    built = other.build(file)["shop"]

    assert other.members(built)["built.txt"] == b"(3, 13)"


def test_a_lost_wheel_is_built_again_without_a_network_and_is_the_same(
    site: Site, links: Path
) -> None:
    make_wheel(links, "oven", "1.0", files={"oven.py": "HEAT = 'old'\n"})
    body = "import oven; members['shop.py'] = oven.HEAT"
    file = in_tree(site, backend(body), requires='["oven"]')
    first = site.build(file)["shop"]
    site.store.quarantine(first.sha256)
    # A newer one is not taken: what it was built with is on record.
    shutil.rmtree(links)
    links.mkdir()
    make_wheel(links, "oven", "2.0", files={"oven.py": "HEAT = 'new'\n"})

    assert site.build(file, offline=True)["shop"] == first


def test_offline_every_package_that_can_not_be_built_is_named(site: Site) -> None:
    here = in_tree(site, backend())
    needy = dataclasses.replace(
        in_tree(site, backend("1"), requires='["oven>=1", "salt"]'), name="needy"
    )
    absent = dataclasses.replace(here, name="absent", sha256="0" * 64)
    remote = dataclasses.replace(here, name="remote", kind="vcs", file="", commit="1" * 40)

    with pytest.raises(UnavailableError) as caught:
        site.build(here, needy, absent, remote, offline=True)

    assert caught.value.message == (
        "3 packages can't be built with the network off:\n"
        "  needy 1.0 (shop-1.0.tar.gz): what its build needs was never fetched (oven>=1, salt)\n"
        "  absent 1.0 (shop-1.0.tar.gz): the store does not have shop-1.0.tar.gz\n"
        "  remote 1.0 (commit 111111111111): its commit has to be fetched"
    )
    assert caught.value.hint == "Run it again with the network on, without --offline."
    assert site.store.built(here.sha256, site.target.fingerprint) is None


def test_offline_nothing_is_asked_for_what_a_backend_wants_at_last(site: Site, links: Path) -> None:
    make_wheel(links, "oven")
    hook = "def get_requires_for_build_wheel(settings=None):\n    return ['oven']\n"
    source = in_tree(site, backend("import oven") + hook)

    with pytest.raises(UnavailableError) as caught:
        site.build(source, offline=True)

    assert caught.value.message == (
        "shop 1.0 (shop-1.0.tar.gz) can't be built with the network off:"
        " what its build needs was never fetched (oven)."
    )
    assert caught.value.hint == "Run it again with the network on, without --offline."
    assert site.build(source)["shop"].version == "1.0"


def test_a_wheel_for_this_very_platform_is_fine(site: Site) -> None:
    name = "shop-1.0-cp311-cp311-linux_x86_64.whl"

    assert site.build(in_tree(site, backend(file=name)))["shop"].file == name


@pytest.mark.parametrize(
    ("body", "file", "reason"),
    [
        ("pass", "shelf-1.0-py3-none-any.whl", "it gave a wheel of shelf"),
        ("pass", "shop-1.1-py3-none-any.whl", "it gave version 1.1"),
        (
            "pass",
            "shop-1.0-cp313-cp313-linux_x86_64.whl",
            "the wheel is for cp313-cp313-linux_x86_64, which the image does not take",
        ),
        (
            "open(os.path.join('/output', 'more-1-py3-none-any.whl'), 'w').close()",
            "shop-1.0-py3-none-any.whl",
            "it gave 2 wheels and not one ('more-1-py3-none-any.whl', 'shop-1.0-py3-none-any.whl')",
        ),
    ],
)
def test_another_wheel_than_was_asked_for_is_not_taken(
    body: str, file: str, reason: str, site: Site
) -> None:
    source = in_tree(site, backend(body, file=file))

    with pytest.raises(BuildError) as caught:
        site.build(source)

    assert caught.value.message == f"shop 1.0 (shop-1.0.tar.gz) can't be used: {reason}."
    assert caught.value.hint == ("Choose another version of the package, or one that has a wheel.")
    assert site.store.built(source.sha256, site.target.fingerprint) is None


def test_a_wheel_that_could_not_be_unpacked_is_not_kept(site: Site) -> None:
    source = in_tree(site, backend("members['../up.py'] = ''"))

    with pytest.raises(HostileWheelError):
        site.build(source)

    assert site.store.built(source.sha256, site.target.fingerprint) is None
    assert [file.path.name for file in site.store.iterate()] == ["shop-1.0.tar.gz"]


def test_what_a_build_needs_must_be_had_as_wheels(site: Site, links: Path) -> None:
    make_sdist(links, "oven")

    with pytest.raises(BuildError) as caught:
        site.build(in_tree(site, backend(), requires='["oven"]'))

    assert caught.value.message.startswith(
        "shop 1.0 (shop-1.0.tar.gz) can't be built: what its build needs (oven) can't be had as"
        " wheels: "
    )
    assert caught.value.hint == (
        "Let the build get them itself with the label `venvctl.build-network: true`,"
        " or choose a version of the package that has a wheel."
    )


def test_a_commit_has_its_version_from_its_tag_on_an_image_without_git(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pyproject = (
        "[build-system]\nrequires = ['hatchling', 'hatch-vcs']\nbuild-backend = 'hatchling.build'\n"
        "[project]\nname = 'shop'\ndynamic = ['version']\n[tool.hatch.version]\nsource = 'vcs'\n"
    )
    with GitServer(tmp_path / "served", tmp_path) as server:
        monkeypatch.setenv("GIT_SSL_CAINFO", str(server.certificate))
        head = commit(server.folder / "shop", pyproject__toml=pyproject, shop__py="x = 1\n")
        git(server.folder / "shop", "tag", "v1.4")
        file = SelectedFile(
            name="shop",
            version="",
            file="",
            kind="vcs",
            sha256="",
            urls=(server.url("shop"),),
            commit=head,
        )
        built = site.build(file)["shop"]

    assert built.version == "1.4"
    assert site.members(built)["shop.py"] == b"x = 1\n"
    # Had from the store from now on: there is nothing to clone from any more.
    assert site.build(file, offline=True)["shop"] == built
