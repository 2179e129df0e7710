"""Which environments a command line means: volume names, and keys of the project it is given in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from venvctl.errors import NoProjectError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from venvctl.project import ComposeOptions, ComposeProject
    from venvctl.root import Root


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


def resolve(text: str, root: Root, options: ComposeOptions, cwd: Path) -> str:
    """The name of the environment that a person means.

    Args:
        text: what they typed.
        root: a name that is registered there is taken as it is, without a look at any project.
        options: which project's keys count otherwise.
        cwd: where they were given.

    Raises:
        UsageError: neither knows it; the message names those that are known.
    """
    known = root.registry.names()
    if text in known:
        return text
    project = find_project(options, cwd)
    name = name_of(text, project) if project else ""
    if name:
        return name
    if project:
        keys = (each.volume_key for each in project.environments)
        known += [f"{key} (of the project {project.name})" for key in keys]
    raise UsageError(
        f"There is no environment {text!r}; known: {', '.join(known) or 'none'}.",
        hint="`venvctl up` in a compose project makes its environments, and `venvctl env add` "
        "one without a project.",
    )


def resolve_all(texts: Sequence[str], root: Root, options: ComposeOptions, cwd: Path) -> list[str]:
    """The names that a person means, each once, in the order they were typed."""
    return list(dict.fromkeys(resolve(text, root, options, cwd) for text in texts))


def find_snapshot(text: str, root: Root) -> str:
    """The key of the snapshot whose key is, or begins with, what a person typed.

    Raises:
        UsageError: none, or more than one.
    """
    found = [key for key in root.snapshots.keys() if key.startswith(text)]  # noqa: SIM118 - a store, no mapping
    if len(found) == 1:
        return found[0]
    what = "more than one snapshot's key begins" if found else "no snapshot's key begins"
    raise UsageError(
        f"{text!r} names no snapshot: {what} with it.", hint="`venvctl snapshot list` shows them."
    )
