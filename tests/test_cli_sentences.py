"""What happened to an environment, as a person reads it."""

from __future__ import annotations

import pytest

from venvctl.cli.answer import Tone
from venvctl.cli.sentences import count, describe_steps, describe_sync, duration
from venvctl.plan import Action
from venvctl.rollout import Outcome, StepResult
from venvctl.sync import SyncResult


def text(result: SyncResult) -> list[str]:
    return ["  " * line.indent + line.text for line in describe_sync(result)]


def result(action: Action, **fields: object) -> SyncResult:
    values = {"environment": "shop_venv", "action": action, "because": "why", "generation": 2}
    return SyncResult(**(values | fields))  # type: ignore[arg-type]  # a test's shorthand


def test_nothing_to_do_is_one_plain_line() -> None:
    [line] = describe_sync(result(Action.NOTHING))

    assert line.text == "shop_venv: nothing to do, generation 2 is current"
    assert line.tone is Tone.PLAIN


def test_a_new_generation_with_all_that_it_took() -> None:
    steps = (
        StepResult(
            name="web-1", action="restart", outcome=Outcome.DONE, because="it mounts", seconds=0.5
        ),
        StepResult(name="job-1", action="none", outcome=Outcome.LEFT, because="it is paused"),
    )

    assert text(
        result(
            Action.BUILD,
            previous=1,
            reasons=("lock changed", "the mount path changed"),
            changes=("flask 1 → 2",),
            fetched=1,
            built=2,
            volume_created=True,
            seconds={"snapshot": 1.5, "switch": 0.001},
            steps=steps,
        )
    ) == [
        "shop_venv: generation 2 made and current, in place of 1",
        "  because lock changed",
        "  because the mount path changed",
        "  flask 1 → 2",
        "  1 file fetched, 2 packages built, volume made, 1.50 s (snapshot 1.50 s)",
        "  web-1: restart, done in 0.50 s (it mounts)",
        "  job-1: none, left alone (it is paused)",
    ]


def test_the_packages_of_a_first_generation_are_counted() -> None:
    changes = tuple(f"+ p{number} 1" for number in range(3))

    assert text(result(Action.BUILD, generation=1, changes=changes)) == [
        "shop_venv: generation 1 made and current",
        "  3 packages",
    ]


def test_many_changes_are_counted() -> None:
    changes = tuple(f"p{number} 1 → 2" for number in range(21))

    assert text(result(Action.REUSE, previous=1, changes=changes)) == [
        "shop_venv: generation 2 taken again and current, in place of 1",
        "  21 packages differ",
    ]


@pytest.mark.parametrize(
    ("action", "line"),
    [
        (Action.KEEP, "shop_venv: generation 2 stays current, why"),
        (Action.HOLD, "shop_venv: generation 2 stays current, what the lock selects is held: why"),
    ],
)
def test_what_stays_says_why(action: Action, line: str) -> None:
    assert text(result(action)) == [line]


@pytest.mark.parametrize(
    ("action", "line"),
    [
        (Action.NOTHING, "would do nothing: why"),
        (Action.KEEP, "would keep generation 2: why"),
        (Action.HOLD, "would stay on generation 2: why"),
        (Action.REUSE, "would switch to a generation that is there (generation 2 is current)"),
        (Action.BUILD, "would make a generation (generation 2 is current)"),
    ],
)
def test_a_dry_run_says_what_would_happen(action: Action, line: str) -> None:
    assert text(result(action, dry_run=True)) == [f"shop_venv: {line}"]


def test_a_dry_run_names_every_reason_change_and_file() -> None:
    assert text(
        result(
            Action.BUILD,
            generation=0,
            dry_run=True,
            reasons=("it was never synced",),
            changes=("+ six 1.17.0",),
            missing=("six-1.17.0-py2.py3-none-any.whl",),
            warnings=("careful",),
        )
    ) == [
        "shop_venv: would make a generation (it has no generation yet)",
        "  because it was never synced",
        "  + six 1.17.0",
        "  1 file to fetch:",
        "    six-1.17.0-py2.py3-none-any.whl",
        "  warning: careful",
    ]


def test_a_failed_step_stands_out() -> None:
    step = StepResult(name="web-1", action="exec:x", outcome=Outcome.FAILED, because="it said no")

    [line] = describe_steps([step])

    assert (line.text, line.tone) == ("web-1: exec:x, failed (it said no)", Tone.BAD)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0, "0.00 s"), (59.99, "59.99 s"), (65.4, "1 m 5 s")]
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 files"), (1, "1 file"), (1234, "1,234 files")]
)
def test_counts(number: int, words: str) -> None:
    assert count(number, "file") == words
