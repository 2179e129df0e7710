"""`venvctl rollback`: go back to an earlier generation."""

from typing import Annotated

import typer

from venvctl.cli import options
from venvctl.cli.answer import Answer, Line, Tone
from venvctl.cli.display import display
from venvctl.cli.naming import find
from venvctl.cli.sentences import describe_changes, describe_steps
from venvctl.workplace import Workplace

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog="Example: `venvctl rollback shop_venv --to 3` goes back to generation 3.")
def rollback_command(
    name: options.Name,
    to: Annotated[
        int | None,
        typer.Option(
            "--to",
            metavar="N",
            min=1,
            help="Number of a generation; else the one before.",
            autocompletion=options.complete_generation,
        ),
    ] = None,
    *,
    json: options.Json = False,
) -> Answer:
    """Switch to an earlier generation, and bring the containers onto it.

    The generation that was left is held: no sync goes there again until the lock selects other
    packages, or with `venvctl sync --force`.
    """
    name, backend = find(name, Workplace.locate(), options.current_directory())
    with display(as_json=json) as progress:
        result = backend.rollback(name, to=to, progress=progress)
    was = f"in place of {result.previous}, which is held"
    if not result.held:
        was = f"in place of {result.previous}, which has the same files"
    return Answer(
        data=result,
        lines=(
            Line(f"{name}: generation {result.generation} is current again, {was}", Tone.GOOD),
            *describe_changes(result.changes),
            *describe_steps(result.steps),
        ),
    )
