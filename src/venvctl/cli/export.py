"""`venvctl snapshot export`: a snapshot with all of its wheels in one file."""

from typing import Annotated

import typer

from venvctl.catalogue import find_key
from venvctl.cli import options
from venvctl.cli.answer import Answer, Line, Tone
from venvctl.cli.display import display
from venvctl.cli.naming import find_project, name_of
from venvctl.cli.sentences import count
from venvctl.errors import UsageError
from venvctl.project import ComposeOptions
from venvctl.root import Root

EPILOG = "Example: `venvctl snapshot export shop_venv --output shop.tar.zst`."


def export_command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="KEY|ENV",
            help="A snapshot's key, or the beginning of only one; or an environment, for the "
            "snapshot that it is on.",
            autocompletion=options.complete_name_or_key,
        ),
    ],
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="A file ending in .tar or .tar.zst."),
    ],
    *,
    json: options.Json = False,
) -> Answer:
    """Write a snapshot with all of its wheels into one file, to be imported on another host.

    The same snapshot gives the same bytes on every host. Unpacked, it is a directory for
    `pip install --no-index --find-links`, with a pylock.toml for any installer.
    """
    from venvctl.transfer import export_snapshot  # noqa: PLC0415 - listing snapshots does without

    root = options.own_root()
    key = _key(name, root)
    with display(as_json=json) as progress:
        result = export_snapshot(key, options.output_file(output), root, progress=progress)
    made = f"{count(result.packages, 'package')}, {result.size:,} bytes"
    return Answer(
        data=result,
        lines=(
            Line(f"{key}: exported to {output} ({made})", Tone.GOOD),
            Line(f"SHA-256 {result.sha256}", indent=1),
        ),
    )


def _key(text: str, root: Root) -> str:
    """The snapshot that a person means; an environment's name goes before the start of a key."""
    if text in root.registry.names():
        current = root.environment(text).current_or_none()
        if current is not None and current.key in root.snapshots:
            return current.key
    if had := root.snapshots.of(text):
        return had[-1].key
    try:
        return find_key(text, root)
    except UsageError:
        project = find_project(ComposeOptions(), options.current_directory())
        name = name_of(text, project) if project else ""
        if name in {"", text}:
            raise
    return _key(name, root)
