"""Options and arguments that several verbs share, so that they read and behave the same."""

import os
from pathlib import Path
from typing import Annotated

from typer import Argument, Context, Option

from venvctl.errors import RootError, UsageError, VenvctlError
from venvctl.project import ComposeOptions
from venvctl.root import Root, locate
from venvctl.workplace import Workplace


def open_root() -> Root:
    """The root of this user's own; `RootError` if it can't be used."""
    return Root(locate())


def own_root() -> Root:
    """The root that this process works on, for what no daemon does for somebody else.

    Raises:
        RootError: it is another user's, or can't be used.
    """
    workplace = Workplace.locate()
    if workplace.own is None:
        raise RootError(
            f"This works on the files of the root {workplace.base.path} themselves, and they are "
            "another user's: its daemon does not do it for somebody else.",
            hint="Run it as that user, e.g. with sudo; or set VENVCTL_ROOT to a root of yours.",
        )
    return workplace.own


def current_directory() -> Path:
    """Where the user is, with the links that they came through, as compose has it."""
    said = os.environ.get("PWD", "")
    try:
        if said.startswith("/") and os.path.samefile(said, "."):  # noqa: PTH121 - no Path yet
            return Path(said)
    except OSError:
        pass
    return Path.cwd()


def output_file(text: str) -> Path:
    """The file that an answer is written into; `UsageError` if its directory is not there."""
    path = current_directory() / text
    if not path.parent.is_dir():
        raise UsageError(
            f"There is no directory {path.parent}.", hint="Make it, or name another file."
        )
    return path


def compose_options(
    files: list[str] | None,
    project_name: str,
    profiles: list[str] | None,
    env_files: list[str] | None,
    project_directory: str,
) -> ComposeOptions:
    """The options of `docker compose` itself, as they were given."""
    return ComposeOptions(
        files=tuple(files or ()),
        project_name=project_name,
        profiles=tuple(profiles or ()),
        env_files=tuple(env_files or ()),
        project_directory=project_directory,
    )


def complete_name(incomplete: str) -> list[str]:
    """The known environments' names, for the shell."""
    try:
        names = Workplace.locate().base.names()
    except (VenvctlError, OSError):
        return []
    return [name for name in names if name.startswith(incomplete)]


def complete_generation(ctx: Context, incomplete: str) -> list[str]:
    """The numbers of the generations of the environment that was named before, for the shell."""
    # Behind an option without its value yet, arguments are not told apart.
    name = str(ctx.params.get("name") or next(iter(ctx.args), ""))
    try:
        own = Workplace.locate().own
        found = own.environment(name).generations() if own else []
    except (VenvctlError, OSError):
        return []
    return [str(one.number) for one in found if str(one.number).startswith(incomplete)]


def complete_key(incomplete: str) -> list[str]:
    """The keys of all snapshots, for the shell."""
    try:
        own = Workplace.locate().own
        keys = own.snapshots.keys() if own else []
    except (VenvctlError, OSError):
        return []
    return [key for key in keys if key.startswith(incomplete)]


def complete_name_or_key(incomplete: str) -> list[str]:
    """Environments, then snapshots, for the shell."""
    return [*complete_name(incomplete), *complete_key(incomplete)]


_NAME_HELP = "The volume's name, or in a compose project's directory its key in the compose file."

Json = Annotated[bool, Option("--json", help="Print one JSON object instead of text.")]
Offline = Annotated[
    bool, Option("--offline", help="Use what is stored; ask no index and no image registry.")
]
Name = Annotated[str, Argument(metavar="ENV", help=_NAME_HELP, autocompletion=complete_name)]
Names = Annotated[
    list[str] | None,
    Argument(metavar="[ENV]...", help=_NAME_HELP, autocompletion=complete_name),
]
Files = Annotated[
    list[str] | None,
    Option("--file", "-f", metavar="FILE", help="A compose file; may be given more than once."),
]
ProjectName = Annotated[
    str, Option("--project-name", "-p", metavar="NAME", help="The compose project's name.")
]
Profiles = Annotated[
    list[str] | None,
    Option("--profile", metavar="NAME", help="A profile to turn on; may be given more than once."),
]
EnvFiles = Annotated[
    list[str] | None,
    Option("--env-file", metavar="FILE", help="A file of variables for the compose files."),
]
ProjectDirectory = Annotated[
    str,
    Option("--project-directory", metavar="DIR", help="Where the project's relative paths start."),
]
