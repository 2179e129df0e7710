"""`venvctl snapshot`: what environments can be restored from."""

from dataclasses import dataclass
from typing import Annotated

import typer

from venvctl.catalogue import ListedSnapshot, find_key
from venvctl.cli import export, import_, options
from venvctl.cli.answer import Answer, Line, Table
from venvctl.cli.sentences import count
from venvctl.errors import UsageError
from venvctl.workplace import Workplace

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    help="List, show, remove, export and import what environments can be restored from.",
    epilog="Example: `venvctl snapshot list`.",
    no_args_is_help=True,
)
Key = Annotated[
    str, typer.Argument(metavar="KEY", help="A snapshot's key, or the beginning of only one.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAnswer:
    """All snapshots of one root, oldest first."""

    snapshots: tuple[ListedSnapshot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveAnswer:
    """A snapshot that is forgotten."""

    key: str


@app.command("list", epilog="Example: `venvctl snapshot list --json` for a program.")
def list_command(*, json: options.Json = False) -> Answer:
    """List the snapshots of this root."""
    base = Workplace.locate().base
    found = base.snapshots()
    rows = tuple(
        (
            one.key,
            one.created.partition(".")[0] + "Z",
            one.python,
            str(one.packages),
            ", ".join(sorted(one.environments)) or "-",
        )
        for one in found
    )
    table = Table(("KEY", "CREATED", "PYTHON", "PACKAGES", "ENVIRONMENTS"), rows)
    return Answer(
        data=ListAnswer(snapshots=found),
        lines=(table,) if rows else (Line(f"There is no snapshot in {base.path}."),),
    )


@app.command("show", epilog="Example: `venvctl snapshot show 3f9a` with the start of a key.")
def show_command(key: Key, *, json: options.Json = False) -> Answer:
    """Show what a snapshot is made of; its pylock.toml installs with any installer."""
    found = Workplace.locate().base.snapshot(key)
    listed = found.snapshot
    rows = tuple((file.name, file.version, file.file, file.sha256) for file in found.files)
    return Answer(
        data=found,
        lines=(
            Line(f"{listed.key}: {count(listed.packages, 'package')} for Python {listed.python}"),
            Line(f"mounted at {listed.mount}, made {listed.created}", indent=1),
            Line(found.pylock, indent=1),
            Table(("PACKAGE", "VERSION", "FILE", "SHA-256"), rows),
        ),
    )


@app.command("rm", epilog="Example: `venvctl snapshot rm 3f9a`; `venvctl gc` then frees its files.")
def remove_command(key: Key, *, json: options.Json = False) -> Answer:
    """Forget a snapshot; the wheels that nothing else needs go with the next `venvctl gc`.

    Refused while a generation of it is there.
    """
    root = options.own_root()
    with root.working():
        full = find_key(key, root)
        used = sorted(
            f"{name} (generation {generation.number})"
            for name in root.registry.names()
            for generation in root.environment(name).generations()
            if generation.key == full
        )
        if used:
            raise UsageError(
                f"Snapshot {full} is in use by {', '.join(used)}.",
                hint="`venvctl gc` forgets what nothing needs any more.",
            )
        root.snapshots.remove(full)
    return Answer(data=RemoveAnswer(key=full), lines=(Line(f"{full}: forgotten"),))


app.command("export", epilog=export.EPILOG)(export.export_command)
app.command("import", epilog=import_.EPILOG)(import_.import_command)
