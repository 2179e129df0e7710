"""`venvctl down`: `docker compose down`, and stop following the project."""

import typer

from venvctl.cli import options
from venvctl.cli.answer import Answer, Line
from venvctl.cli.display import display
from venvctl.workplace import Workplace

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    options_metavar="[OPTIONS] [-- COMPOSE DOWN FLAGS]",
    epilog="Example: `venvctl down -- --volumes` removes the volumes too.",
)
def down_command(
    context: typer.Context,
    files: options.Files = None,
    project_name: options.ProjectName = "",
    profiles: options.Profiles = None,
    env_files: options.EnvFiles = None,
    project_directory: options.ProjectDirectory = "",
    *,
    json: options.Json = False,
) -> Answer:
    """Run `docker compose down`, and stop following the project's lockfiles.

    What its environments are made of stays in the store: the next `venvctl up` fetches nothing.
    """
    from venvctl.up import down  # noqa: PLC0415 - completion and help do without

    compose = options.compose_options(files, project_name, profiles, env_files, project_directory)
    flags = tuple(context.obj or ())
    with display(as_json=json) as terminal:
        result = down(compose, options.current_directory(), flags, Workplace.locate(), terminal)
    return Answer(data=result, lines=(Line(f"{result.project}: down"),))
