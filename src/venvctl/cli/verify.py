"""`venvctl verify`: check every file against its hash, and have what is damaged made anew."""

from typing import TYPE_CHECKING, Annotated

import typer

from venvctl.cli import options
from venvctl.cli.answer import Answer, Line, Tone
from venvctl.cli.display import display
from venvctl.cli.naming import resolve_all
from venvctl.cli.sentences import count
from venvctl.errors import EngineError, EngineUnreachableError, IntegrityError
from venvctl.project import ComposeOptions

if TYPE_CHECKING:
    from venvctl.verification import Problem, VerifyResult

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog="Example: `venvctl verify --repair` after a disk has failed.")
def verify_command(
    names: options.Names = None,
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Have what is damaged made anew, beside the old files.")
    ] = False,
    offline: options.Offline = False,
    json: options.Json = False,
) -> Answer:
    """Check every file of environments, and of the store below them, against its hash.

    Files that are too many, links and modes count too; each seal is compared with its snapshot and
    its wheels, each snapshot with its key, and the engine's volume and what running containers
    have mounted with the directory. Nobody else is asked.

    Without a name: all environments of this root, and everything else in it. Ends with exit code 6
    while anything is damaged.
    """
    from venvctl.verification import seen, verify  # noqa: PLC0415 - completion and help do without

    root = options.own_root()
    chosen = resolve_all(
        names or [], root.registry.names(), ComposeOptions(), options.current_directory()
    )
    with display(as_json=json) as progress:
        result = verify(chosen, root, repair=repair, offline=offline, progress=progress)
        try:
            result = seen(result, root, progress)
        except (EngineUnreachableError, EngineError) as error:
            progress.warn(f"Whether containers are shown these files can't be told: {error}")
    return describe(result, repair=repair)


def describe(result: "VerifyResult", *, repair: bool) -> Answer:
    """What was found, and what is still wrong."""
    lines = [Line(f"repaired: {problem}", Tone.GOOD) for problem in result.repaired]
    lines += [Line(_located(problem), Tone.BAD) for problem in result.problems]
    checked = f"{count(result.files, 'file')} of {count(result.generations, 'generation')} checked"
    lines.append(Line(f"{checked}, {result.bytes:,} bytes"))
    error = IntegrityError(
        f"{len(result.problems):,} files are not what they should be."
        if len(result.problems) != 1
        else "1 file is not what it should be.",
        hint="" if repair else "`venvctl verify --repair` has them made anew.",
    )
    return Answer(data=result, lines=tuple(lines), errors=() if result.ok else (error,))


def _located(problem: "Problem") -> str:
    return f"{problem.place}: {problem}"
