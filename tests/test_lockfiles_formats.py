"""A lock's format is known by its name, else by its shape, or is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from venvctl import lockfiles
from venvctl.errors import LockError
from venvctl.lockfiles import LockOptions
from venvctl.lockfiles.formats import known_by_name, known_by_shape

PYLOCK = b'lock-version = "1.0"\ncreated-by = "x"\npackages = []\n'


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("pylock.toml", "pylock"),
        ("pylock.prod.toml", "pylock"),
        ("uv.lock", "uv"),
        ("poetry.lock", "poetry"),
        ("pdm.lock", "pdm"),
        ("Pipfile.lock", "pipfile"),
        ("requirements.txt", "requirements"),
        ("prod.in", "requirements"),
        ("requirements.lock", ""),
        ("pylock.a.b.toml", ""),
    ],
)
def test_names(name: str, form: str) -> None:
    assert known_by_name(Path(name)) == form


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (b"six==1.0\n", "requirements"),
        (b"", "requirements"),
        (b"# version = 1\nsix==1.0 \\\n    --hash=sha256:0\n", "requirements"),
        (PYLOCK, "pylock"),
        (b"\xef\xbb\xbf" + PYLOCK, "pylock"),
        (b'version = 1\nrevision = 3\n\n[[package]]\nname = "six"\n', "uv"),
        (b'[[package]]\nname = "x"\n[metadata]\npython-versions = "*"\n', "poetry"),
        (b'[metadata]\ngroups = ["default"]\nlock_version = "4.5"\n', "pdm"),
        (b'\n {"_meta": {}}', "pipfile"),
    ],
)
def test_shapes(content: bytes, form: str) -> None:
    assert known_by_shape(content) == form


def test_a_lock_of_any_name_is_read_by_its_shape(tmp_path: Path) -> None:
    (tmp_path / "prod.lock").write_bytes(PYLOCK)
    lock = lockfiles.read(tmp_path / "prod.lock", options=LockOptions(project=tmp_path))
    assert lock.format == "pylock"


def test_the_format_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text("six==1.0\n")
    options = LockOptions(project=tmp_path, format="requirements")
    assert lockfiles.read(tmp_path / "uv.lock", options=options).format == "requirements"


def test_a_format_that_is_not_the_files_is_named_where_it_can_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("six==1.17.0\n")
    with pytest.raises(LockError) as caught:
        lockfiles.read(
            tmp_path / "requirements.txt", options=LockOptions(project=tmp_path, format="uv")
        )
    assert caught.value.hint == (
        "The label `venvctl.format` says uv, and the file looks like requirements: "
        "correct the label, or remove it."
    )


def test_an_unknown_format_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(LockError) as caught:
        lockfiles.read(tmp_path / "x", options=LockOptions(format="conda"))
    assert caught.value.message == (
        "The lock format 'conda' is unknown; there is pylock, uv, requirements, poetry, pdm,"
        " pipfile."
    )


def test_only_uv_has_packages_to_choose_from(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("six==1.0\n")
    with pytest.raises(LockError) as caught:
        lockfiles.read(
            tmp_path / "requirements.txt", options=LockOptions(project=tmp_path, package="core")
        )
    assert caught.value.message == (
        "requirements.txt: Only uv.lock has packages to choose from ('core')."
    )


def test_a_missing_lock_is_said_before_anything_else(tmp_path: Path) -> None:
    with pytest.raises(LockError) as caught:
        lockfiles.read(tmp_path / "poetry.lock", options=LockOptions(project=tmp_path))
    assert caught.value.message == f"The lockfile {tmp_path}/poetry.lock does not exist."
