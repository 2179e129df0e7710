"""Where each environment stands: its generation, what would make it sync, and who runs on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from venvctl import lockfiles, plan
from venvctl.environments import SWITCHING
from venvctl.errors import EngineUnreachableError, IntegrityError, VenvctlError
from venvctl.policy import ChangeKind, ServicePolicy
from venvctl.seal import Seal
from venvctl.sync import outstanding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from venvctl.engine.model import Container
    from venvctl.environments import Environment, Event, Generation
    from venvctl.registration import Registration
    from venvctl.root import Root
    from venvctl.state import State

    _Read = Callable[[Path], bytes]

_ROLLOUT = "rollout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A container that mounts the volume.

    Attributes:
        name, service, state, health: as the engine has them.
        generation: number of the one that its processes run on; 0 if none run, or it isn't known.
        current: whether that is the current one.
        pending: whether a rollout still has to reach it.
        on_change: what a rollout does to it; empty where its labels can't be read.
    """

    name: str
    service: str
    state: str
    health: str
    generation: int
    current: bool
    pending: bool
    on_change: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentStatus:
    """Where one environment stands.

    Attributes:
        environment: its name. project: of compose; empty for one of `env add`.
        directory: where its owner's paths start.
        lock: its lockfile. lock_state: ``unchanged``, ``changed`` or ``missing`` since the last
            sync.
        mount: its path in the containers.
        generation: number of the current one, 0 if there is none. key: its key.
        packages: how many it has. python: version of the interpreter that it is for.
        current_since: when it became current (UTC).
        generations: the numbers of all that are there.
        reasons: every reason for which the next sync will look at anything.
        held: keys that no sync switches to → why.
        error: what the last sync failed with.
        problem: why a sync would fail at once, e.g. with a volume of somebody else.
        engine: why the engine could not be asked; holders and images are then not known.
        last: the last sync, rollback, restore or failure; rollouts follow from those.
        holders: the containers that mount it, by name.
    """

    environment: str
    project: str
    directory: str
    lock: str
    lock_state: str
    mount: str
    generation: int = 0
    key: str = ""
    packages: int = 0
    python: str = ""
    current_since: str = ""
    generations: tuple[int, ...] = ()
    reasons: tuple[str, ...] = ()
    held: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    problem: str = ""
    engine: str = ""
    last: Event | None = None
    holders: tuple[Holder, ...] = ()


def status(
    registration: Registration,
    root: Root,
    read_bytes: Callable[[Path], bytes] = lockfiles.read_file,
) -> EnvironmentStatus:
    """Where one environment stands; nothing is changed.

    What can't be told, as the engine is away or a file is damaged, is said in its place.

    Args:
        registration: the environment's.
        root: where it is kept.
        read_bytes: what reads the lock's files.
    """
    environment = root.environment(registration.name)
    state, history = environment.state(), environment.history()
    problem = engine = ""
    current: Generation | None = None
    try:
        current = environment.current()
    except IntegrityError as error:
        problem = error.message
    try:
        reasons = outstanding(registration, root, read_bytes)
    except EngineUnreachableError as error:
        engine, reasons = error.message, _lock_reasons(registration, state, read_bytes)
    except VenvctlError as error:
        problem, reasons = error.message, _lock_reasons(registration, state, read_bytes)
    holders: tuple[Holder, ...] = ()
    if not engine:
        try:
            holders = _holders(environment, root, state, history, current)
        except EngineUnreachableError as error:
            engine = error.message
    packages, python = _content(current)
    return EnvironmentStatus(
        environment=registration.name,
        project=registration.project,
        directory=str(registration.directory),
        lock=str(registration.specification.lock),
        lock_state=_lock_state(registration, state, read_bytes),
        mount=registration.mount,
        generation=current.number if current else 0,
        key=current.key if current else "",
        packages=packages,
        python=python,
        current_since=since(history, current.number) if current else "",
        generations=tuple(generation.number for generation in environment.generations()),
        reasons=reasons,
        held=state.held,
        error=state.error,
        problem=problem,
        engine=engine,
        last=next((event for event in reversed(history) if event.kind != _ROLLOUT), None),
        holders=holders,
    )


def running_on(history: Iterable[Event], started_at: str) -> int:
    """Number of the generation that was current when a container started; 0 if none was.

    Args:
        history: the environment's, oldest first.
        started_at: RFC 3339, UTC, as the engine says it.
    """
    number = 0
    for event in history:
        if event.kind in SWITCHING and instant(event.time) <= instant(started_at):
            number = event.generation
    return number


def since(history: Sequence[Event], number: int) -> str:
    """When the generation became current that is current now; empty if nothing tells."""
    found = ""
    for event in reversed(history):
        if event.kind not in SWITCHING:
            continue
        if event.generation != number:
            break
        found = event.time
    return found


def instant(time: str) -> tuple[str, str]:
    """An RFC 3339 time in UTC, whatever its precision, as something that can be compared."""
    whole, _, fraction = time.removesuffix("Z").partition(".")
    return whole, fraction.ljust(9, "0")


def _holders(
    environment: Environment,
    root: Root,
    state: State,
    history: Sequence[Event],
    current: Generation | None,
) -> tuple[Holder, ...]:
    found = []
    number = current.number if current else 0
    for container in root.engine.containers(volume=environment.name):
        on, policy = 0, _policy(container)
        pending = container.id in state.pending
        if container.running:
            on = running_on(history, container.started_at)
            reloads = policy is not None and policy.on_change.kind in {
                ChangeKind.SIGNAL,
                ChangeKind.EXEC,
            }
            if reloads and not pending:
                on = number  # it took every change without starting anew
        found.append(
            Holder(
                name=container.name,
                service=container.service,
                state=container.state,
                health=container.health,
                generation=on,
                current=on == number != 0,
                pending=pending,
                on_change=str(policy.on_change) if policy else "",
            )
        )
    return tuple(sorted(found, key=lambda holder: holder.name))


def _policy(container: Container) -> ServicePolicy | None:
    try:
        return ServicePolicy.of_container(container)
    except VenvctlError:
        return None


def _lock_state(registration: Registration, state: State, read_bytes: _Read) -> str:
    now = _lock_now(registration, state, read_bytes)
    if not all(now.values()):
        return "missing"
    return "unchanged" if now == plan.lock_digests(state.inputs) else "changed"


def _lock_reasons(registration: Registration, state: State, read_bytes: _Read) -> tuple[str, ...]:
    """What can be told of the reasons without the engine: the images are taken to be the same."""
    now = plan.with_locks(state.inputs, _lock_now(registration, state, read_bytes))
    return plan.reasons(state.inputs, now)


def _lock_now(registration: Registration, state: State, read_bytes: _Read) -> Mapping[str, str]:
    """The digests of the lock's files: those that the last sync read, or the one it begins with."""
    before = plan.lock_digests(state.inputs)
    lock = str(registration.specification.lock)
    return lockfiles.digests(before if lock in before else [lock], read_bytes)


def _content(current: Generation | None) -> tuple[int, str]:
    """How many packages it has, and for which Python; zero where its seal can't be read.

    The seal, and not the snapshot, whose lock takes ten times as long to read.
    """
    if current is None:
        return 0, ""
    try:
        seal = Seal.load(current.path)
    except IntegrityError:
        return 0, ""
    return len(seal.packages), seal.target.version
