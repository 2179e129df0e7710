"""`venvctl path`: where the host has an environment's packages, for editors."""

import typer

from venvctl.cli import options
from venvctl.cli.answer import Answer, Line
from venvctl.cli.naming import find
from venvctl.workplace import Workplace

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog="Example: `venvctl path shop_venv` for an editor's search path.")
def path_command(name: options.Name, *, json: options.Json = False) -> Answer:
    """Print the host's path of the current site-packages.

    The path stays the same when a sync switches to another generation.
    """
    name, backend = find(name, Workplace.locate(), options.current_directory())
    answer = backend.site_packages(name)
    return Answer(data=answer, lines=(Line(answer.path),))
