"""`venvctl snapshot import`: a snapshot from another host."""

from pathlib import Path
from typing import Annotated

import typer

from venvctl.cli import options
from venvctl.cli.answer import Answer, Line, Tone
from venvctl.cli.display import display
from venvctl.cli.sentences import count
from venvctl.errors import UsageError

EPILOG = (
    "Example: `venvctl snapshot import shop.tar.zst --env shop_venv`, "
    "then `venvctl restore shop_venv`."
)
_GIB = 1 << 30


def import_command(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="What `venvctl snapshot export` wrote.")
    ],
    env: Annotated[
        list[str] | None,
        typer.Option(
            "--env",
            metavar="NAME",
            help="An environment of this host that it is for; may be given more than once.",
            autocompletion=options.complete_name,
        ),
    ] = None,
    max_size: Annotated[
        int,
        typer.Option("--max-size", metavar="GIB", min=1, help="Refuse an archive of more wheels."),
    ] = 64,
    *,
    json: options.Json = False,
) -> Answer:
    """Take a snapshot in from a file; nothing is imported unless all of it is what it says.

    `venvctl restore ENV --snapshot KEY` then makes an environment of this host from it.
    """
    from venvctl.transfer import (  # noqa: PLC0415 - listing snapshots does without
        ImportLimits,
        import_snapshot,
    )

    root = options.own_root()
    path = options.current_directory() / Path(file)
    if not path.is_file():
        raise UsageError(f"There is no file {path}.")
    with display(as_json=json) as progress:
        result = import_snapshot(
            path,
            root,
            environments=env or (),
            limits=ImportLimits(size=max_size * _GIB),
            progress=progress,
        )
    what = f"{count(result.packages, 'package')} for Python {result.python} at {result.mount}"
    done = "is here already" if result.known else f"imported, {count(result.added, 'file')} new"
    uses = (
        Line(f"use it with: venvctl restore {name} --snapshot {result.key}", indent=1)
        for name in result.environments or ("ENV",)
    )
    return Answer(data=result, lines=(Line(f"{result.key}: {done} ({what})", Tone.GOOD), *uses))
