"""`venvctl gc`: remove what nothing reaches."""

from typing import TYPE_CHECKING, Annotated

import typer

from venvctl.cli import options
from venvctl.cli.answer import Answer, Line
from venvctl.cli.display import display
from venvctl.cli.sentences import count

if TYPE_CHECKING:
    from venvctl.collection import CollectResult
    from venvctl.usage import RootUsage

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog="Example: `venvctl gc --dry-run` shows what would go, and how much it frees.")
def gc_command(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would go, but remove nothing.")
    ] = False,
    json: options.Json = False,
) -> Answer:
    """Remove what nothing reaches: old generations, forgotten snapshots, their trees and wheels.

    How much stays is said by the labels venvctl.keep and venvctl.keep-snapshots.
    """
    from venvctl.collection import collect  # noqa: PLC0415 - completion and help do without

    root = options.own_root()
    with display(as_json=json) as progress:
        result = collect(root, dry_run=dry_run, progress=progress)
    return Answer(data=result, lines=describe(result))


def describe(result: "CollectResult") -> tuple[Line, ...]:
    """What went, or would go."""
    named = (
        *(f"generation {name}" for name in result.generations),
        *(f"snapshot {key}" for key in result.snapshots),
    )
    counted = [
        count(len(result.trees), "tree"),
        count(len(result.wheels), "wheel"),
        count(result.records, "record"),
    ]
    if result.quarantined:
        counted.append(count(result.quarantined, "damaged file"))
    verb = "would remove" if result.dry_run else "removed"
    freed = f"{verb} {', '.join(counted)}; {result.bytes:,} bytes"
    lines = (*(Line(f"{verb} {name}") for name in named), Line(freed))
    return lines if result.kept is None else (*lines, Line(_kept(result.kept)))


def _kept(kept: "RootUsage") -> str:
    content = (
        f"{count(kept.generations, 'generation')} of {count(kept.environments, 'environment')}"
    )
    return (
        f"kept {content}: {kept.alone:,} bytes that one generation has alone, {kept.shared:,} that"
        f" generations share; wheels {kept.wheels:,} bytes"
    )
