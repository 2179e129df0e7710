"""What a source says of its build is read strictly, and what it needs is pinned to wheels."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interpreters import target
from venvctl import buildsystem
from venvctl.buildsystem import BuildSystem
from venvctl.errors import BuildError, IntegrityError, UnavailableError
from wheelhouse import make_sdist, make_wheel

if TYPE_CHECKING:
    from pathlib import Path

_TITLE = "shop 1.0 (shop-1.0.tar.gz)"


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all the index there is."""
    folder = tmp_path / "links"
    folder.mkdir()
    (tmp_path / "simple").mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_DEFAULT_INDEX", (tmp_path / "simple").as_uri())
    return folder


@pytest.mark.parametrize("text", ["", "[project]\nname = 'shop'\n"])
def test_without_a_build_system_it_is_that_of_old(text: str) -> None:
    assert BuildSystem.parse(text, title=_TITLE) == BuildSystem(
        requires=("setuptools>=40.8.0",), backend="setuptools.build_meta:__legacy__"
    )


def test_without_a_backend_it_is_that_of_old() -> None:
    text = "[build-system]\nrequires = ['setuptools', 'cython < 4']\n"

    assert BuildSystem.parse(text, title=_TITLE) == BuildSystem(
        requires=("setuptools", "cython<4"), backend="setuptools.build_meta:__legacy__"
    )


def test_all_of_it_is_read() -> None:
    text = "[build-system]\nrequires = []\nbuild-backend = 'a:b'\nbackend-path = ['c', 'd']\n"

    assert BuildSystem.parse(text, title=_TITLE) == BuildSystem(
        requires=(), backend="a:b", path=("c", "d")
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[build-system]\n", "[build-system] has no requires"),
        ("[build-system]\nrequires = 'setuptools'\n", "requires is not a list"),
        (
            "[build-system]\nrequires = ['set up tools']\n",
            "Expected semicolon (after name with no version specifier) or end",
        ),
        ("build-system = 1\n", "'int' object is not subscriptable"),
        (
            "[build-system\n",
            "Expected ']' at the end of a table declaration (at line 1, column 14)",
        ),
    ],
)
def test_a_build_system_that_can_not_be_read_is_said_with_its_fault(text: str, reason: str) -> None:
    with pytest.raises(BuildError) as caught:
        BuildSystem.parse(text, title=_TITLE)

    assert caught.value.message == (
        f"{_TITLE} can't be built: its pyproject.toml can't be read: {reason}."
    )
    assert caught.value.hint == "Choose another version of the package."


@given(st.text() | st.text().map(lambda text: f"[build-system]\nrequires = {text}\n"))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(BuildError):
        BuildSystem.parse(text, title=_TITLE)


def test_requirements_are_pinned_with_what_they_need_and_by_hash(links: Path) -> None:
    oven = make_wheel(links, "oven", "2.0", requires=["salt>=1"])
    salt = make_wheel(links, "salt", "1.5")
    make_wheel(links, "oven", "1.0")

    lock = buildsystem.resolve(["oven"], target(), indexes=(), title=_TITLE)

    files = buildsystem.wheels(lock, target())
    assert [(file.name, file.version, file.sha256, file.path) for file in files] == [
        ("oven", "2.0", oven.sha256, str(oven.path)),
        ("salt", "1.5", salt.sha256, str(salt.path)),
    ]


@pytest.mark.parametrize(
    ("version", "libc", "chosen"),
    [
        ("3.11.2", "glibc-2.36", "oven-2.0-cp311-cp311-manylinux_2_34_x86_64.whl"),
        ("3.11.2", "glibc-2.31", "oven-1.0-py3-none-any.whl"),
        ("3.13.5", "glibc-2.41", "oven-1.0-py3-none-any.whl"),
        ("3.12.1", "musl-1.2", "oven-3.0-cp312-cp312-musllinux_1_2_x86_64.whl"),
    ],
)
def test_requirements_are_chosen_for_the_interpreter_that_builds(
    version: str, libc: str, chosen: str, links: Path
) -> None:
    make_wheel(links, "oven", "1.0")
    make_wheel(links, "oven", "2.0", tag="cp311-cp311-manylinux_2_34_x86_64")
    make_wheel(links, "oven", "3.0", tag="cp312-cp312-musllinux_1_2_x86_64")
    builder = target(version, libc=libc)

    lock = buildsystem.resolve(["oven"], builder, indexes=(), title=_TITLE)

    assert [file.file for file in buildsystem.wheels(lock, builder)] == [chosen]


def test_a_source_is_no_answer_and_is_not_run(links: Path, tmp_path: Path) -> None:
    make_sdist(links, "oven", backend=f"open({str(tmp_path / 'ran')!r}, 'w')")

    with pytest.raises(BuildError) as caught:
        buildsystem.resolve(["oven"], target(), indexes=(), title=_TITLE)

    assert caught.value.message.startswith(
        f"{_TITLE} can't be built: what its build needs (oven) can't be had as wheels: "
    )
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "requirement", ["oven@ file:///etc/oven.whl", "oven@ git+https://me:pw@h/o"]
)
def test_a_requirement_from_a_url_is_not_fetched(requirement: str) -> None:
    with pytest.raises(BuildError) as caught:
        buildsystem.resolve([requirement], target(), indexes=(), title=_TITLE)

    assert caught.value.message == (
        f"{_TITLE} can't be built: it needs {requirement.replace('me:pw@', '')} from a URL,"
        " which no hash vouches for."
    )


def test_an_index_that_gives_no_answer_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple/")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")

    with pytest.raises(UnavailableError) as caught:
        buildsystem.resolve(["venvctl-oven"], target(), indexes=(), title=_TITLE)

    assert caught.value.message.startswith(
        f"The index can't be asked for what the build of {_TITLE} needs: "
    )
    assert caught.value.hint == (
        "Check the index and the network; the environment stays as it is until then."
    )


def test_a_record_is_read_back_as_it_was_saved(links: Path, tmp_path: Path) -> None:
    make_wheel(links, "oven", "2.0")
    lock = buildsystem.resolve(["oven"], target(), indexes=(), title=_TITLE)

    assert buildsystem.load(tmp_path, "key") is None
    buildsystem.save(tmp_path, "key", lock)

    read = buildsystem.load(tmp_path, "key")
    assert read is not None
    assert buildsystem.wheels(read, target()) == buildsystem.wheels(lock, target())


@pytest.mark.parametrize("text", ["not toml", "lock-version = '1.0'\n"])
def test_a_damaged_record_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "pins" / "builds" / "key.pylock.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)

    with pytest.raises(IntegrityError) as caught:
        buildsystem.load(tmp_path, "key")

    assert caught.value.message == f"The record of a build's requirements {path} is damaged."
    assert caught.value.hint == ("Remove it; what the build needs is then resolved again.")
