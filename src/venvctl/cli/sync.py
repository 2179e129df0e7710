"""`venvctl sync`: bring environments to what their locks say, without starting anything."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from venvctl.backend import Backend, Here
from venvctl.cli import options
from venvctl.cli.answer import Again, Answer, Failure, Line, Tone
from venvctl.cli.display import display
from venvctl.cli.naming import find_project, name_of
from venvctl.cli.sentences import describe_sync
from venvctl.errors import UsageError, VenvctlError
from venvctl.project import ComposeOptions, ComposeProject
from venvctl.workplace import Workplace

if TYPE_CHECKING:
    from venvctl.registration import Registration
    from venvctl.sync import SyncResult

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncAnswer:
    """What happened to each environment, in the order they were worked on."""

    environments: "tuple[SyncResult, ...]"
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class Chosen:
    """One environment that is meant: as it is asked for, or as registered; and who has it."""

    name: str
    registration: "Registration | None"
    backend: Backend


@app.command(epilog="Example: `venvctl sync --dry-run` names every reason and changes nothing.")
def sync_command(
    names: options.Names = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Decide and show, but change nothing.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Sync though nothing changed, and to a key that is held."),
    ] = False,
    offline: options.Offline = False,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            "--accept",
            metavar="PACKAGE",
            help="Take a package's files as its index has them now, though they changed since they"
            " were recorded; may be given more than once.",
        ),
    ] = None,
    no_restart: Annotated[
        bool, typer.Option("--no-restart", help="Leave the containers on what they run.")
    ] = False,
    files: options.Files = None,
    project_name: options.ProjectName = "",
    profiles: options.Profiles = None,
    env_files: options.EnvFiles = None,
    project_directory: options.ProjectDirectory = "",
    json: options.Json = False,
) -> Answer:
    """Bring environments to what their locks say, and restart the containers that use them.

    Without a name: those of the compose project here, else all that are registered.
    """
    from packaging.utils import canonicalize_name  # noqa: PLC0415 - completion and help do without

    from venvctl import evidence  # noqa: PLC0415 - completion and help do without
    from venvctl.survey import SyncOptions  # noqa: PLC0415 - completion and help do without

    if accept and offline:
        raise UsageError(
            "--accept asks the index, and --offline forbids it.", hint="Leave one of them out."
        )
    workplace, cwd = Workplace.locate(), options.current_directory()
    compose = options.compose_options(files, project_name, profiles, env_files, project_directory)
    before = evidence.survey(compose, cwd)
    project = find_project(compose, cwd)
    chosen = choose(names or [], workplace, project, compose, cwd)
    how = SyncOptions(
        force=force,
        dry_run=dry_run,
        offline=offline,
        accept=frozenset(map(canonicalize_name, accept or ())),
        restart=not no_restart,
    )
    results, failures, errors = [], [], []
    with display(as_json=json) as progress:
        for one in chosen:
            try:
                results.append(one.backend.sync(one.name, one.registration, how, progress))
            except VenvctlError as error:
                if len(chosen) == 1:
                    raise
                errors.append(error)
                failures.append(Failure.of(one.name, error))
    answer = describe(tuple(results), tuple(failures), tuple(errors))
    registrations = [
        one.registration
        for one in chosen
        if one.backend is workplace.base and one.registration is not None
    ]
    if dry_run or force or accept or workplace.own is None or len(registrations) < len(chosen):
        return answer  # the gate knows of no other root
    basis = evidence.Basis(
        root=workplace.own,
        options=compose,
        cwd=cwd,
        before=before,
        registrations=tuple(registrations),
        project=project,
    )
    return dataclasses.replace(answer, again=Again(basis=basis, describe=describe))


def describe(
    results: "tuple[SyncResult, ...]",
    failures: tuple[Failure, ...] = (),
    errors: tuple[VenvctlError, ...] = (),
) -> Answer:
    """What happened to each environment."""
    lines = [line for result in results for line in describe_sync(result)]
    lines += [Line(f"{failure.environment}: failed", Tone.BAD) for failure in failures]
    return Answer(
        data=SyncAnswer(environments=results, failures=failures), lines=tuple(lines), errors=errors
    )


def choose(
    names: list[str],
    workplace: Workplace,
    project: ComposeProject | None,
    compose_options: ComposeOptions,
    cwd: Path,
) -> list[Chosen]:
    """The environments that a command line means, as their owners ask for them now.

    Args:
        names: as they were typed.
        workplace: where environments are registered.
        project: the one that the command is given in.
        compose_options: what it was found with.
        cwd: where.

    Raises:
        UsageError: a name is unknown, or there is no environment at all.
        ConfigurationError: the project here can't be used.
    """
    known = workplace.base.names()
    mine = _of_project(project, names, workplace, compose_options, cwd) if project else {}
    if names:
        found = [
            mine.get(name_of(name, project) if project else "")
            or _registered(name, workplace.knowing(name))
            for name in names
        ]
        # A name and a key may mean the same.
        found = list({one.name: one for one in found}.values())
    elif project:
        found = list(mine.values())
    else:
        found = [_listed(name, workplace.base) for name in known]
    if not found:
        raise UsageError(
            f"There is no environment to sync in {workplace.base.path}.",
            hint="Run `venvctl up` in a compose project, or `venvctl env add`.",
        )
    return found


def _registered(name: str, backend: Backend) -> Chosen:
    # Another user's daemon knows by itself what was registered with it.
    registration = backend.root.registry.load(name) if isinstance(backend, Here) else None
    return Chosen(name, registration, backend)


def _listed(name: str, backend: Backend) -> Chosen:
    """One of all; what can't be read is said at its turn, and keeps no other from its own."""
    readable = backend.root.registry.readable(name) if isinstance(backend, Here) else None
    return Chosen(name, readable, backend)


def _of_project(
    project: ComposeProject,
    names: list[str],
    workplace: Workplace,
    options: ComposeOptions,
    cwd: Path,
) -> dict[str, Chosen]:
    from venvctl import compose, up  # noqa: PLC0415 - only in a project

    if not project.environments and not names:
        up.require_environments(project)
    starting = compose.active_services(project, options, cwd)
    found = {}
    for each in project.environments:
        registration = up.registration_of(project, each, starting, workplace.engine)
        name = registration.name
        asked = {name, each.volume_key} & set(names)
        backend = workplace.of(name)
        # One that only other profiles need is left to the `up` that has their images made.
        if asked or starting & registration.images.keys() or name in backend.names():
            found[name] = Chosen(name, registration, backend)
    return found
