"""What a source's wheel is kept under, and when nothing is built."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING, cast

import pytest

from interpreters import target
from venvctl.build import BuiltWheel, ensure, source_key
from venvctl.progress import Silent
from venvctl.selection import SelectedFile
from venvctl.specification import EnvironmentSpecification
from venvctl.store import Store
from wheelhouse import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from venvctl.engine.model import Engine

_SDIST = SelectedFile(
    name="shop", version="1.0", file="shop-1.0.tar.gz", kind="sdist", sha256="ab" * 32, urls=()
)
_COMMIT = dataclasses.replace(_SDIST, file="", kind="vcs", sha256="", commit="12" * 20)


def test_an_archive_is_its_own_key() -> None:
    assert source_key(_SDIST) == "ab" * 32


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (_COMMIT, f"vcs:{'12' * 20}:"),
        (dataclasses.replace(_COMMIT, subdirectory="a/b"), f"vcs:{'12' * 20}:a/b"),
        (
            dataclasses.replace(_SDIST, kind="archive", subdirectory="a"),
            f"archive:{'ab' * 32}:a",
        ),
    ],
)
def test_a_commit_and_a_part_of_an_archive_have_keys_of_their_own(
    file: SelectedFile, words: str
) -> None:
    assert source_key(file) == hashlib.sha256(words.encode()).hexdigest()


def test_what_was_built_is_used_without_an_engine(tmp_path: Path) -> None:
    store = Store(tmp_path / "root")
    wheel = make_wheel(tmp_path, "shop", "1.0")
    store.add(wheel.path, file=wheel.file, sha256=wheel.sha256)
    store.record_built(_SDIST.sha256, target().fingerprint, wheel.sha256)

    built = ensure(
        [_SDIST],
        store=store,
        target=target(),
        engine=cast("Engine", None),
        image="",
        specification=EnvironmentSpecification(name="shop-env", lock=tmp_path / "lock"),
        root=tmp_path / "root",
        offline=True,
        progress=Silent(),
    )

    assert built == {
        "shop": BuiltWheel(name="shop", version="1.0", file=wheel.file, sha256=wheel.sha256)
    }
