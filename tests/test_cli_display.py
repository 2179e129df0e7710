"""How far work is: bars on a terminal, silence in a pipe, warnings in both."""

from __future__ import annotations

import os
import pty
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from venvctl.cli.bars import AmountColumn, make
from venvctl.cli.display import display

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """A real terminal as stderr; what was written to it is in the list afterwards."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    controller, device = pty.openpty()
    written: list[bytes] = []

    def read() -> None:
        try:
            while part := os.read(controller, 65536):
                written.append(part)
        except OSError:
            return  # nobody has the terminal open any more

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(device, "w") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        yield written
    reader.join(60)
    os.close(controller)


def test_a_pipe_gets_warnings_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    with display(as_json=False) as progress:
        progress.stage("fetching", total=3, unit="bytes")
        progress.advance(3)
        progress.warn("careful \x1b[2J")
        with progress.aside() as speaks:
            assert speaks

    assert capsys.readouterr() == ("", "Warning: careful \\x1b[2J\n")


def test_a_program_gets_nothing_beside_its_json(capsys: pytest.CaptureFixture[str]) -> None:
    with display(as_json=True) as progress:
        progress.stage("fetching")
        progress.advance(1)
        progress.warn("careful")
        with progress.aside() as speaks:
            assert not speaks

    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_each_stage_and_is_clean_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with terminal(monkeypatch) as written, display(as_json=False) as progress:
        progress.stage("fetching \x1b]0;x\x07", total=2_000_000, unit="bytes")
        progress.advance(1_000_000)
        progress.stage("compiling", total=3, unit="wheels")
        progress.advance(2)
        progress.warn("careful")
        progress.stage("selecting")
    text = b"".join(written).decode()

    assert "fetching \\x1b]0;x\\x07" in text
    assert "\x1b]0;x" not in text
    assert "Warning:" in text and "careful" in text  # noqa: PT018 - one line, two styles
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 2  # the cursor comes back
    assert "\x1b[2K" in text  # and the bars' line is wiped


def test_bars_step_aside_for_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as written, display(as_json=False) as progress:
        progress.stage("selecting")
        with progress.aside() as speaks:
            sys.stderr.write("compose speaks\n")
            sys.stderr.flush()
            assert speaks
    text = b"".join(written).decode()

    assert text.index("\x1b[?25h") < text.index("compose speaks")


def test_amounts_are_told_in_their_unit() -> None:
    bars = make()
    column = AmountColumn()
    for total, unit, done, words in (
        (2_000_000, "bytes", 1_500_000, "1.5 MB of 2.0 MB"),
        (3, "wheels", 2, "2 of 3 wheels"),
        (3, "", 2, "2 of 3"),
        (None, "", 2, ""),
    ):
        task = bars.add_task("x", total=total, unit=unit, completed=done)
        assert str(column.render(bars.tasks[-1])) == words
        bars.remove_task(task)
