"""`venvctl logs`: what venvctl did, and does now."""

import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated

import typer

from venvctl.cli import options
from venvctl.cli.answer import Answer, Line, Tone
from venvctl.cli.naming import resolve_all
from venvctl.journal import Entry, Journal
from venvctl.project import ComposeOptions

_POLL = 0.25  # seconds between two looks at the files

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_TONES = {"failure": Tone.BAD, "rollback": Tone.TITLE, "removal": Tone.TITLE}


@app.command(epilog="Example: `venvctl logs --follow` beside a daemon.")
def logs_command(
    names: options.Names = None,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Stay, and show what happens from now on.")
    ] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, help="How many entries to begin with.")
    ] = 100,
    json: options.Json = False,
) -> Answer | Iterator[Answer]:
    """Show what venvctl did to environments, whoever asked for it, in the order it happened.

    Without a name: to all environments. Times are those of this machine's time zone.
    """
    root = options.open_root()
    chosen = resolve_all(names or [], root, ComposeOptions(), options.current_directory())
    journal = Journal(root, chosen)
    past = journal.read()
    begin = past[-lines:] if lines else []
    return _stream(begin, journal) if follow else _answer(begin)


def _stream(entries: list[Entry], journal: Journal) -> Iterator[Answer]:
    """The answers to ``--follow``; it ends with an interrupt."""
    while True:
        if entries:
            yield _answer(entries)
        time.sleep(_POLL)
        entries = journal.read()


def _answer(entries: Iterable[Entry]) -> Answer:
    entries = tuple(entries)
    return Answer(data=entries, lines=tuple(line for entry in entries for line in _lines(entry)))


def _lines(entry: Entry) -> list[Line]:
    event = entry.event
    parts = [_local(event.time), entry.environment, event.kind]
    if event.generation:
        before = f" (was {event.previous})" if event.previous else ""
        parts.append(f"generation {event.generation}{before}")
    lines = [Line("  ".join(parts), _TONES.get(event.kind, Tone.PLAIN))]
    lines += [Line(text, Tone.QUIET, indent=2) for text in (*event.reasons, *event.notes)]
    lines += [Line(text, indent=2) for text in event.changes]
    return lines


def _local(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return text
