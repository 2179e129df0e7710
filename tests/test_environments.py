"""One environment on disk: what is current is always whole, and only one writes at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from estate import Estate
from venvctl import disk
from venvctl.environments import Environment, Event
from venvctl.errors import BusyError, IntegrityError, UsageError
from venvctl.state import State

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    return Estate(folder=tmp_path)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "root", "shop")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_environment_that_is_not_there_is_empty(environment: Environment) -> None:
    assert not environment.exists
    assert environment.generations() == []
    assert environment.current() is None
    assert environment.state() == State()
    assert environment.history() == []
    assert environment.next_number() == 1


def test_generations_are_those_with_a_seal_oldest_first(estate: Estate) -> None:
    for key in "abc":
        estate.add("shop", key, estate.wheel("alpha"))
    environment = estate.environment("shop")
    folder = environment.generations_directory
    (folder / f"1-{'a' * 32}" / "seal.json").unlink()
    for other in ("4-short", f"05-{'e' * 32}", f"x-{'e' * 32}", f"5-{'E' * 32}"):
        (folder / other).mkdir()
        (folder / other / "seal.json").write_text("{}")

    assert [(each.number, each.key) for each in environment.generations()] == [
        (2, "b" * 32),
        (3, "c" * 32),
    ]


def test_ten_comes_after_nine(environment: Environment) -> None:
    for number in (10, 9, 100):
        folder = environment.generations_directory / f"{number}-{'a' * 32}"
        folder.mkdir(parents=True)
        (folder / "seal.json").write_text("{}")

    assert [each.number for each in environment.generations()] == [9, 10, 100]
    assert environment.with_key("a" * 32) == environment.numbered(100)
    assert environment.with_key("b" * 32) is None


def test_a_number_that_is_not_there_names_those_that_are(estate: Estate) -> None:
    estate.add("shop", "a", estate.wheel("alpha"))
    estate.add("shop", "b", estate.wheel("alpha"))

    with pytest.raises(UsageError) as caught:
        estate.environment("shop").numbered(7)

    assert caught.value.message == "Environment shop has no generation 7; it has 1, 2."
    assert caught.value.hint == "`venvctl history shop` shows them."


def test_current_that_names_nothing_whole_is_an_error_that_says_what_to_do(
    estate: Estate,
) -> None:
    generation = estate.add("shop", "a", estate.wheel("alpha"))
    environment = estate.environment("shop")
    (generation.path / "seal.json").unlink()

    with pytest.raises(IntegrityError) as caught:
        environment.current()

    assert caught.value.message == (
        f"Environment shop has 'generations/{generation.name}' as its current generation, "
        f"which is not in {environment.generations_directory}."
    )
    assert caught.value.hint == "Bring it back from the store: `venvctl restore shop`."
    assert environment.current_or_none() is None


def test_a_switch_makes_the_links_first_and_then_one_rename(estate: Estate) -> None:
    plain = estate.wheel("alpha")
    data = estate.wheel("beta", files={"beta-1.0.data/data/etc/beta.conf": "x"})
    estate.add("shop", "a", plain)
    second = estate.generation("shop", estate.snapshot("b", plain, data))
    environment = estate.environment("shop")
    renamed: list[str] = []

    def observe(operation: str, path: Path) -> None:
        if operation == "rename":
            renamed.append(path.name)

    disk.observers.append(observe)
    try:
        environment.switch(second)
    finally:
        disk.observers.remove(observe)

    assert renamed == ["etc", "current"]
    assert environment.current() == second
    assert (environment.volume / "etc/beta.conf").read_text() == "x"
    assert names(environment.volume) == [
        ".venvctl", "bin", "etc", "lib", "lib64", "pyvenv.cfg",
    ]  # fmt: skip


def test_links_are_a_union_over_generations_and_go_with_the_last_that_needs_them(
    estate: Estate,
) -> None:
    data = estate.wheel("beta", files={"beta-1.0.data/data/etc/beta.conf": "x"})
    first = estate.add("shop", "a", data)
    estate.add("shop", "b", estate.wheel("alpha"))
    environment = estate.environment("shop")

    environment.remove_stale_links()
    assert "etc" in names(environment.volume)
    environment.remove_generation(first)
    environment.remove_stale_links()

    assert "etc" not in names(environment.volume)
    assert [each.number for each in environment.generations()] == [2]


def test_a_state_is_read_back(environment: Environment) -> None:
    state = State(
        inputs={"lock /p/requirements.lock": "1"},
        held={"a" * 32: "generation 2 was bad"},
        last_number=7,
        volume_inode=42,
        pending={"ID": "2026-01-01T00:00:00Z"},
        before={"ID": "2026-01-01T00:00:00Z", "OTHER": "2026-01-01T00:00:01Z"},
        reached=("OTHER",),
        good=5,
        back_to=5,
        back_because="web got unhealthy",
        restarts={"web": (1.5, 2.5)},
        stopped=("THIRD",),
        error="No Docker Engine answers.",
    )
    environment.prepare()

    environment.save_state(state)

    assert environment.state() == state


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1, "last-number": "x"}', "\xff"])
def test_a_state_that_can_t_be_read_is_none(environment: Environment, text: str) -> None:
    environment.prepare()
    (environment.directory / "state.json").write_bytes(text.encode("latin-1"))

    assert environment.state() == State()


def test_nobody_is_behind_a_switch_that_never_came(estate: Estate) -> None:
    first = estate.add("shop", "a", estate.wheel("alpha"))
    second = estate.add("shop", "b", estate.wheel("alpha"))
    environment = estate.environment("shop")
    environment.switch(first)
    pending = {"id": "2026-01-01T00:00:00Z"}
    environment.save_state(
        State(pending=pending, before=pending, reached=("id",), toward=second.number, good=1)
    )

    assert environment.state() == State(good=1)
    environment.switch(second)
    assert environment.state().pending == pending


def test_a_number_is_never_used_twice(estate: Estate) -> None:
    environment = estate.environment("shop")
    for key in "ab":
        estate.add("shop", key, estate.wheel("alpha"))
    environment.switch(environment.numbered(1))
    environment.remove_generation(environment.numbered(2))

    assert environment.next_number() == 3


def test_the_history_is_read_back_without_torn_lines(environment: Environment) -> None:
    environment.prepare()
    first = Event(
        time="2026-01-01T00:00:00.000000Z",
        kind="sync",
        generation=1,
        key="a" * 32,
        previous=0,
        reasons=("it was never synced",),
        changes=("flask 3.0.0 → 3.0.1",),
        notes=("build: no generation has these files",),
    )
    last = Event(time="2026-01-01T00:00:01.000000Z", kind="rollback", generation=1, previous=2)
    environment.record(first)
    with (environment.directory / "history.jsonl").open("ab") as stream:
        stream.write(b'1\n{"kind": "sync"}\n\xff\xfe\n{"time": "2026')
    environment.record(last)

    assert environment.history() == [first, last]


_HOLD = """
import sys
from pathlib import Path
from venvctl.environments import Environment
with Environment(Path(sys.argv[1]), "shop").writing():
    print("in", flush=True)
    sys.stdin.read()
"""


def holding(environment: Environment) -> subprocess.Popen[str]:
    """Another process that writes to the environment until it is told to end, or killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, environment.root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    return process


def test_there_is_one_writer_and_the_second_one_says_who(environment: Environment) -> None:
    with holding(environment) as process:
        with pytest.raises(BusyError) as caught, environment.writing():
            pass
        process.communicate()

    assert caught.value.message.startswith(
        f"Environment shop is being worked on by process {process.pid} ({sys.executable} -c"
    )
    assert caught.value.hint == "Try again when it is done."
    assert process.returncode == 0
    with environment.writing():
        assert environment.writer().startswith(f"process {os.getpid()} (")
    assert environment.writer() == ""


def test_a_writer_that_was_killed_holds_nothing(environment: Environment) -> None:
    with holding(environment) as process:
        process.kill()

    with environment.writing():
        assert environment.exists


def test_who_waits_gets_his_turn(environment: Environment) -> None:
    with holding(environment) as process:
        assert process.stdin is not None
        process.stdin.close()
        with environment.writing(wait=20.0):
            assert process.wait(60) == 0
