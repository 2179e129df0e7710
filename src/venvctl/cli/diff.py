"""`venvctl diff`: the packages in which two generations differ."""

from dataclasses import dataclass
from typing import Annotated

import typer

from venvctl import plan
from venvctl.cli import options
from venvctl.cli.answer import Answer, Line
from venvctl.cli.naming import resolve
from venvctl.environments import Environment
from venvctl.errors import UsageError
from venvctl.project import ComposeOptions

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffAnswer:
    """The packages in which two generations of one environment differ, by name."""

    environment: str
    before: int
    after: int
    changes: tuple[str, ...]


@app.command(epilog="Example: `venvctl diff shop_venv 3 5` compares generations 3 and 5.")
def diff_command(
    name: options.Name,
    before: Annotated[
        int | None,
        typer.Argument(metavar="[A]", min=1, help="A generation; else the one before B."),
    ] = None,
    after: Annotated[
        int | None, typer.Argument(metavar="[B]", min=1, help="Another one; else the current one.")
    ] = None,
    *,
    json: options.Json = False,
) -> Answer:
    """Show the packages in which two generations differ, also of ones that are gone."""
    root = options.open_root()
    name = resolve(name, root, ComposeOptions(), options.current_directory())
    environment = root.environment(name)
    if after is None:
        current = environment.current()
        if current is None:
            raise UsageError(f"Environment {name} has no generation yet.")
        after = current.number
    if before is None:
        before = _before(environment, after)
    keys = [_key(environment, number) for number in (before, after)]
    old, new = (root.snapshots.load(key).files for key in keys)
    changes = plan.differences(old, new)
    title = Line(f"{name}: generation {before} → {after}")
    lines = [Line(change, indent=1) for change in changes] or [Line("the same packages", indent=1)]
    return Answer(
        data=DiffAnswer(environment=name, before=before, after=after, changes=changes),
        lines=(title, *lines),
    )


def _before(environment: Environment, number: int) -> int:
    """The generation that this one took the place of, when it last did."""
    for event in reversed(environment.history()):
        if event.generation == number and event.previous not in {0, number}:
            return event.previous
    raise UsageError(
        f"Generation {number} of {environment.name} took no other one's place.",
        hint=f"`venvctl history {environment.name}` shows what there was.",
    )


def _key(environment: Environment, number: int) -> str:
    """Whose snapshot a generation was made of; the history knows it when the generation is gone."""
    for generation in environment.generations():
        if generation.number == number:
            return generation.key
    for event in reversed(environment.history()):
        if event.generation == number and event.key:
            return event.key
    environment.numbered(number)
    raise UsageError(f"Environment {environment.name} never had a generation {number}.")
