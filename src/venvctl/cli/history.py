"""`venvctl history`: what happened to an environment."""

from dataclasses import dataclass
from typing import Annotated

import typer

from venvctl.cli import options
from venvctl.cli.answer import Answer, Line, Table
from venvctl.cli.naming import find
from venvctl.cli.sentences import describe_changes, to_the_second
from venvctl.environments import Event
from venvctl.workplace import Workplace

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryAnswer:
    """What happened to one environment, oldest first."""

    environment: str
    events: tuple[Event, ...]


@app.command(epilog="Example: `venvctl history shop_venv --limit 5` shows the last five.")
def history_command(
    name: options.Name,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=0, help="So many of the latest; 0 means all.")
    ] = 20,
    *,
    json: options.Json = False,
) -> Answer:
    """Show what happened to an environment: syncs, rollbacks, restores, rollouts and failures."""
    name, backend = find(name, Workplace.locate(), options.current_directory())
    events = tuple(backend.history(name)[-limit:])
    rows = tuple(_row(event) for event in events)
    table = Table(("TIME", "EVENT", "GENERATION", "KEY", "WHAT"), rows)
    return Answer(
        data=HistoryAnswer(environment=name, events=events),
        lines=(table,) if rows else (Line(f"Nothing has happened to {name} yet."),),
    )


def _row(event: Event) -> tuple[str, ...]:
    number = str(event.generation) if event.generation else "-"
    if event.previous and event.previous != event.generation:
        number = f"{event.previous} → {event.generation}"
    # Changes first: they are what a person looks for.
    changes = [line.text for line in describe_changes(event.changes)]
    what = "; ".join((*changes, *event.notes)) or "; ".join(event.reasons)
    return to_the_second(event.time), event.kind, number, event.key, what
