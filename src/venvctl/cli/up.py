"""`venvctl up`: sync what changed, then `docker compose up`; and follow the lockfiles."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from venvctl.cli import options
from venvctl.cli.answer import Again, Answer, Failure, Line, Tone
from venvctl.cli.display import display
from venvctl.cli.sentences import describe_sync, duration
from venvctl.errors import UsageError
from venvctl.workplace import Workplace

if TYPE_CHECKING:
    from venvctl.follower import Followed
    from venvctl.sync import SyncResult
    from venvctl.up import UpRequest, UpResult

# Flags of compose with which images are had anew each time.
_ASKING = frozenset({"--build", "--pull"})

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowAnswer:
    """What a change of a lockfile came to, one for each line after the first.

    Attributes:
        result: the sync that was done.
        failure: what it failed with instead.
        missing: files of the lock that can't be read; nothing is done about them.
        seconds: from the first sign of the change until it was served.
    """

    environment: str
    result: "SyncResult | None"
    failure: Failure | None
    missing: tuple[str, ...]
    seconds: float


@app.command(epilog="Example: `venvctl up --watch web -- --wait` starts web and what it needs.")
def up_command(
    context: typer.Context,
    services: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SERVICE]... [-- COMPOSE UP FLAGS]",
            help="What to start; without any, all whose profiles are on.",
        ),
    ] = None,
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and sync whenever a lockfile changes.")
    ] = False,
    offline: options.Offline = False,
    files: options.Files = None,
    project_name: options.ProjectName = "",
    profiles: options.Profiles = None,
    env_files: options.EnvFiles = None,
    project_directory: options.ProjectDirectory = "",
    json: options.Json = False,
) -> Answer | Iterator[Answer]:
    """Sync what changed, then run `docker compose up -d`.

    Images that are missing are built or pulled first. With --json --watch: one object a line.
    """
    from venvctl.up import PATIENCE, UpRequest  # noqa: PLC0415 - completion and help do without

    request = UpRequest(
        options=options.compose_options(
            files, project_name, profiles, env_files, project_directory
        ),
        cwd=options.current_directory(),
        services=tuple(services or ()),
        flags=tuple(context.obj or ()),
        offline=offline,
    )
    if any(service.startswith("-") for service in request.services):
        raise UsageError("A service's name does not start with a dash.")
    workplace = Workplace.locate(wait=PATIENCE)
    if watch:
        return _watch(request, workplace, as_json=json)
    return _up(request, workplace, as_json=json)


def _up(request: "UpRequest", workplace: Workplace, *, as_json: bool) -> Answer:
    from venvctl import compose, evidence  # noqa: PLC0415 - completion and help do without
    from venvctl.up import up  # noqa: PLC0415 - completion and help do without

    before = evidence.survey(request.options, request.cwd)
    with display(as_json=as_json) as terminal:
        result = up(request, workplace, terminal)
    answer, root = describe(result), workplace.own
    asks = any(flag.partition("=")[0] in _ASKING for flag in request.flags)
    if asks or request.services or not result.environments or root is None:
        return answer
    if not {each.environment for each in result.environments} <= set(root.registry.names()):
        return answer  # the gate knows of no other root
    basis = evidence.Basis(
        root=root,
        options=request.options,
        cwd=request.cwd,
        before=before,
        registrations=tuple(root.registry.load(each.environment) for each in result.environments),
        project=next(each for each in root.registry.projects() if each.name == result.project),
        then=compose.up_command(request.options, request.flags),
        spoken=not as_json,
    )

    def again(environments: "tuple[SyncResult, ...]") -> Answer:
        return describe(dataclasses.replace(result, environments=environments))

    return dataclasses.replace(answer, again=Again(basis=basis, describe=again))


def describe(result: "UpResult") -> Answer:
    """What `up` did, an environment after the other."""
    lines = tuple(line for each in result.environments for line in describe_sync(each))
    return Answer(data=result, lines=lines or (Line("no environment is needed by what starts"),))


def _watch(request: "UpRequest", workplace: Workplace, *, as_json: bool) -> Iterator[Answer]:
    """Bring it up, then follow its lockfiles until somebody ends it."""
    from venvctl import follower  # noqa: PLC0415 - who doesn't follow does without watchdog
    from venvctl.up import registrations, up  # noqa: PLC0415 - completion and help do without

    with display(as_json=as_json) as terminal:
        result = up(request, workplace, terminal)
        yield describe(result)
        wanted = {each.environment: each.generation for each in result.environments}
        goals = [
            follower.Goal(registration, workplace.of(registration.name), wanted[registration.name])
            for registration in registrations(request, workplace, wanted)
        ]
        locks = ", ".join(str(goal.registration.specification.lock) for goal in goals)
        if not as_json:
            yield Answer(data=None, lines=(Line(f"following {locks}; Ctrl-C ends it", Tone.QUIET),))
        for followed in follower.follow(goals, offline=request.offline, progress=terminal):
            yield describe_followed(followed)


def describe_followed(followed: "Followed") -> Answer:
    """What a change of a lockfile came to."""
    name, error, result = followed.environment, followed.error, followed.result
    data = FollowAnswer(
        environment=name,
        result=result,
        failure=Failure.of(name, error) if error else None,
        missing=followed.missing,
        seconds=followed.seconds,
    )
    if result is not None:
        took = Line(f"{duration(followed.seconds)} from the first sign of the change", indent=1)
        return Answer(data=data, lines=(*describe_sync(result), took))
    if error is not None:
        line = Line(f"{name}: not synced, it stays as it is", Tone.BAD)
        return Answer(data=data, lines=(line,), errors=(error,))
    files = " and ".join(followed.missing)
    text = f"{name}: {files} can't be read; the environment stays as it is until it is back"
    return Answer(data=data, lines=(Line(text, Tone.BAD),))
