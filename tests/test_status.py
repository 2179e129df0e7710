"""Where an environment stands: what its history tells, and what can be told without an engine."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from standing import NAME, Standing
from venvctl.environments import Event
from venvctl.status import instant, running_on, since, status

if TYPE_CHECKING:
    from pathlib import Path

HISTORY = (
    Event(time="2026-01-01T10:00:00.000000Z", kind="sync", generation=1),
    Event(time="2026-01-01T11:00:00.000000Z", kind="sync", generation=2, previous=1),
    Event(time="2026-01-01T11:00:01.000000Z", kind="rollout", generation=2),
    Event(time="2026-01-01T11:30:00.000000Z", kind="failure", generation=2),
    Event(time="2026-01-01T12:00:00.000000Z", kind="rollback", generation=1, previous=2),
    Event(time="2026-01-01T13:00:00.000000Z", kind="sync", generation=1, previous=1),
)


@pytest.fixture
def standing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Standing:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine")
    return Standing(tmp_path)


@pytest.mark.parametrize(
    ("started", "number"),
    [
        ("2026-01-01T09:59:59.999999999Z", 0),
        ("2026-01-01T10:00:00Z", 1),
        ("2026-01-01T10:59:59.9Z", 1),
        ("2026-01-01T11:00:00.123456789Z", 2),
        ("2026-01-01T11:45:00Z", 2),
        ("2026-01-01T14:00:00Z", 1),
    ],
)
def test_a_container_runs_on_what_was_current_when_it_started(started: str, number: int) -> None:
    assert running_on(HISTORY, started) == number


def test_a_generation_is_current_since_it_last_became_so() -> None:
    assert since(HISTORY, 1) == "2026-01-01T12:00:00.000000Z"
    assert since(HISTORY[:4], 2) == "2026-01-01T11:00:00.000000Z"
    assert since((), 1) == ""


def test_times_of_any_precision_are_compared() -> None:
    assert instant("2026-01-01T10:00:00Z") < instant("2026-01-01T10:00:00.000000001Z")
    assert instant("2026-01-01T10:00:00.5Z") == instant("2026-01-01T10:00:00.500000000Z")


def test_what_can_be_told_is_told_while_the_engine_is_away(standing: Standing) -> None:
    standing.generation("a", "2026-01-01T10:00:00.000000Z", alpha="1.0", beta="2.0")
    standing.generation("b", "2026-01-01T11:00:00.000000Z", alpha="1.1", beta="2.0")

    told = status(standing.registration, standing.root)

    assert (told.environment, told.generation, told.key) == (NAME, 2, "b" * 32)
    assert (told.packages, told.python, told.mount) == (2, "3.11.2", "/venv")
    assert told.current_since == "2026-01-01T11:00:00.000000Z"
    assert told.generations == (1, 2)
    assert told.engine.startswith(f"The Docker Engine at unix://{standing.folder}/no-engine did")
    assert (told.lock_state, told.reasons) == ("changed", (f"{standing.lock} changed",))
    assert told.last is not None
    assert told.last.notes == ("build: no generation has these files",)
    assert (told.holders, told.problem) == ((), "")


def test_a_lock_that_is_gone_is_told(standing: Standing) -> None:
    standing.generation("a", "2026-01-01T10:00:00.000000Z", alpha="1.0")
    standing.lock.unlink()

    assert status(standing.registration, standing.root).lock_state == "missing"


def test_an_environment_that_was_never_synced(standing: Standing) -> None:
    told = status(standing.registration, standing.root)

    assert (told.generation, told.key, told.packages, told.last) == (0, "", 0, None)
    assert told.reasons == ("it was never synced",)


def test_what_failed_and_what_is_held_is_told(standing: Standing) -> None:
    standing.generation("a", "2026-01-01T10:00:00.000000Z", alpha="1.0")
    environment = standing.environment
    environment.save_state(
        dataclasses.replace(environment.state(), held={"b" * 32: "it was bad"}, error="No network.")
    )

    told = status(standing.registration, standing.root)

    assert (dict(told.held), told.error) == ({"b" * 32: "it was bad"}, "No network.")


def test_a_generation_that_is_gone_is_a_problem_not_a_failure(standing: Standing) -> None:
    standing.generation("a", "2026-01-01T10:00:00.000000Z", alpha="1.0")
    [generation] = standing.environment.generations()
    standing.environment.remove_generation(generation)

    told = status(standing.registration, standing.root)

    assert told.problem.startswith(f"Environment {NAME} has 'generations/1-{'a' * 32}' as its")
