"""`venvctl diff` shows the packages in which two generations differ."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from standing import NAME, Standing
from venvctl.cli.application import run

if TYPE_CHECKING:
    from pathlib import Path


def test_the_current_generation_and_the_one_before(
    standing: Standing, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["diff", NAME]) == 0

    assert capsys.readouterr().out == f"{NAME}: generation 1 → 2\n  alpha 1.0 → 1.1\n"
    assert standing.environment.current() == standing.environment.numbered(2)


@pytest.mark.usefixtures("standing")
def test_any_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["diff", NAME, "2", "1"]) == 0
    assert capsys.readouterr().out == f"{NAME}: generation 2 → 1\n  alpha 1.1 → 1.0\n"

    assert run(["diff", NAME, "1", "1"]) == 0
    assert capsys.readouterr().out == f"{NAME}: generation 1 → 1\n  the same packages\n"


def test_a_generation_that_is_gone_is_known_by_its_snapshot(
    standing: Standing, capsys: pytest.CaptureFixture[str]
) -> None:
    standing.environment.remove_generation(standing.environment.numbered(1))

    assert run(["diff", NAME, "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["data"] == {
        "environment": NAME,
        "before": 1,
        "after": 2,
        "changes": ["alpha 1.0 → 1.1"],
    }


@pytest.mark.usefixtures("standing")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["9", "2"], f"Environment {NAME} has no generation 9; it has 1, 2."),
        (["1", "9"], f"Environment {NAME} has no generation 9; it has 1, 2."),
    ],
)
def test_a_generation_that_never_was(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["diff", NAME, *arguments]) == 2

    assert capsys.readouterr().err == (
        f"Error: {message}\nHint: `venvctl history {NAME}` shows them.\n"
    )


def test_the_first_generation_took_no_ones_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = Standing(tmp_path)
    monkeypatch.setenv("VENVCTL_ROOT", str(first.root.path))
    assert run(["diff", NAME]) == 2
    assert "has no generation yet." in capsys.readouterr().err
    first.generation("a", "2026-01-01T10:00:00.000000Z", alpha="1.0")

    assert run(["diff", NAME]) == 2

    assert f"Generation 1 of {NAME} took no other one's place." in capsys.readouterr().err
