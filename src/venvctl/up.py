"""A compose project brought up and taken down: its environments first, then its containers."""

from __future__ import annotations

import dataclasses
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from venvctl import compose, location
from venvctl.errors import ConfigurationError, VenvctlError
from venvctl.plan import Action
from venvctl.registration import Registration
from venvctl.survey import SyncOptions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from venvctl.backend import Backend
    from venvctl.engine.model import Engine
    from venvctl.project import ComposeOptions, ComposeProject, ProjectEnvironment, Service
    from venvctl.sync import SyncResult
    from venvctl.workplace import Workplace

# Seconds that `up` waits for another writer: a daemon may be syncing the very save that the user
# runs `up` for.
PATIENCE = 60.0


class Terminal(Protocol):
    """A `Progress` that can step aside while compose speaks to the terminal itself."""

    def stage(self, name: str, *, total: int = 0, unit: str = "") -> None:
        """As `Progress`."""
        ...

    def advance(self, amount: int) -> None:
        """As `Progress`."""
        ...

    def warn(self, message: str) -> None:
        """As `Progress`."""
        ...

    def aside(self) -> AbstractContextManager[bool]:
        """Step aside; what the context gives says whether compose may speak, or is to be silent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UpRequest:
    """What `venvctl up` was asked for.

    Attributes:
        options: compose's own, as they were given in `cwd`.
        cwd: where the user is (absolute).
        services: those to start; empty means all whose profiles are on.
        flags: further flags of `docker compose up`.
        offline: ask no index and no image registry.
    """

    options: ComposeOptions
    cwd: Path
    services: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    offline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UpResult:
    """What `up` did.

    Attributes:
        project: its name.
        environments: what happened to each of those that services which were started mount.
    """

    project: str
    environments: tuple[SyncResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DownResult:
    """What `down` did.

    Attributes:
        project: its name.
        followed: whether its lockfiles had been followed until then.
    """

    project: str
    followed: bool


def up(request: UpRequest, workplace: Workplace, terminal: Terminal) -> UpResult:
    """Sync the environments of the services that are to start, then let compose start them.

    Containers that compose recreates are on the new generation by that; the others are rolled out
    afterwards, so none is restarted twice.

    Raises:
        ConfigurationError: the project can't be used, or has no environment.
        VenvctlError: as `sync`. Nothing is started then; what was switched by then is rolled out
            by the next `up`, not now: containers that compose should have recreated may run
            another interpreter.
    """
    project = load(request.options, request.cwd)
    starting = compose.active_services(project, request.options, request.cwd, request.services)
    have_images(project, starting, request, workplace.engine, terminal)
    # Compose recreates every container whose image is not the service's any more.
    recreated = frozenset() if "--no-recreate" in request.flags else starting
    options = SyncOptions(
        offline=request.offline, defer_rollout=True, recreated=recreated, wait=PATIENCE
    )
    results = []
    for each in project.environments:
        if _starts(each, starting):
            registration = registration_of(project, each, starting, workplace.engine)
            name = registration.name
            backend = workplace.of(name)
            results.append((backend, backend.sync(name, registration, options, terminal)))
    _reserve_others(project, starting, request, workplace)
    _compose(["up", "--detach", *request.flags, *request.services], request, terminal)
    finished = tuple(_roll_out(result, backend, terminal) for backend, result in results)
    for backend in _distinct([workplace.base] if not results else [one for one, _ in results]):
        backend.follow(project)
    return UpResult(project=project.name, environments=finished)


def registrations(
    request: UpRequest, workplace: Workplace, names: Collection[str]
) -> list[Registration]:
    """The environments of those names, as the project asks for them now.

    Raises:
        ConfigurationError: as `load`.
    """
    project = load(request.options, request.cwd)
    starting = compose.active_services(project, request.options, request.cwd, request.services)
    return [
        registration_of(project, each, starting, workplace.engine)
        for each in project.environments
        if each.specification.name in names
    ]


def down(
    options: ComposeOptions,
    cwd: Path,
    flags: Sequence[str],
    workplace: Workplace,
    terminal: Terminal,
) -> DownResult:
    """Take a project's containers away, and stop following its lockfiles.

    Raises:
        NoProjectError: no compose file is found.
        ComposeError: compose refused; the project is then followed as before.
    """
    location.locate(options, cwd, compose.find_compose())
    # Not `load`: what is wrong with a label must not keep anything up.
    answer = compose.run(options, ["config", "--format", "json"], cwd, capture=True)
    document = json.loads(answer.stdout)
    name = str(document["name"])
    # Before: with `--volumes` nothing tells afterwards whose they were.
    backends = [workplace.base, *_holders(document, workplace)]
    with terminal.aside() as speaks:
        compose.run(options, ["down", *flags], cwd, capture=not speaks)
    followed = False
    for backend in _distinct(backends):
        try:
            followed |= backend.unfollow(name)
        except VenvctlError as error:
            # It is down all the same; only its lockfiles are still followed.
            terminal.warn(f"{error.message} So its lockfiles are still followed.")
    return DownResult(project=name, followed=followed)


def load(options: ComposeOptions, cwd: Path) -> ComposeProject:
    """A compose project that has environments.

    Raises:
        ConfigurationError: it has none; the hint says how to label one. And as `compose.load`.
    """
    project = compose.load(options, cwd)
    require_environments(project)
    return project


def require_environments(project: ComposeProject) -> None:
    """Refuse a project without environments, and say how to label one."""
    if not project.environments:
        files = " + ".join(map(str, project.files))
        raise ConfigurationError(
            f"No volume in {files} has the label venvctl.lock, so there is no environment.",
            hint="Add a volume with `labels: {venvctl.lock: requirements.lock}` "
            "and mount it at /venv in the service that runs Python.",
        )


def registration_of(
    project: ComposeProject, each: ProjectEnvironment, starting: Collection[str], engine: Engine
) -> Registration:
    """One of a project's environments, as it is synced.

    A service that would not start and whose image is not here (another profile's) has no say yet:
    it gets it when it starts.

    Args:
        project: whose.
        each: which one.
        starting: names of the services that would start.
        engine: which images it has.
    """
    registration = Registration.of_project(project, each)
    images = {
        service: image
        for service, image in registration.images.items()
        if service in starting or engine.image(image) is not None
    }
    # Without any, the sync is to say which are missing.
    return dataclasses.replace(registration, images=images or registration.images)


def have_images(
    project: ComposeProject,
    starting: Collection[str],
    request: UpRequest,
    engine: Engine,
    terminal: Terminal,
) -> None:
    """Have compose build or pull the images that have to be probed, as it would do for `up`.

    Raises:
        ComposeError: it could not; its own words are on the terminal.
    """
    services = {
        service.name: service
        for each in project.environments
        if _starts(each, starting)
        # Where only services start that are ignored, one of the others has to say what Python is.
        for service in [one for one in each.probed_services if one.name in starting]
        or each.probed_services[:1]
    }
    build, pull = [], []
    for service in services.values():
        missing = engine.image(service.image) is None
        if service.build and _is_built(service, request.flags, missing=missing):
            build.append(service.name)
        elif _is_pulled(service, request.flags, missing=missing) and not request.offline:
            pull.append(service.name)
    if build:
        _compose(["build", *build], request, terminal)
    if pull:
        _compose(["pull", *pull], request, terminal)


def _starts(each: ProjectEnvironment, starting: Collection[str]) -> bool:
    """Whether a container that mounts the environment starts, be it for its files only."""
    return any(service.name in starting for service in each.services)


def _holders(document: dict[str, Any], workplace: Workplace) -> list[Backend]:
    """Whoever has the volumes of a resolved compose file, as far as they can be asked."""
    found = []
    for volume in (document.get("volumes") or {}).values():
        with suppress(VenvctlError):
            found.append(workplace.of(str((volume or {}).get("name", ""))))
    return found


def _distinct(backends: Iterable[Backend]) -> Iterable[Backend]:
    """Each root once."""
    return {str(backend.path): backend for backend in backends}.values()


def _reserve_others(
    project: ComposeProject,
    starting: Collection[str],
    request: UpRequest,
    workplace: Workplace,
) -> None:
    """Make the volumes that compose would make itself, of environments that nothing starts on.

    When services are named, compose makes the volumes of the others too (measured), and an
    ordinary volume would be in the environment's way ever after.
    """
    others = [each for each in project.environments if not _starts(each, starting)]
    if not others or not request.services:
        return
    active = compose.active_services(project, request.options, request.cwd)
    for each in others:
        if _starts(each, active):
            registration = Registration.of_project(project, each)
            workplace.of(registration.name).reserve(registration)


def _is_built(service: Service, flags: Collection[str], *, missing: bool) -> bool:
    if "--no-build" in flags:
        return False
    return missing or "--build" in flags or service.pull_policy == "build"


def _is_pulled(service: Service, flags: Sequence[str], *, missing: bool) -> bool:
    if service.build:
        return False
    policy = _flag_value(flags, "--pull") or service.pull_policy
    return policy == "always" or (missing and policy != "never")


def _flag_value(flags: Sequence[str], name: str) -> str:
    """What a flag was given, as ``--pull always`` or ``--pull=always``; the last one counts."""
    found = ""
    for flag, after in zip(flags, (*flags[1:], "")[: len(flags)], strict=True):
        if flag == name:
            found = after
        elif flag.startswith(f"{name}="):
            found = flag.partition("=")[2]
    return found


def _compose(arguments: list[str], request: UpRequest, terminal: Terminal) -> None:
    with terminal.aside() as speaks:
        compose.run(request.options, arguments, request.cwd, capture=not speaks)


def _roll_out(result: SyncResult, backend: Backend, terminal: Terminal) -> SyncResult:
    if result.action is Action.NOTHING:
        return result
    return dataclasses.replace(result, steps=backend.roll_out(result.environment, terminal))
