"""`venvctl restore`: rebuild an environment from the store alone."""

from typing import Annotated

import typer

from venvctl.cli import options
from venvctl.cli.answer import Answer, Line, Tone
from venvctl.cli.display import display
from venvctl.cli.naming import resolve
from venvctl.cli.sentences import count, describe_steps
from venvctl.errors import UsageError
from venvctl.project import ComposeOptions
from venvctl.restore import restore
from venvctl.root import Root

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog="Example: `venvctl restore shop_venv` after its directory was lost.")
def restore_command(
    name: options.Name,
    snapshot: Annotated[
        str | None,
        typer.Option(
            "--snapshot",
            metavar="KEY",
            help="A snapshot it had, or an imported one; else the one it had last.",
        ),
    ] = None,
    *,
    json: options.Json = False,
) -> Answer:
    """Rebuild an environment from its snapshot and the store, without a network.

    Also where its directory was deleted while containers run on it: they are brought back onto
    the restored generation.
    """
    root = options.open_root()
    name = _resolve(name, root)
    with display(as_json=json) as progress:
        result = restore(name, root, snapshot=snapshot, progress=progress)
    made = f"generation {result.generation} restored and current"
    lines = [Line(f"{name}: {made}, {count(result.packages, 'package')}", Tone.GOOD)]
    if result.replaced:
        lines.append(Line("its directory was lost: every holder was stopped and started", indent=1))
    return Answer(data=result, lines=(*lines, *describe_steps(result.steps)))


def _resolve(name: str, root: Root) -> str:
    """The environment that a person means, also where its snapshots are all that is left of it."""
    if root.snapshots.of(name):
        return name
    try:
        return resolve(name, root, ComposeOptions(), options.current_directory())
    except UsageError:
        return name  # `restore` says what there is to restore
