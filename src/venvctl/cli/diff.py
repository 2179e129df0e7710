"""`venvctl diff`: the packages in which two generations differ."""

from typing import Annotated

import typer

from venvctl.cli import options
from venvctl.cli.answer import Answer, Line
from venvctl.cli.naming import find
from venvctl.workplace import Workplace

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog="Example: `venvctl diff shop_venv 3 5` compares generations 3 and 5.")
def diff_command(
    name: options.Name,
    before: Annotated[
        int | None,
        typer.Argument(
            metavar="[A]",
            min=1,
            help="A generation; else the one before B.",
            autocompletion=options.complete_generation,
        ),
    ] = None,
    after: Annotated[
        int | None,
        typer.Argument(
            metavar="[B]",
            min=1,
            help="Another one; else the current one.",
            autocompletion=options.complete_generation,
        ),
    ] = None,
    *,
    json: options.Json = False,
) -> Answer:
    """Show the packages in which two generations differ, also of ones that are gone."""
    name, backend = find(name, Workplace.locate(), options.current_directory())
    result = backend.compare(name, before=before, after=after)
    title = Line(f"{name}: generation {result.before} → {result.after}")
    lines = [Line(change, indent=1) for change in result.changes]
    return Answer(data=result, lines=(title, *(lines or [Line("the same packages", indent=1)])))
