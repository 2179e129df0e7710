"""`venvctl snapshot`: what environments can be restored from."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from venvctl.cli import export, import_, options
from venvctl.cli.answer import Answer, Line, Table, Tone
from venvctl.cli.sentences import count, to_the_second
from venvctl.errors import IntegrityError, UsageError
from venvctl.root import Root
from venvctl.workplace import Workplace

if TYPE_CHECKING:
    from venvctl.catalogue import ListedSnapshot

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    help="List, show, remove, export and import what environments can be restored from.",
    epilog="Example: `venvctl snapshot list`.",
    no_args_is_help=True,
)
Key = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help="A snapshot's key, or the beginning of only one.",
        autocompletion=options.complete_key,
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAnswer:
    """All snapshots of one root, oldest first."""

    snapshots: "tuple[ListedSnapshot, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveAnswer:
    """A snapshot that is forgotten, or with `dry_run` would be.

    Attributes:
        environments: those that it was the state of → when it last became so.
        last_of: those that have no other snapshot: nothing of them can be restored any more.
        wheels: files that no other snapshot and no generation needs; the next `gc` removes them.
    """

    key: str
    dry_run: bool
    environments: dict[str, str]
    last_of: tuple[str, ...]
    wheels: tuple[str, ...]


@app.command("list", epilog="Example: `venvctl snapshot list --json` for a program.")
def list_command(*, json: options.Json = False) -> Answer:
    """List the snapshots of this root."""
    base = Workplace.locate().base
    found = base.snapshots()
    rows = tuple(
        (
            one.key,
            to_the_second(one.created) or "-",
            one.python or "-",
            "can't be read" if one.problem else str(one.packages),
            ", ".join(sorted(one.environments)) or "-",
        )
        for one in found
    )
    table = Table(("KEY", "CREATED", "PYTHON", "PACKAGES", "ENVIRONMENTS"), rows)
    return Answer(
        data=ListAnswer(snapshots=found),
        lines=(
            table if rows else Line(f"There is no snapshot in {base.path}."),
            *(Line(one.problem, Tone.BAD) for one in found if one.problem),
        ),
    )


@app.command(
    "show",
    short_help="Show what a snapshot is made of.",
    epilog="Example: `venvctl snapshot show 3f9a` with the start of a key.",
)
def show_command(key: Key, *, json: options.Json = False) -> Answer:
    """Show what a snapshot is made of; its pylock.toml installs with any installer."""
    found = Workplace.locate().base.snapshot(key)
    listed = found.snapshot
    rows = tuple((file.name, file.version, file.file, file.sha256) for file in found.files)
    return Answer(
        data=found,
        lines=(
            Line(f"{listed.key}: {count(listed.packages, 'package')} for Python {listed.python}"),
            Line(f"mounted at {listed.mount}, made {to_the_second(listed.created)}", indent=1),
            Line(found.pylock, indent=1),
            Table(("PACKAGE", "VERSION", "FILE", "SHA-256"), rows),
        ),
    )


@app.command(
    "rm",
    short_help="Forget a snapshot, and say what is lost.",
    epilog="Example: `venvctl snapshot rm 3f9a`; `venvctl gc` then frees its files.",
)
def remove_command(
    key: Key,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what could not be restored any more.")
    ] = False,
    json: options.Json = False,
) -> Answer:
    """Forget a snapshot, and say what can't be restored without it.

    Refused while a generation of it is there. The wheels that nothing else needs go with the next
    `venvctl gc`.
    """
    from venvctl.catalogue import find_key  # noqa: PLC0415 - completion and help do without

    root = options.own_root()
    with nullcontext() if dry_run else root.working():
        full = find_key(key, root)
        used = sorted(
            f"{environment.name} (generation {generation.number})"
            for environment in root.environments()
            for generation in environment.generations()
            if generation.key == full
        )
        if used:
            raise UsageError(
                f"Snapshot {full} is in use by {', '.join(used)}.",
                hint="`venvctl gc` forgets what nothing needs any more.",
            )
        answer = _loss(full, root, dry_run=dry_run)
        if not dry_run:
            root.snapshots.remove(full)
    return Answer(data=answer, lines=tuple(_loss_lines(answer)))


def _loss(key: str, root: Root, *, dry_run: bool) -> RemoveAnswer:
    """What can't be restored without a snapshot."""
    from venvctl.seal import Seal  # noqa: PLC0415 - completion and help do without

    try:
        snapshot = root.snapshots.load(key)
    except IntegrityError:
        # What it was is not known: nobody can restore it.
        return RemoveAnswer(key=key, dry_run=dry_run, environments={}, last_of=(), wheels=())
    others = [root.snapshots.load(other) for other in root.snapshots.keys() if other != key]  # noqa: SIM118 - a store, no mapping
    needed = {origin.sha256 for other in others for origin in other.files}
    for environment in root.environments():
        for generation in environment.generations():
            needed |= {each.origin.sha256 for each in Seal.load(generation.path).packages}
    elsewhere = {name for other in others for name in other.environments}
    return RemoveAnswer(
        key=key,
        dry_run=dry_run,
        environments={name: use.since for name, use in sorted(snapshot.environments.items())},
        last_of=tuple(sorted(snapshot.environments.keys() - elsewhere)),
        wheels=tuple(origin.file for origin in snapshot.files if origin.sha256 not in needed),
    )


def _loss_lines(answer: RemoveAnswer) -> Iterator[Line]:
    yield Line(f"{answer.key}: {'would be forgotten' if answer.dry_run else 'forgotten'}")
    for name, since in answer.environments.items():
        loss = (
            "; it has no other snapshot, so nothing of it can be restored any more"
            if name in answer.last_of
            else ", and can't be restored to it any more"
        )
        yield Line(f"{name} was this at {to_the_second(since)}{loss}", indent=1)
    if answer.wheels:
        files = f"{count(len(answer.wheels), 'wheel')} that nothing else needs"
        yield Line(f"{files}: {', '.join(answer.wheels)}", indent=1)


app.command(
    "export", short_help="Write one into a file, with all its wheels.", epilog=export.EPILOG
)(export.export_command)
app.command(
    "import", short_help="Take one in from a file, or nothing of it.", epilog=import_.EPILOG
)(import_.import_command)
