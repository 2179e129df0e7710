"""Which environments a command line means: volume names, and keys of the project it is given in."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from venvctl.errors import EngineError, EngineUnreachableError, NoProjectError, UsageError
from venvctl.project import ComposeOptions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from venvctl.backend import Backend
    from venvctl.project import ComposeProject
    from venvctl.workplace import Workplace


def find_project(options: ComposeOptions, cwd: Path) -> ComposeProject | None:
    """The compose project that a command is given in; None outside of one.

    Raises:
        ConfigurationError, ComposeError: there is one, and it can't be read.
    """
    from venvctl import compose, location  # noqa: PLC0415 - a command for a known name does without

    try:
        # Before anything of compose is run: outside of a project it need not even be installed.
        location.locate(options, cwd, ("docker", "compose"))
    except NoProjectError:
        if options.arguments():
            raise
        return None
    return compose.load(options, cwd)


def name_of(text: str, project: ComposeProject) -> str:
    """The environment of a project that a volume's name or key means; empty if none."""
    for each in project.environments:
        if text == each.specification.name:
            return text
    for each in project.environments:
        if text == each.volume_key:
            return each.specification.name
    return ""


def resolve(text: str, names: Sequence[str], options: ComposeOptions, cwd: Path) -> str:
    """The name of the environment that a person means.

    Args:
        text: what they typed.
        names: one that is registered is taken as it is, without a look at any project.
        options: which project's keys count otherwise.
        cwd: where they were given.

    Raises:
        UsageError: neither knows it; the message names those that are known.
    """
    if text in names:
        return text
    known = list(names)
    project = find_project(options, cwd)
    name = name_of(text, project) if project else ""
    if name:
        return name
    if project:
        keys = (each.volume_key for each in project.environments)
        known += [f"{key} (of the project {project.name})" for key in keys]
    raise UsageError(
        f"There is no environment {text!r}; known: {', '.join(known) or 'none'}.",
        hint="Run `venvctl up` in its compose project, or `venvctl env add`.",
    )


def resolve_all(
    texts: Sequence[str], names: Sequence[str], options: ComposeOptions, cwd: Path
) -> list[str]:
    """The names that a person means, each once, in the order they were typed."""
    return list(dict.fromkeys(resolve(text, names, options, cwd) for text in texts))


def find(text: str, workplace: Workplace, cwd: Path) -> tuple[str, Backend]:
    """The environment that a person means, and who has it.

    Args:
        text: what they typed: a name, or a key of the compose project in `cwd`.
        workplace: where it may be; one that only a volume tells of is found too.
        cwd: where it was typed.

    Raises:
        UsageError: as `resolve`.
        VolumeConflictError: it is of another root, and no daemon of that one answers.
    """
    try:
        name = resolve(text, workplace.base.names(), ComposeOptions(), cwd)
    except UsageError:
        with suppress(EngineUnreachableError, EngineError):
            if (other := workplace.of(text)) is not workplace.base:
                return text, other
        raise
    return name, workplace.knowing(name)
