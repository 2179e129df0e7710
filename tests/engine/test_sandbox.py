"""A build is shut in, and what went wrong in it is said so that a person can mend it."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from typing import TYPE_CHECKING

import pytest

from sources import backend, in_tree, make_site
from venvctl import sandbox
from venvctl.errors import BuildError
from wheelhouse import make_wheel

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sources import Site
    from venvctl.engine.docker import DockerEngine

pytestmark = pytest.mark.engine


@pytest.fixture
def site(tmp_path: Path, engine: DockerEngine, image_311: str) -> Site:
    return make_site(tmp_path, engine, image_311)


def test_a_link_among_the_wheels_leads_nowhere(site: Site) -> None:
    outside = make_wheel(site.folder / "outside", "shop")
    name = "/output/shop-2.0-py3-none-any.whl"

    built = site.build(in_tree(site, backend(f"os.symlink({str(outside.path)!r}, {name!r})")))[
        "shop"
    ]

    assert built.version == "1.0"
    assert outside.path.is_file()


def test_a_build_is_shut_in(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_INDEX_MINE_PASSWORD", "hunter2")
    body = """
        status = open("/proc/self/status").read()
        members["facts.json"] = json.dumps({
            "capabilities": status.split("CapEff:")[1].split()[0],
            "new privileges": status.split("NoNewPrivs:")[1].split()[0],
            "interfaces": os.listdir("/sys/class/net"),
            "writable": [f for f in ("/", "/inputs/uv", "/usr") if os.access(f, os.W_OK)],
            "secrets": [value for value in os.environ.values() if "hunter2" in value],
        })
    """

    built = site.build(in_tree(site, backend(body)))["shop"]

    assert json.loads(site.members(built)["facts.json"]) == {
        "capabilities": "0000000000000000",
        "new privileges": "1",
        "interfaces": ["lo"],
        "writable": [],
        "secrets": [],
    }


def test_a_build_may_use_the_network_where_the_label_says_so(site: Site) -> None:
    body = """
        members["facts.json"] = json.dumps([
            sorted(os.listdir("/sys/class/net")),
            os.environ["SSL_CERT_FILE"],
            os.path.getsize(os.environ["SSL_CERT_FILE"]) > 0,
        ])
    """
    site.labels = {"venvctl.build-network": "true"}

    built = site.build(in_tree(site, backend(body)))["shop"]

    facts = json.loads(site.members(built)["facts.json"])
    assert facts == [["eth0", "lo"], "/inputs/certificates.pem", True]


def test_a_build_that_fails_is_shown_with_its_last_words(site: Site) -> None:
    body = "print('mixing', flush=True); print('the oven is cold', file=sys.stderr); os._exit(3)"

    with pytest.raises(BuildError) as caught:
        site.build(in_tree(site, backend(body)))

    first, *said = caught.value.message.splitlines()
    assert first == (
        "shop 1.0 (shop-1.0.tar.gz) can't be built: it ended with exit code 2, and said:"
    )
    assert "  mixing" in said
    assert "  the oven is cold" in said
    assert len(said) <= 20
    assert caught.value.hint == "Choose a version of the package that has a wheel."
    assert site.leftovers() == []


def test_a_missing_compiler_is_said_with_the_label_that_helps(site: Site) -> None:
    setup = (
        "from setuptools import Extension, setup\n"
        "setup(name='shop', version='1.0', ext_modules=[Extension('shop', ['shop.c'])])\n"
    )

    with pytest.raises(BuildError) as caught:
        site.build(site.source(site.archive({"setup.py": setup, "shop.c": "int shop;\n"})))

    assert "No such file or directory: 'x86_64-linux-gnu-gcc'" in caught.value.message
    assert caught.value.hint == (
        "Name an image with compiler and headers, and the same Python, in `venvctl.build-image`."
    )


def test_a_build_that_wants_the_network_is_said_with_the_label_that_helps(site: Site) -> None:
    body = "import urllib.request; urllib.request.urlopen('https://files.invalid/data')"

    with pytest.raises(BuildError) as caught:
        site.build(in_tree(site, backend(body)))

    assert caught.value.hint == (
        "The build wants the network: allow it with the label `venvctl.build-network: true`."
    )


def test_a_build_that_never_ends_is_stopped(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_SECONDS", 3.0)

    with pytest.raises(BuildError) as caught:
        site.build(in_tree(site, backend("import time; time.sleep(600)")))

    assert caught.value.message.splitlines()[0] == (
        "shop 1.0 (shop-1.0.tar.gz) can't be built: it was stopped after 3 seconds, and said:"
    )


def test_a_build_that_wants_too_much_memory_is_stopped(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "_MEMORY", 256 << 20)

    with pytest.raises(BuildError) as caught:
        site.build(in_tree(site, backend("x = bytearray(1 << 30); print(len(x))")))

    assert "can't be built: it needs more than 256 MB of memory" in caught.value.message


def test_a_project_in_a_folder_of_an_archive_is_kept_apart_from_the_others(site: Site) -> None:
    pyproject = "[build-system]\nrequires = []\nbuild-backend = 'own'\nbackend-path = ['.']\n"
    path = site.archive(
        {
            f"{part}/{name}": text
            for part in ("one", "two")
            for name, text in {
                "pyproject.toml": pyproject,
                "own.py": backend(f"members['part.txt'] = {part!r}"),
            }.items()
        },
        top="repository-abc/",
    )
    source = dataclasses.replace(site.source(path), kind="archive")

    one = site.build(dataclasses.replace(source, subdirectory="one"))["shop"]
    two = site.build(dataclasses.replace(source, subdirectory="two"))["shop"]

    assert site.members(one)["part.txt"] == b"one"
    assert site.members(two)["part.txt"] == b"two"


def test_a_zip_archive_is_built_too(site: Site) -> None:
    path = site.folder / "shop-1.0.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "shop-1.0/pyproject.toml",
            "[build-system]\nrequires = []\nbuild-backend = 'own'\nbackend-path = ['.']\n",
        )
        archive.writestr("shop-1.0/own.py", backend())

    assert site.build(site.source(path))["shop"].file == "shop-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (
            {"README": "nothing"},
            "it has neither pyproject.toml nor setup.py",
        ),
        (
            {"pyproject.toml": "[build-system]\nbuild-backend = 'x'\n"},
            "its pyproject.toml can't be read: [build-system] has no requires",
        ),
    ],
)
def test_a_source_that_is_no_project_is_refused(
    files: Mapping[str, str], reason: str, site: Site
) -> None:
    with pytest.raises(BuildError) as caught:
        site.build(site.source(site.archive(files)))

    assert caught.value.message == f"shop 1.0 (shop-1.0.tar.gz) can't be built: {reason}."
    assert caught.value.hint == "Choose another version of the package."


def test_a_damaged_archive_is_said_to_be_one(site: Site) -> None:
    path = site.folder / "shop-1.0.tar.gz"
    path.write_bytes(b"no archive")

    with pytest.raises(BuildError) as caught:
        site.build(site.source(path))

    assert caught.value.message == (
        "shop 1.0 (shop-1.0.tar.gz) can't be unpacked: it ended with exit code 1, and said:\n"
        "  The archive can't be read: file could not be opened successfully"
    )
