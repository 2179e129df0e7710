"""`venvctl hook`: git hooks that take up a lockfile which a commit, merge or push brings."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from venvctl.cli import options
from venvctl.cli.answer import Answer, Line, Tone
from venvctl.cli.naming import find_project
from venvctl.errors import RootError
from venvctl.hookfiles import KEPT, Placement
from venvctl.project import ComposeOptions
from venvctl.repository import Repository
from venvctl.root import Root, locate

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    help="Git hooks that take up a lockfile which a commit, merge, checkout or push brings.",
    epilog="Example: `venvctl hook install` in a project's work tree.",
    no_args_is_help=True,
)

_HOW = {
    Placement.ADDED: "made",
    Placement.INSERTED: "added to the script that is there",
    Placement.WRAPPED: f"made; it calls the one that was there, now in {KEPT}/",
    Placement.PRESENT: "there already",
}


@app.command(
    "install",
    short_help="Put venvctl into git's hooks here.",
    epilog="Example: on a build host, in a bare repository: "
    "`venvctl hook install --branch main --lock requirements.lock`.",
)
def install_command(
    *,
    locks: Annotated[
        list[str] | None,
        typer.Option(
            "--lock",
            metavar="FILE",
            help="A lockfile that no environment is made of yet; may be given more than once.",
        ),
    ] = None,
    branches: Annotated[
        list[str] | None,
        typer.Option(
            "--branch",
            metavar="NAME",
            help="In a bare repository: a branch whose pushes count, or a pattern (`release/*`); "
            "may be given more than once.",
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Let git wait for the sync, and show it.")
    ] = False,
    json: options.Json = False,
) -> Answer:
    """Put venvctl into the hooks of the git repository here; others' hooks stay.

    In a work tree: after a commit, merge, checkout or rebase. In a bare repository: after a push to
    one of the branches. A hook compares what git lists of the lockfiles, and ends if that is what
    it was.
    """
    from venvctl import hooks  # noqa: PLC0415 - completion and help do without

    cwd = options.current_directory()
    repository = Repository.find(cwd)
    named = [_below(repository, cwd, text) for text in locks or ()]
    if repository.work_tree is not None:
        named += _of_project(repository, cwd)
    done = hooks.install(
        repository,
        root=_root(),
        root_path=locate(),
        locks=named,
        branches=branches or (),
        wait=wait,
    )
    lines = [Line(f"Hooks of {done.repository}, in {done.hooks_directory}:", Tone.TITLE)]
    lines += [Line(f"{name}: {_HOW[how]}", indent=1) for name, how in done.hooks.items()]
    lines += [Line("They compare:"), *(Line(lock, indent=1) for lock in done.locks)]
    for branch, directory in done.received.items():
        lines.append(Line(f"Branch {branch} is written to {directory}; make an environment of it:"))
        lines += [
            Line(f"venvctl env add NAME --lock {directory / lock} --image IMAGE", indent=1)
            for lock in done.locks
        ]
    lines += [
        Line(f"A branch like {pattern} is written beside when it is pushed: the log says where.")
        for pattern in done.patterns
    ]
    lines += [Line(note, Tone.BAD) for note in done.notes]
    return Answer(data=done, lines=tuple(lines))


@app.command(
    "uninstall",
    short_help="Take venvctl out of them again.",
    epilog="Example: `venvctl hook uninstall`.",
)
def uninstall_command(
    *,
    json: options.Json = False,
) -> Answer:
    """Take venvctl out of the hooks of the git repository here; what was there before is back."""
    from venvctl import hooks  # noqa: PLC0415 - completion and help do without

    done = hooks.uninstall(Repository.find(options.current_directory()))
    text = f"Taken out of {', '.join(done.hooks)}." if done.hooks else "No hook had venvctl in it."
    return Answer(data=done, lines=(Line(text), *(Line(note) for note in done.notes)))


@app.command(
    "run",
    short_help="Sync what changed; the hooks run this.",
    epilog="Example: `venvctl hook run`, after lockfiles changed without a hook.",
)
def run_command(
    hook: Annotated[
        str, typer.Argument(metavar="[HOOK]", help="The hook that git ran, e.g. post-commit.")
    ] = "",
    *,
    json: options.Json = False,
) -> Answer:
    """Sync the environments whose lockfiles changed since the last time; the hooks run this."""
    from venvctl import hooks  # noqa: PLC0415 - completion and help do without

    repository = Repository.find(options.current_directory())

    def head(changed: Sequence[str]) -> str:
        time = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return f"{time} {hook or 'by hand'}: {', '.join(changed) or 'no lockfile'} changed"

    def begin(changed: Sequence[str]) -> None:
        if not json:
            typer.echo(head(changed))  # at once: what the sync prints comes after it

    done = hooks.run(repository, hook, root=_root(), sync=hooks.sync_command, begin=begin)
    lines = []
    if not done.changed and (done.notes or not hook):
        lines.append(Line(head(()), Tone.QUIET))
    lines += [Line(note, indent=1) for note in done.notes]
    if done.exit_code:
        names = ", ".join(done.environments)
        lines.append(Line(f"The sync of {names} ended with exit code {done.exit_code}.", Tone.BAD))
    return Answer(data=done, lines=tuple(lines))


@app.command(
    "check",
    short_help="Refuse lockfiles that can't be used.",
    epilog="Example: `venvctl hook check` before a commit.",
)
def check_command(
    *,
    json: options.Json = False,
) -> Answer:
    """Refuse lockfiles that venvctl could not use; nothing is changed.

    What is not the lockfile's fault, such as an engine that does not answer, is told and refuses
    nothing.
    """
    from venvctl import hookcheck  # noqa: PLC0415 - completion and help do without

    done = hookcheck.check(Repository.find(options.current_directory()), _root())
    lines = [Line(f"Can be used: {', '.join(done.environments)}.", Tone.GOOD)]
    shown = lines if done.environments and not done.errors else []
    return Answer(
        data={"environments": done.environments, "notes": done.notes},
        lines=(*shown, *(Line(note) for note in done.notes)),
        errors=done.errors,
    )


def _root() -> Root | None:
    """The root; None if it belongs to another user, whose daemon then follows what is written."""
    try:
        root = Root(locate())
        root.registry.names()
    except (RootError, PermissionError):
        return None
    return root


def _below(repository: Repository, cwd: Path, text: str) -> Path:
    # A bare repository has no directories to be in: its paths start at the top of the tree.
    return (repository.top if repository.work_tree is None else cwd) / text


def _of_project(repository: Repository, cwd: Path) -> list[Path]:
    """The lockfiles of the compose project here that are in the repository."""
    project = find_project(ComposeOptions(), cwd)
    locks = [each.specification.lock for each in project.environments] if project else []
    return [lock for lock in locks if lock.is_relative_to(repository.top)]
