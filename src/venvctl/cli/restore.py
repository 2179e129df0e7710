"""`venvctl restore`: rebuild an environment from the store alone."""

from typing import Annotated

import typer

from venvctl.backend import Backend
from venvctl.cli import options
from venvctl.cli.answer import Answer, Line, Tone
from venvctl.cli.display import display
from venvctl.cli.naming import find
from venvctl.cli.sentences import count, describe_steps
from venvctl.errors import UsageError
from venvctl.workplace import Workplace

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog="Example: `venvctl restore shop_venv` after its directory was lost.")
def restore_command(
    name: options.Name,
    snapshot: Annotated[
        str | None,
        typer.Option(
            "--snapshot",
            metavar="KEY",
            help="One it had, or an imported one, by the start of its key; else the last one.",
            autocompletion=options.complete_key,
        ),
    ] = None,
    *,
    json: options.Json = False,
) -> Answer:
    """Rebuild an environment from its snapshot and the store, without a network.

    Also where its directory was deleted while containers run on it: they are brought back onto
    the restored generation.
    """
    name, backend = _find(name, Workplace.locate())
    with display(as_json=json) as progress:
        result = backend.restore(name, snapshot=snapshot, progress=progress)
    made = f"generation {result.generation} restored and current"
    lines = [Line(f"{name}: {made}, {count(result.packages, 'package')}", Tone.GOOD)]
    if result.replaced:
        lines.append(Line("its directory was lost: every holder was stopped and started", indent=1))
    return Answer(data=result, lines=(*lines, *describe_steps(result.steps)))


def _find(name: str, workplace: Workplace) -> tuple[str, Backend]:
    """The environment that a person means, also where its snapshots are all that is left of it."""
    if workplace.base.has_snapshots(name):
        return name, workplace.base
    try:
        return find(name, workplace, options.current_directory())
    except UsageError:
        return name, workplace.base  # `restore` says what there is to restore
