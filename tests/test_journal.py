"""The histories of several environments as one log, past and present."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import venvctl
from venvctl.backend import Here
from venvctl.cli.application import run
from venvctl.environments import Event
from venvctl.errors import ExitCode
from venvctl.journal import Journal
from venvctl.registration import Registration
from venvctl.root import Root
from venvctl.specification import EnvironmentSpecification


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Root:
    root = Root(tmp_path / "unnamed-root")
    root.create()
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    for name in ("shop_api", "shop_web"):
        register(root, name)
    record(root, "shop_web", 1, kind="sync", reasons=("it was never synced",))
    record(root, "shop_api", 2, kind="failure", notes=("The index is away.",))
    record(
        root, "shop_web", 3, kind="switch", generation=2, previous=1, changes=("six 1.16 → 1.17",)
    )
    return root


def register(root: Root, name: str) -> None:
    root.registry.claim(
        Registration(
            specification=EnvironmentSpecification(name=name, lock=root.path / "x.lock"),
            mount="/venv",
            images={},
            labels={},
            project="",
            directory=root.path,
        )
    )


def record(root: Root, name: str, second: int, **fields: object) -> None:
    event = Event(time=f"2026-11-21T10:00:{second:02}.000000Z", **fields)  # type: ignore[arg-type] # each test knows the fields
    root.environment(name).record(event)


def test_several_histories_are_one_log_in_the_order_of_time(
    root: Root, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [entry.environment for entry in Journal(Here(root)).read()] == [
        "shop_web",
        "shop_api",
        "shop_web",
    ]

    assert run(["logs"]) == ExitCode.DONE

    assert capsys.readouterr().out == (
        "2026-11-21 10:00:01  shop_web  sync\n"
        "    it was never synced\n"
        "2026-11-21 10:00:02  shop_api  failure\n"
        "    The index is away.\n"
        "2026-11-21 10:00:03  shop_web  switch  generation 2 (was 1)\n"
        "    six 1.16 → 1.17\n"
    )


def test_one_environment_and_the_last_entries_alone(
    root: Root, capsys: pytest.CaptureFixture[str]
) -> None:
    assert root.path.exists()
    assert run(["logs", "shop_web", "-n", "1", "--json"]) == ExitCode.DONE

    answer = json.loads(capsys.readouterr().out)
    assert answer["command"] == "logs"
    [entry] = answer["data"]
    assert (entry["environment"], entry["event"]["generation"]) == ("shop_web", 2)


def test_an_unknown_environment_is_wrong_usage(
    root: Root, capsys: pytest.CaptureFixture[str]
) -> None:
    assert root.path.exists()
    assert run(["logs", "nothing"]) == ExitCode.USAGE
    assert "There is no environment 'nothing'" in capsys.readouterr().err


def test_each_entry_is_told_once_also_of_an_environment_that_is_new(root: Root) -> None:
    everything, one = Journal(Here(root)), Journal(Here(root), ["shop_api"])
    assert len(everything.read()) == 3
    assert len(one.read()) == 1

    register(root, "later")
    record(root, "later", 5, kind="sync")
    record(root, "shop_web", 4, kind="sync")

    assert [entry.environment for entry in everything.read()] == ["shop_web", "later"]
    assert everything.read() == []
    assert one.read() == []


def test_a_history_that_was_begun_anew_is_told_from_its_beginning(root: Root) -> None:
    journal = Journal(Here(root), ["shop_web"])
    journal.read()
    (root.environment("shop_web").directory / "history.jsonl").unlink()
    record(root, "shop_web", 9, kind="sync")

    assert [entry.event.time[17:19] for entry in journal.read()] == ["09"]


def test_following_shows_what_comes_and_ends_with_an_interrupt(root: Root) -> None:
    environment = {
        **os.environ,
        "VENVCTL_ROOT": str(root.path),
        "PYTHONPATH": str(Path(venvctl.__file__).parents[1]),
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-m", "venvctl", "logs", "--follow", "-n", "1"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().endswith("shop_web  switch  generation 2 (was 1)\n")
        process.stdout.readline()
        record(root, "shop_api", 7, kind="rollback", generation=1)
        assert process.stdout.readline() == (
            "2026-11-21 10:00:07  shop_api  rollback  generation 1\n"
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
