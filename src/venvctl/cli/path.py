"""`venvctl path`: where the host has an environment's packages, for editors."""

from dataclasses import dataclass

import typer

from venvctl.cli import options
from venvctl.cli.answer import Answer, Line
from venvctl.cli.naming import resolve
from venvctl.errors import UsageError
from venvctl.project import ComposeOptions

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PathAnswer:
    """Where the host has an environment.

    Attributes:
        path: of its site-packages, through the link that names the current generation: it stays
            the same over syncs.
        generation: number of the current one.
    """

    environment: str
    path: str
    generation: int


@app.command(epilog="Example: `venvctl path shop_venv` for an editor's search path.")
def path_command(name: options.Name, *, json: options.Json = False) -> Answer:
    """Print the host's path of the current site-packages.

    The path stays the same when a sync switches to another generation.
    """
    root = options.open_root()
    name = resolve(name, root, ComposeOptions(), options.current_directory())
    environment = root.environment(name)
    current = environment.current()
    found = sorted(current.path.glob("lib/python*/site-packages")) if current else []
    if current is None or not found:
        raise UsageError(
            f"Environment {name} has no generation yet.", hint=f"`venvctl sync {name}` makes one."
        )
    path = str(environment.volume / found[0].relative_to(current.path))
    answer = PathAnswer(environment=name, path=path, generation=current.number)
    return Answer(data=answer, lines=(Line(path),))
