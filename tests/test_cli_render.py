"""What is printed: text that can do no harm, columns, and JSON in one envelope."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from console import COMMAND, environment
from venvctl.cli import render
from venvctl.cli.answer import Answer, Line, Table, Tone
from venvctl.errors import LockError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

ESCAPE = "\x1b]0;owned\x07"


def show(answer: Answer, *, as_json: bool = False) -> None:
    render.show(answer, command="sync", as_json=as_json)


def on_terminal(action: Callable[[], None], monkeypatch: pytest.MonkeyPatch, stream: str) -> str:
    """What `action` writes to a real terminal that stands in for one stream."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    controller, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as file:
        monkeypatch.setattr(sys, stream, file)
        action()
        monkeypatch.undo()
    # What was written waits in the terminal; at its end reading fails, as nobody has it open.
    parts: list[bytes] = []
    try:
        while part := os.read(controller, 65536):
            parts.append(part)
    except OSError:
        pass
    os.close(controller)
    return b"".join(parts).decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("flask 3.1.3 → 3.1.4", "flask 3.1.3 → 3.1.4"),
        (ESCAPE, "\\x1b]0;owned\\x07"),
        ("a\rb\tc", "a\\rb\\tc"),
        ("\x9b2J", "\\x9b2J"),
        ("evil\u202etxt.lhw", "evil\\u202etxt.lhw"),
        ("\udcff", "\\udcff"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_nothing_but_printable_text_and_line_ends_is_shown(text: str, shown: str) -> None:
    assert render.harmless(text) == shown


def test_a_pipe_gets_plain_lines_and_columns(capsys: pytest.CaptureFixture[str]) -> None:
    show(
        Answer(
            data=None,
            lines=(
                Line("title", Tone.TITLE),
                Line("first\nsecond", Tone.BAD, 1),
                Table(("NAME", "WHAT"), (("a", f"x{ESCAPE}"), ("longer", "y\nz"))),
            ),
        )
    )

    assert capsys.readouterr() == (
        "title\n  first\n    second\nNAME    WHAT\na       x\\x1b]0;owned\\x07\nlonger  y z\n",
        "",
    )


def test_a_terminal_gets_colours_and_no_control_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    answer = Answer(
        data=None,
        lines=(Line(f"[bold]{ESCAPE}", Tone.GOOD), Table(("NAME",), ((f"[red]{ESCAPE}",),))),
    )

    shown = on_terminal(lambda: show(answer), monkeypatch, "stdout")

    assert "\x1b[32m[bold]\\x1b]0;owned\\x07\x1b[0m\n" in shown
    assert "\x1b[1mNAME" in shown
    assert "[red]\\x1b]0;owned\\x07" in shown
    assert ESCAPE not in shown


def test_a_terminal_that_is_too_narrow_has_the_last_column_below_and_cuts_no_cell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    what = "alpha 1.0 → 2.0; " * 5 + "end"
    table = Table(("KEY", "WHAT"), (("0" * 32, what), ("1" * 32, "-")))

    shown = on_terminal(lambda: show(Answer(data=None, lines=(table,))), monkeypatch, "stdout")

    lines = [line.rstrip() for line in shown.splitlines()]
    assert "KEY" in lines[0]
    assert lines[0].endswith("WHAT\x1b[0m")
    assert (lines[1], lines[-2:]) == ("0" * 32, ["1" * 32, "  -"])
    assert " ".join(line.strip() for line in lines[2:-2]) == what
    assert max(map(len, lines[1:])) <= 80


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    answer = Answer(data=None, lines=(Line("good", Tone.GOOD),))

    assert on_terminal(lambda: show(answer), monkeypatch, "stdout") == "good\n"


def test_an_error_names_what_happened_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    error = LockError(f"lock:1: {ESCAPE}\nError: not this", hint="Mend it.")

    render.show_error(error, command="sync", as_json=False)

    assert capsys.readouterr() == (
        "",
        "Error: lock:1: \\x1b]0;owned\\x07\n  Error: not this\nHint: Mend it.\n",
    )


def test_an_error_stands_out_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    error = LockError(f"wrong {ESCAPE}")

    shown = on_terminal(
        lambda: render.show_error(error, command="sync", as_json=False), monkeypatch, "stderr"
    )

    assert shown.startswith("\x1b[1;31mError:\x1b[0m")
    assert "wrong \\x1b]0;owned\\x07" in shown


def test_the_envelope_of_data(capsys: pytest.CaptureFixture[str]) -> None:
    show(Answer(data={"name": "a\x1b", "seconds": 0.1234567891}, lines=(Line("no"),)), as_json=True)

    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "schema": 1,
        "command": "sync",
        "ok": True,
        "data": {"name": "a\x1b", "seconds": 0.123457},
    }
    assert "\x1b" not in out
    assert (out.count("\n"), err) == (1, "")


def test_the_envelope_of_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    render.show_error(LockError("Wrong.", hint="Mend it."), command="env add", as_json=True)

    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "schema": 1,
        "command": "env add",
        "ok": False,
        "error": {"code": "lock-invalid", "message": "Wrong.", "hint": "Mend it."},
    }
    assert err == ""


def test_work_that_failed_in_part_has_data_and_the_first_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = Answer(
        data=[1], lines=(Line("one"),), errors=(LockError("First."), UnavailableError("Second."))
    )

    show(answer, as_json=True)
    out, _ = capsys.readouterr()
    assert json.loads(out) == {
        "schema": 1,
        "command": "sync",
        "ok": False,
        "error": {"code": "lock-invalid", "message": "First.", "hint": ""},
        "data": [1],
    }

    show(answer)
    assert capsys.readouterr() == ("one\n", "Error: First.\nError: Second.\n")


def test_a_terminal_that_lacks_a_character_is_no_reason_to_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    render.prepare_streams()

    show(Answer(data=None, lines=(Line("1 → 2"),)))

    stream.seek(0)
    assert stream.read() == "1 \\u2192 2\n"


def test_whoever_reads_may_go_away() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*COMMAND, "env", "list"],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
        check=False,
    )
    os.close(writing)

    assert (done.returncode, done.stderr) == (1, "")
