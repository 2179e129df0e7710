"""`venvctl snapshot`: what environments can be restored from."""

from dataclasses import dataclass
from typing import Annotated

import typer

from venvctl.cli import export, import_, options
from venvctl.cli.answer import Answer, Line, Table
from venvctl.cli.naming import find_snapshot
from venvctl.cli.sentences import count
from venvctl.errors import UsageError
from venvctl.snapshots import Snapshot

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
class ListedSnapshot:
    """One snapshot.

    Attributes:
        environments: name of each that has or had it → when it last became current there.
    """

    key: str
    created: str
    python: str
    mount: str
    packages: int
    environments: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAnswer:
    """All snapshots of one root, oldest first."""

    snapshots: tuple[ListedSnapshot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotFile:
    """One wheel of a snapshot."""

    name: str
    version: str
    file: str
    sha256: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowAnswer:
    """One snapshot with its wheels, and where its `pylock.toml` is."""

    snapshot: ListedSnapshot
    pylock: str
    files: tuple[SnapshotFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveAnswer:
    """A snapshot that is forgotten."""

    key: str


@app.command("list", epilog="Example: `venvctl snapshot list --json` for a program.")
def list_command(*, json: options.Json = False) -> Answer:
    """List the snapshots of this root."""
    root = options.open_root()
    found = [_listed(root.snapshots.load(key)) for key in root.snapshots.keys()]  # noqa: SIM118 - a store, no mapping
    found.sort(key=lambda one: one.created)
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
        data=ListAnswer(snapshots=tuple(found)),
        lines=(table,) if rows else (Line(f"There is no snapshot in {root.path}."),),
    )


@app.command("show", epilog="Example: `venvctl snapshot show 3f9a` with the start of a key.")
def show_command(key: Key, *, json: options.Json = False) -> Answer:
    """Show what a snapshot is made of; its pylock.toml installs with any installer."""
    root = options.open_root()
    snapshot = root.snapshots.load(find_snapshot(key, root))
    listed = _listed(snapshot)
    files = tuple(
        SnapshotFile(
            name=origin.name,
            version=origin.version,
            file=origin.file,
            sha256=origin.sha256,
            source=origin.source,
        )
        for origin in snapshot.files
    )
    pylock = str(root.snapshots.path(listed.key) / "pylock.toml")
    rows = tuple((file.name, file.version, file.file, file.sha256) for file in files)
    return Answer(
        data=ShowAnswer(snapshot=listed, pylock=pylock, files=files),
        lines=(
            Line(f"{listed.key}: {count(listed.packages, 'package')} for Python {listed.python}"),
            Line(f"mounted at {listed.mount}, made {listed.created}", indent=1),
            Line(pylock, indent=1),
            Table(("PACKAGE", "VERSION", "FILE", "SHA-256"), rows),
        ),
    )


@app.command("rm", epilog="Example: `venvctl snapshot rm 3f9a`; `venvctl gc` then frees its files.")
def remove_command(key: Key, *, json: options.Json = False) -> Answer:
    """Forget a snapshot; the wheels that nothing else needs go with the next `venvctl gc`.

    Refused while a generation of it is there.
    """
    root = options.open_root()
    with root.working():
        full = find_snapshot(key, root)
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


def _listed(snapshot: Snapshot) -> ListedSnapshot:
    return ListedSnapshot(
        key=snapshot.key,
        created=snapshot.created,
        python=snapshot.target.version,
        mount=snapshot.mount,
        packages=len(snapshot.files),
        environments={name: use.since for name, use in snapshot.environments.items()},
    )
