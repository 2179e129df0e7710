"""The command line as a whole: which verbs there are, and from arguments to an exit code."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command

import venvctl
from venvctl.cli import render
from venvctl.cli.answer import Answer
from venvctl.errors import ExitCode, UsageError, VenvctlError

if TYPE_CHECKING:
    from types import FrameType

    from venvctl.cli.answer import Again
    from venvctl.sync import SyncResult

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
TRACEBACK = "VENVCTL_TRACEBACK"
# In the order in which a person meets them, with what the list of all says of each; each is the
# module of the same name. They are told here so that the list and completion import none of them.
VERBS = {
    "up": "Sync what changed, then run `docker compose up -d`.",
    "down": "Run `docker compose down`, and follow the project no more.",
    "sync": "Bring environments to what their locks say.",
    "status": "Show where each environment stands, and who runs on it.",
    "history": "Show what happened to an environment.",
    "diff": "Show the packages in which two generations differ.",
    "rollback": "Switch to an earlier generation.",
    "restore": "Rebuild an environment from the store alone.",
    "verify": "Check every file against its hash.",
    "gc": "Remove what nothing reaches.",
    "snapshot": "List, show, remove, export and import snapshots.",
    "sbom": "Print what an environment is made of, as CycloneDX.",
    "audit": "Tell what has become of an environment's files.",
    "env": "Add, list and remove environments.",
    "path": "Print the host's path of the current site-packages.",
    "daemon": "Keep every environment in sync with its lockfile.",
    "hook": "Put git hooks in place that take up a changed lockfile.",
    "doctor": "Look for what will bite, and say how to mend it.",
    "systemd": "Have systemd run the daemon, check and clean up.",
    "logs": "Show what venvctl did, and for whom.",
}
# Verbs with verbs of their own.
GROUPS = frozenset({"env", "hook", "snapshot", "systemd"})
# What typer raises where a group is named alone; it keeps the class to itself.
_HELP = "NoArgsIsHelpError"
# Verbs that hand everything after `--` to compose.
_COMPOSE_VERBS = frozenset({"up", "down"})


class _Terminated(BaseException):
    """SIGTERM: ends as an interrupt does, so that helper containers and temporaries are removed."""


class _Verb(TyperCommand):
    """A verb of which no more than its name and its line in the list are known until it is used."""

    @cached_property
    def real(self) -> Any:
        """The verb itself; `Any` because typer keeps the base class of its commands to itself."""
        command = get_command(import_module(f"venvctl.cli.{self.name}").app)
        command.name = self.name
        return command

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """What typer asks for when it uses a command, for its help and completion too."""
        return self.real.make_context(*arguments, **options)


class _Verbs(TyperGroup):
    """The group of all verbs; using one imports that one alone."""

    def __init__(self, **attributes: Any) -> None:
        verbs = {name: _Verb(name, callback=None, short_help=line) for name, line in VERBS.items()}
        super().__init__(**{**attributes, "commands": verbs})

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002 - typer's signature
        """The verbs' names, in their own order."""
        return list(VERBS)


app = typer.Typer(cls=_Verbs, rich_markup_mode=None, context_settings={"max_content_width": 100})


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if wanted:
        typer.echo(f"venvctl {venvctl.__version__}")
        raise typer.Exit


@app.callback(
    invoke_without_command=True,
    epilog="Example: `venvctl up` in a compose project's directory.",
)
def venvctl_command(
    context: typer.Context,
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and end."
        ),
    ] = False,
) -> None:
    """Keep Python environments in Docker volumes: synced from a lockfile, switched atomically."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit


def run(arguments: Sequence[str]) -> int:
    """Run one command to its end, print what it gives, and say what to end the process with.

    Args:
        arguments: as given after the program's name.

    Returns:
        An `ExitCode`, or 130 after an interrupt and 143 after a termination.
    """
    render.prepare_streams()
    signal.signal(signal.SIGTERM, _terminate)
    before, flags = _split(arguments)
    name, as_json = command_name(before), "--json" in before
    answer: object = None
    try:
        command = get_command(app)
        answer = command.main(before, prog_name="venvctl", standalone_mode=False, obj=tuple(flags))
        return _show(answer, arguments, name=name, as_json=as_json)
    except (KeyboardInterrupt, _Terminated) as end:
        if isinstance(answer, Iterator):
            # Being told to end is how following ends.
            return ExitCode.DONE
        return TERMINATED if isinstance(end, _Terminated) else INTERRUPTED
    except BrokenPipeError:
        # Whoever read is gone; there is nobody left to tell.
        render.silence_stdout()
        return ExitCode.FAILED
    except Exception as error:  # noqa: BLE001 - the last place where an error can be told
        if isinstance(error, TyperException) and type(error).__name__ == _HELP:
            typer.echo(error.format_message())
            return ExitCode.DONE
        ours = translate(error)
        render.show_error(ours, command=name, as_json=as_json)
        return ours.exit_code


def translate(error: Exception) -> VenvctlError:
    """Any exception as one that a person is meant to read."""
    if isinstance(error, VenvctlError):
        return error
    if isinstance(error, TyperException):
        return _usage_error(error)
    if os.environ.get(TRACEBACK):
        raise error
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return VenvctlError(f"{place}{error.strerror}.")
    return VenvctlError(
        f"venvctl itself failed: {type(error).__name__}: {error}",
        hint=f"This is a defect. Run it again with {TRACEBACK}=1 and report what it prints.",
    )


def command_name(arguments: Sequence[str]) -> str:
    """The command that the arguments name, e.g. ``env add``; empty if they name none."""
    words = [word for word in arguments if not word.startswith("-")]
    return " ".join(words[: 2 if words and words[0] in GROUPS else 1])


def _show(answer: object, arguments: Sequence[str], *, name: str, as_json: bool) -> int:
    """Print one answer, or each of many as it comes."""
    if isinstance(answer, int):
        # typer's own: 0 after --help and --version, 130 after an interrupt
        return answer
    if isinstance(answer, Answer):
        render.show(answer, command=name, as_json=as_json)
        if answer.again and not answer.errors:
            _keep(answer.again, arguments, name=name, as_json=as_json)
        return answer.errors[0].exit_code if answer.errors else ExitCode.DONE
    if isinstance(answer, Iterator):
        for one in answer:
            render.show(one, command=name, as_json=as_json)
    return ExitCode.DONE


def _keep(again: Again, arguments: Sequence[str], *, name: str, as_json: bool) -> None:
    """Let the gate answer the next time, as long as there is nothing to do."""
    from venvctl import evidence  # noqa: PLC0415 - most commands leave none

    def output(results: tuple[SyncResult, ...]) -> str:
        return render.text(again.describe(results), command=name, as_json=as_json)

    evidence.keep(again.basis, arguments, output)


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments that are venvctl's, and those that are compose's own."""
    words = list(arguments)
    if "--" in words and command_name(words[: words.index("--")]) in _COMPOSE_VERBS:
        position = words.index("--")
        return words[:position], words[position + 1 :]
    return words, []


def _usage_error(error: TyperException) -> UsageError:
    # Only usage errors have a context; it is not part of the base class.
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "venvctl"
    hint = f"`{path} --help` shows what there is."
    if path.rpartition(" ")[2] in _COMPOSE_VERBS:
        hint += f" Flags of compose itself go after `--`: `{path} -- FLAGS`."
    message = error.format_message().strip().replace("\n", " ")
    message = message.replace("a valid int range", "a whole number")
    return UsageError(message if message.endswith((".", "?")) else f"{message}.", hint=hint)


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise _Terminated
