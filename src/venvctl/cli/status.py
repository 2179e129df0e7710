"""`venvctl status`: where each environment stands."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from venvctl.backend import Backend
from venvctl.cli import options
from venvctl.cli.answer import Answer, Line, Table, Tone
from venvctl.cli.naming import find, find_project
from venvctl.cli.sentences import count, to_the_second
from venvctl.errors import (
    ConfigurationError,
    EngineUnreachableError,
    IntegrityError,
    VenvctlError,
)
from venvctl.project import ComposeOptions
from venvctl.workplace import Workplace

if TYPE_CHECKING:
    from venvctl.status import EnvironmentStatus, Holder
    from venvctl.usage import EnvironmentUsage

_AWAY = "`venvctl doctor` says how to have it answer."

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusAnswer:
    """Where the environments of one root stand, by name.

    Attributes:
        usage: what each takes on disk; empty unless it is asked for with ``--verbose``.
    """

    root: str
    environments: "tuple[EnvironmentStatus, ...]"
    usage: "tuple[EnvironmentUsage, ...]" = ()


@app.command(epilog="Example: `venvctl status` shows what the next sync would look at, and why.")
def status_command(
    names: options.Names = None,
    *,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show keys, all reasons and bytes on disk.")
    ] = False,
    json: options.Json = False,
) -> Answer:
    """Show where each environment stands, what would make it sync, and who runs on it.

    Without a name: those of the compose project here, else all that are registered. When the engine
    does not answer it shows what it can without it, and ends with exit code 3.
    """
    workplace = Workplace.locate()
    chosen = _choose(names or [], workplace, options.current_directory())
    found: list[EnvironmentStatus] = []
    errors: list[VenvctlError] = []
    for name, backend in chosen.items():
        try:
            found.append(backend.status(name))
        except (ConfigurationError, IntegrityError) as error:
            if len(chosen) == 1:
                raise
            errors.append(error)
    usage = _usage(chosen, workplace) if verbose else ()
    lines = [line for each in found for line in describe(each, usage, verbose=verbose)]
    away = [each.engine for each in found if each.engine]
    return Answer(
        data=StatusAnswer(root=str(workplace.base.path), environments=tuple(found), usage=usage),
        lines=tuple(lines)
        or (() if errors else (Line(f"There is no environment in {workplace.base.path}."),)),
        errors=(*errors, *(EngineUnreachableError(why, hint=_AWAY) for why in away[:1])),
    )


def _choose(names: list[str], workplace: Workplace, cwd: Path) -> dict[str, Backend]:
    """The environments to tell of, by name, and who has each."""
    if names:
        return dict(find(name, workplace, cwd) for name in names)
    known = workplace.base.names()
    project = find_project(ComposeOptions(), cwd)
    mine = [each.specification.name for each in project.environments] if project else []
    here = {name: workplace.knowing(name) for name in mine}
    there = {
        name: backend
        for name, backend in here.items()
        if name in known or backend is not workplace.base
    }
    return there or dict.fromkeys(known, workplace.base)


def _usage(chosen: Mapping[str, Backend], workplace: Workplace) -> "tuple[EnvironmentUsage, ...]":
    """What those take that are in a root of this user's own; another's can't be looked into."""
    root = workplace.own
    mine = [name for name, backend in chosen.items() if backend is workplace.base]
    if root is None or not mine or not root.path.is_dir():
        return ()
    from venvctl.usage import Census  # noqa: PLC0415 - only who asks for it

    census = Census(root)
    return tuple(map(census.environment, mine))


def describe(
    each: "EnvironmentStatus", usage: "Iterable[EnvironmentUsage]" = (), *, verbose: bool
) -> tuple[Line | Table, ...]:
    """One environment for a person.

    Args:
        each: where it stands.
        usage: what it takes on disk, among others.
        verbose: whether everything is told.
    """
    word, tone = _word(each)
    number = f"generation {each.generation}" if each.generation else "no generation"
    lines: list[Line | Table] = [Line(f"{each.environment}: {number}, {word}", tone)]
    if each.generation:
        content = f"{count(each.packages, 'package')} for Python {each.python} at {each.mount}"
        lines.append(
            Line(
                f"{content}, since {to_the_second(each.current_since) or 'an unknown time'}",
                indent=1,
            )
        )
    lines.append(Line(f"lock {each.lock}: {each.lock_state}", indent=1))
    lines += [Line(f"to sync: {reason}", indent=1) for reason in each.reasons]
    lines += [Line(f"held: {key}: {why}", indent=1) for key, why in each.held.items()]
    if each.held:
        lines.append(
            Line(
                f"`venvctl sync --force {each.environment}` goes to what the lock selects",
                Tone.QUIET,
                2,
            )
        )
    for mark, text in (("problem", each.problem), ("the last sync failed", each.error)):
        if text:
            lines.append(Line(f"{mark}: {text}", Tone.BAD, 1))
    lines += _last(each, verbose=verbose)
    if verbose:
        numbers = ", ".join(map(str, each.generations)) or "none"
        lines.append(Line(f"key {each.key or 'none'}, generations {numbers}", indent=1))
        lines.append(Line(f"{_owner(each)}, in {each.directory}", indent=1))
        lines += [
            line for one in usage if one.environment == each.environment for line in _disk(one)
        ]
    lines += [Line(_holder(holder), indent=1) for holder in each.holders]
    if each.engine:
        lines.append(Line("its containers are not known: the engine does not answer", indent=1))
    elif not each.holders:
        lines.append(Line("no container mounts it", Tone.QUIET, 1))
    return tuple(lines)


def _word(each: "EnvironmentStatus") -> tuple[str, Tone]:
    if each.problem or each.error:
        return "in trouble", Tone.BAD
    if not each.generation:
        return "never synced", Tone.TITLE
    if each.lock_state == "missing":
        return "its lock is missing", Tone.BAD
    if each.reasons:
        return "to be synced", Tone.TITLE
    if each.held:
        return "another one is held", Tone.TITLE
    return "up to date", Tone.GOOD


def _disk(usage: "EnvironmentUsage") -> Iterator[Line]:
    shared = f"{usage.shared:,} that other environments have too"
    yield Line(f"on disk: {usage.alone:,} bytes of its own, {shared}", indent=1)
    for each in usage.generations:
        shared = f"{each.shared:,} that other generations have too"
        yield Line(f"generation {each.number}: {each.alone:,} bytes of its own, {shared}", indent=2)


def _owner(each: "EnvironmentStatus") -> str:
    return f"of project {each.project}" if each.project else "made by `venvctl env add`"


def _last(each: "EnvironmentStatus", *, verbose: bool) -> list[Line]:
    if each.last is None:
        return []
    notes = "; ".join(each.last.notes)
    if each.error and each.error.splitlines()[0] in notes:
        notes = ""  # it was said above
    words = f"last: {each.last.kind} at {to_the_second(each.last.time)}"
    if each.last.kind == "failure" and not each.error:
        words += ", taken back since"
    lines = [Line(f"{words}: {notes}" if notes else words)]
    if verbose:
        lines += [Line(f"because {reason}", Tone.QUIET, 1) for reason in each.last.reasons]
    return [Line(line.text, line.tone, line.indent + 1) for line in lines]


def _holder(holder: "Holder") -> str:
    words = [f"{holder.name}: {holder.state}"]
    if holder.health:
        words.append(holder.health)
    if holder.generation:
        place = f"on generation {holder.generation}"
        words.append(place if holder.current else f"{place}, which is not the current one")
    if holder.pending:
        words.append("still to be reached")
    return ", ".join(words)
