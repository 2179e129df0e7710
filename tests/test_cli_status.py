"""`venvctl status` for a person and for a program, also while the engine is away."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest

from standing import NAME, Standing
from venvctl.cli.answer import Line, Tone
from venvctl.cli.application import run
from venvctl.cli.status import describe
from venvctl.status import EnvironmentStatus, Holder

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_known_is_shown_and_the_engine_missed(
    standing: Standing, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["status"]) == 3

    out, err = capsys.readouterr()
    assert out == (
        f"{NAME}: generation 2, to be synced\n"
        "  2 packages for Python 3.11.2 at /venv, since 2026-01-01T11:00:00Z\n"
        f"  lock {standing.lock}: changed\n"
        f"  to sync: {standing.lock} changed\n"
        "  last: sync at 2026-01-01T11:00:00Z: build: no generation has these files\n"
        "  its containers are not known: the engine does not answer\n"
    )
    assert err.startswith("Error: The Docker Engine at unix://")


def test_a_program_gets_what_is_known_beside_the_error(
    standing: Standing, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["status", "--json"]) == 3

    envelope = json.loads(capsys.readouterr().out)
    assert (envelope["ok"], envelope["error"]["code"]) == (False, "engine-unreachable")
    assert envelope["error"]["hint"] == "`venvctl doctor` says how to have it answer."
    assert envelope["data"]["root"] == str(standing.root.path)
    [told] = envelope["data"]["environments"]
    assert (told["environment"], told["generation"], told["holders"]) == (NAME, 2, [])


@pytest.mark.usefixtures("standing")
def test_more_is_shown_where_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    run(["status", "--verbose", NAME])

    out = capsys.readouterr().out
    assert f"  key {'b' * 32}, generations 1, 2\n" in out
    assert "  made by `venvctl env add`, in " in out
    assert "    because /" in out


def test_a_failure_that_is_over_says_so(
    standing: Standing, capsys: pytest.CaptureFixture[str]
) -> None:
    event = standing.environment.history()[-1]
    standing.environment.record(dataclasses.replace(event, kind="failure", notes=("x: Why.",)))

    run(["status", NAME])

    line = "  last: failure at 2026-01-01T11:00:00Z, taken back since: x: Why.\n"
    assert line in capsys.readouterr().out


def test_no_environment_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VENVCTL_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    assert run(["status"]) == 0

    assert capsys.readouterr().out == f"There is no environment in {tmp_path}.\n"


def holder(**fields: object) -> Holder:
    values = {
        "name": "web-1",
        "service": "web",
        "state": "running",
        "health": "",
        "generation": 2,
        "current": True,
        "pending": False,
        "on_change": "restart",
    }
    return Holder(**(values | fields))  # type: ignore[arg-type]  # a test's shorthand


@pytest.mark.parametrize(
    ("one", "line"),
    [
        (holder(), "web-1: running, on generation 2"),
        (holder(health="healthy"), "web-1: running, healthy, on generation 2"),
        (
            holder(generation=1, current=False, pending=True),
            "web-1: running, on generation 1, which is not the current one, still to be reached",
        ),
        (holder(state="exited", generation=0, current=False), "web-1: exited"),
    ],
)
def test_a_holder_in_a_line(one: Holder, line: str) -> None:
    [shown] = describe(status(holders=(one,)), verbose=False)[2:]

    assert isinstance(shown, Line)
    assert shown.text == line


def status(**fields: object) -> EnvironmentStatus:
    values: dict[str, object] = {
        "environment": NAME,
        "project": "",
        "directory": "/srv",
        "lock": "/srv/lock",
        "lock_state": "unchanged",
        "mount": "/venv",
    }
    return EnvironmentStatus(**(values | fields))  # type: ignore[arg-type]  # a test's shorthand


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "no generation, never synced"),
        ({"generation": 2}, "generation 2, up to date"),
        ({"generation": 2, "reasons": ("lock changed",)}, "generation 2, to be synced"),
        (
            {"generation": 2, "reasons": ("lock is gone",), "lock_state": "missing"},
            "generation 2, its lock is missing",
        ),
        ({"generation": 2, "held": {"x": "why"}}, "generation 2, another one is held"),
        ({"generation": 2, "error": "No network."}, "generation 2, in trouble"),
        ({"generation": 2, "problem": "Volume."}, "generation 2, in trouble"),
    ],
)
def test_the_first_line_says_how_it_is(fields: dict[str, object], words: str) -> None:
    line = describe(status(**fields), verbose=False)[0]

    assert isinstance(line, Line)
    assert line.text == f"{NAME}: {words}"


def test_what_is_held_says_how_it_is_overruled() -> None:
    lines = describe(status(generation=2, held={"x": "why"}), verbose=False)

    at = lines.index(Line("held: x: why", indent=1))
    assert lines[at + 1] == Line(
        f"`venvctl sync --force {NAME}` goes to what the lock selects", Tone.QUIET, 2
    )


@pytest.mark.parametrize(("command", "code"), [("status", 4), ("sync", 4)])
def test_one_whose_registration_is_damaged_keeps_no_other_from_being_told(
    standing: Standing, capsys: pytest.CaptureFixture[str], command: str, code: int
) -> None:
    path = standing.root.path / "environments" / "damaged" / "environment.json"
    path.parent.mkdir()
    path.write_text("{")

    assert run([command]) == code

    out, err = capsys.readouterr()
    assert NAME in out
    assert f"Error: {path} can't be read: " in err
    assert "`venvctl verify damaged --repair` writes it anew by its snapshot" in err
    assert "Error: The Docker Engine at unix://" in err
