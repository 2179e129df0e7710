"""The only module that prints: answers as text or as versioned JSON, errors, and warnings.

Text that comes from a lock, an index, an engine or a container may hold anything; here it is made
harmless, so that no package name can move a cursor or rename a window.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, TextIO

from venvctl.cli.answer import Answer, Line, Table, Tone
from venvctl.envelope import failure, success

if TYPE_CHECKING:
    from collections.abc import Iterable

    from venvctl.errors import VenvctlError

_INDENT = "  "
_STYLES = {
    Tone.PLAIN: "",
    Tone.GOOD: "green",
    Tone.BAD: "red",
    Tone.QUIET: "dim",
    Tone.TITLE: "bold",
}


def prepare_streams() -> None:
    """Let no character that the terminal's encoding lacks end a command."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a test's stream may have none
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def show(answer: Answer, *, command: str, as_json: bool) -> None:
    """Print an answer, and what went wrong with parts of it.

    Args:
        answer: what a command gave.
        command: its name, for the JSON envelope.
        as_json: one JSON object in one line, instead of text.
    """
    if as_json:
        _write(sys.stdout, _object(answer, command))
        return
    _show_parts(answer.lines)
    for error in answer.errors:
        show_error(error, command=command, as_json=False)


def text(answer: Answer, *, command: str, as_json: bool) -> str:
    """What `show` prints of an answer of plain lines without errors, wherever it is shown."""
    if as_json:
        return f"{_object(answer, command)}\n"
    return "".join(f"{_line_text(part)}\n" for part in answer.lines if isinstance(part, Line))


def _object(answer: Answer, command: str) -> str:
    envelope = success(command, answer.data)
    if answer.errors:
        # A part of the work was done: there is an error, and data all the same.
        envelope |= failure(command, answer.errors[0])
    return json.dumps(envelope)


def show_error(error: VenvctlError, *, command: str, as_json: bool) -> None:
    """Print an error without a traceback: on stderr for a person, on stdout as JSON."""
    if as_json:
        _write(sys.stdout, json.dumps(failure(command, error)))
        return
    sys.stdout.flush()
    _write_marked("Error:", error.message, "bold red")
    if error.hint:
        _write_marked("Hint:", error.hint, "bold")


def warn(message: str) -> None:
    """Print a warning on stderr."""
    _write_marked("Warning:", message, "bold yellow")


def harmless(text: str) -> str:
    """The text with everything that is no printable character, but line ends, written out."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\n" else ascii(character)[1:-1]
        for character in text
    )


def silence_stdout() -> None:
    """Let the interpreter's own last flush go nowhere, once whoever read from a pipe is gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_parts(parts: Iterable[Line | Table]) -> None:
    parts = tuple(parts)
    # rich costs more than all else of a command that says one plain line.
    fancy = any(isinstance(part, Table) or part.tone is not Tone.PLAIN for part in parts)
    if fancy and sys.stdout.isatty():
        _show_fancy(parts)
        return
    for part in parts:
        if isinstance(part, Table):
            _write(sys.stdout, "\n".join(_columns(part)))
        else:
            _write(sys.stdout, _line_text(part))


def _line_text(line: Line) -> str:
    margin = _INDENT * line.indent
    return margin + harmless(line.text).replace("\n", f"\n{margin}{_INDENT}")


def _cell(text: str) -> str:
    return harmless(text).replace("\n", " ")


def _columns(table: Table, room: int = 0) -> list[str]:
    """A table's lines, the first of them its head.

    Args:
        table: what to lay out.
        room: the characters of a terminal's line, where the last column goes below the others if
            they don't fit beside each other: no cell is cut, so that each can be copied.
    """
    rows = [tuple(map(_cell, row)) for row in (table.columns, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    below = 0 < room < sum(widths) + 2 * (len(widths) - 1)
    below = below and len(widths) > 1
    lines = []
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        if below and number:
            lines += ["  ".join(cells[:-1]).rstrip(), *_wrapped(row[-1], room)]
        else:
            lines.append("  ".join(cells).rstrip())
    return lines


def _wrapped(text: str, room: int) -> list[str]:
    """Lines of whole words with a margin."""
    from textwrap import wrap  # noqa: PLC0415 - a command in a pipe does without

    return wrap(
        text,
        room,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _show_fancy(parts: Iterable[Line | Table]) -> None:
    from rich.console import Console  # noqa: PLC0415 - a command in a pipe does without
    from rich.text import Text  # noqa: PLC0415 - the same

    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    for part in parts:
        if isinstance(part, Line):
            console.print(Text(_line_text(part), style=_STYLES[part.tone]))
            continue
        head, *rows = _columns(part, console.width)
        console.print(Text(head, style="bold"))
        for row in rows:
            console.print(Text(row))


def _write_marked(mark: str, message: str, style: str) -> None:
    """A message on stderr whose first word stands out; foreign lines can't pass for another one."""
    text = harmless(message).replace("\n", f"\n{_INDENT}")
    if not sys.stderr.isatty():
        _write(sys.stderr, f"{mark} {text}")
        return
    from rich.console import Console  # noqa: PLC0415 - a command in a pipe does without
    from rich.text import Text  # noqa: PLC0415 - the same

    console = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
    console.print(Text(mark, style=style).append(f" {text}", style="default not bold"))


def _write(stream: TextIO, text: str) -> None:
    stream.write(f"{text}\n")
    stream.flush()
