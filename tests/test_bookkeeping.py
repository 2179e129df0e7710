"""What was lost of a root's small files is written anew as it was last."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from standing import NAME, Standing
from venvctl import changeover
from venvctl.parcel import Parcel
from venvctl.progress import Silent
from venvctl.verification import verify

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def standing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Standing:
    # Its keys are made up.
    monkeypatch.setattr(Parcel, "key_fits", lambda _: True)
    return Standing(tmp_path)


def test_a_registration_is_that_of_the_last_switch_and_not_of_the_highest_number(
    standing: Standing,
) -> None:
    standing.generation("a", "2026-01-01T00:00:00Z", alpha="1.0")
    standing.generation("b", "2026-01-02T00:00:00Z", alpha="2.0")
    changed = dataclasses.replace(standing.registration, mount="/elsewhere")
    standing.root.registry.claim(changed)
    first = standing.environment.numbered(1)
    changeover.switch(changed, first, standing.root, restart=False)
    (standing.environment.directory / "environment.json").write_text("{")

    verify([NAME], standing.root, repair=True, offline=True, progress=Silent())

    assert standing.root.registry.load(NAME) == changed
