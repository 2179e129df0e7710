"""What is noted of helper containers, and who believes it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from venvctl.engine.notes import LIFETIME, Notes

if TYPE_CHECKING:
    from pathlib import Path


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def test_a_note_stands_until_its_container_is_gone(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "helpers")
    with notes.of("a") as note, notes.of("b"):
        assert notes.held() == {"a", "b"}
        note.done()
        assert notes.held() == {"b"}
    assert notes.held() == set()
    assert names(tmp_path / "helpers") == ["b"]

    notes.forget({"c"})
    assert names(tmp_path / "helpers") == ["b"]
    notes.forget({"b"})
    assert names(tmp_path / "helpers") == []


@pytest.mark.parametrize("seconds", [-LIFETIME - 9, LIFETIME + 9])
def test_an_old_note_stands_for_somebody_alone(tmp_path: Path, seconds: float) -> None:
    notes = Notes(tmp_path)
    with notes.of("a"):
        then = (tmp_path / "a").stat().st_mtime + seconds
        os.utime(tmp_path / "a", (then, then))
        notes.forget(())
        assert names(tmp_path) == ["a"]

    notes.forget(())
    assert names(tmp_path) == []


def test_where_there_is_no_root_it_goes_without(tmp_path: Path) -> None:
    with Notes(tmp_path / "root" / "helpers").of("a") as note:
        note.done()
    assert names(tmp_path) == []
