"""`venvctl history` shows what happened, the latest last."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest

from standing import NAME, Standing
from venvctl.cli.application import run

if TYPE_CHECKING:
    from pathlib import Path


FIRST = (
    f"2026-01-01T10:00:00Z  sync   1           {'a' * 32}  build: no generation has these files\n"
)
SECOND = (
    f"2026-01-01T11:00:00Z  sync   1 → 2       {'b' * 32}  build: no generation has these files\n"
)
TITLE = f"TIME                  EVENT  GENERATION  KEY{' ' * 31}WHAT\n"


@pytest.mark.usefixtures("standing")
def test_everything_that_happened(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["history", NAME]) == 0

    assert capsys.readouterr().out == TITLE + FIRST + SECOND


@pytest.mark.usefixtures("standing")
@pytest.mark.parametrize(("limit", "shown"), [("1", SECOND), ("0", FIRST + SECOND)])
def test_only_the_latest(limit: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["history", NAME, "--limit", limit]) == 0

    assert capsys.readouterr().out == TITLE + shown


def test_many_packages_are_counted(standing: Standing, capsys: pytest.CaptureFixture[str]) -> None:
    event = dataclasses.replace(
        standing.environment.history()[-1],
        changes=tuple(f"+ p{number} 1" for number in range(21)),
    )
    standing.environment.record(event)

    assert run(["history", NAME, "--limit", "1"]) == 0

    assert "  21 packages differ; build: " in capsys.readouterr().out


@pytest.mark.usefixtures("standing")
def test_a_program_gets_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["history", NAME, "--json", "--limit", "1"]) == 0

    data = json.loads(capsys.readouterr().out)["data"]
    assert data["environment"] == NAME
    [event] = data["events"]
    assert (event["kind"], event["generation"], event["previous"]) == ("sync", 2, 1)
    assert event["key"] == "b" * 32


def test_an_environment_to_which_nothing_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VENVCTL_ROOT", str(Standing(tmp_path).root.path))

    assert run(["history", NAME]) == 0

    assert capsys.readouterr().out == f"Nothing has happened to {NAME} yet.\n"
