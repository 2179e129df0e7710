"""`venvctl logs`: what venvctl did, and does now."""

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from venvctl.backend import Backend, Here
from venvctl.cli import options
from venvctl.cli.answer import Answer, Line, Tone
from venvctl.cli.naming import find
from venvctl.document import Document
from venvctl.errors import UsageError, VenvctlError
from venvctl.journal import Entry, Journal
from venvctl.workplace import Workplace

_POLL = 0.25  # seconds between two looks at the files
_REMOTE_POLL = 5.0  # seconds between two looks of a daemon that has nothing to tell
_SEARCH = 1.0  # seconds between two looks for a daemon

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_TONES = {"failure": Tone.BAD, "rollback": Tone.TITLE, "removal": Tone.TITLE}
# What the daemon tells that comes to be in a history by itself.
_WRITTEN = frozenset({"synced", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEntry:
    """Something that the daemon tells while it happens; `happening` as in its stream of events."""

    environment: str
    happening: dict[str, object]


@app.command(epilog="Example: `venvctl logs --follow` beside a daemon.")
def logs_command(
    names: options.Names = None,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Stay, and show what happens from now on.")
    ] = False,
    lines: Annotated[
        int,
        typer.Option("--lines", "-n", metavar="N", min=0, help="How many entries to begin with."),
    ] = 100,
    json: options.Json = False,
) -> Answer | Iterator[Answer]:
    """Show what venvctl did to environments, whoever asked for it, in the order it happened.

    Without a name: to all environments. Times are those of this machine's time zone. With --follow
    a running daemon also tells what it does now.
    """
    workplace = Workplace.locate()
    chosen = dict(find(name, workplace, options.current_directory()) for name in names or ())
    backend = next(iter(chosen.values()), workplace.base)
    if any(other.path != backend.path for other in chosen.values()):
        raise UsageError(
            "These environments are in more than one root, and a log is of one.",
            hint="Ask for those of one root at a time.",
        )
    journal = Journal(backend, tuple(chosen))
    past = journal.read()
    begin = past[-lines:] if lines else []
    if follow:
        return _stream(begin, journal, backend, frozenset(chosen))
    answer = _answer(begin)
    working = backend.working().items()
    now = [
        Line(f"now  {name}  being worked on by {by}", Tone.TITLE)
        for name, by in working
        if not chosen or name in chosen
    ]
    if not answer.lines and not now:
        now = [Line("Nothing has happened yet.", Tone.QUIET)]
    return Answer(data=answer.data, lines=(*answer.lines, *now))


def _stream(
    entries: list[Entry], journal: Journal, backend: Backend, chosen: frozenset[str]
) -> Iterator[Answer]:
    """The answers to ``--follow``; it ends with an interrupt, or with a daemon that is all."""
    live: queue.SimpleQueue[Document] = queue.SimpleQueue()
    listener = threading.Thread(target=_listen, args=(backend.path, live), daemon=True)
    listener.start()
    poll = _POLL if isinstance(backend, Here) else _REMOTE_POLL
    while True:
        if entries:
            yield _answer(entries)
        happening = None
        with suppress(queue.Empty):
            happening = live.get(timeout=poll)
        if happening is not None and (answer := _live(happening, chosen)):
            yield answer
            entries = []
            continue
        entries = journal.read()


def _listen(root: Path, live: queue.SimpleQueue[Document]) -> None:
    """Hand on what the root's daemon tells, also one that is started later."""
    from venvctl import client  # noqa: PLC0415 - completion and help do without

    while True:
        with suppress(VenvctlError):
            if (daemon := client.find(root)) is not None:
                for happening in daemon.events():
                    live.put(happening)
        time.sleep(_SEARCH)


def _live(happening: Document, chosen: frozenset[str]) -> Answer | None:
    """What the daemon tells; None where it is in a history too, or about something else."""
    name, kind = happening.text("environment"), happening.text("kind")
    if kind in _WRITTEN or (chosen and name not in chosen):
        return None
    said = happening.text("message").removeprefix(f"{name}: ")
    words = [_local(happening.text("time")), name or "daemon"]
    words += [said] if kind in {"stage", "daemon"} else [kind, said]
    entry = LiveEntry(environment=name, happening=dict(happening.fields))
    return Answer(data=(entry,), lines=(Line("  ".join(words), Tone.QUIET),))


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
