"""Brings running holders onto the current generation: which ones, in what order, and how.

`decide` is pure: from the containers as they are, and those that have to be reached, to the steps.
`roll_out` takes the steps one by one. What has to be reached is written down before the switch
(`State.pending`: each holder with the time it had started), so a rollout that was interrupted is
taken up again, and a container that started meanwhile is never restarted twice.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from venvctl.errors import ConfigurationError, EngineError
from venvctl.policy import ChangeKind, OnChange, ServicePolicy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from venvctl.engine.model import Container, Engine
    from venvctl.environments import Environment
    from venvctl.progress import Progress

_DEPENDS_ON = "com.docker.compose.depends_on"


class Outcome(StrEnum):
    """How a step ended.

    Attributes:
        DONE: restarted, signalled, or the command ended with 0.
        LEFT: nothing was to be done to it, or its user was there first.
        FAILED: the engine or the command refused.
    """

    DONE = "done"
    LEFT = "left alone"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is to be done to one container.

    Attributes:
        identifier, name: of the container.
        action: what to do; `NONE` leaves it alone.
        because: why, in words for a person.
    """

    identifier: str
    name: str
    action: OnChange
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What was done to one container; `seconds` that it took."""

    name: str
    action: str
    outcome: Outcome
    because: str
    seconds: float = 0.0

    def __str__(self) -> str:
        """A sentence for the history."""
        return f"{self.name}: {self.action}, {self.outcome} ({self.because})"


def to_reach(containers: Iterable[Container], volume: str) -> dict[str, str]:
    """The holders whose processes run now: ID → when they started.

    Args:
        containers: as the engine has them.
        volume: the environment's name.
    """
    return {
        container.id: container.started_at
        for container in containers
        if volume in container.mounts and container.state in {"running", "paused", "restarting"}
    }


def decide(pending: Mapping[str, str], containers: Sequence[Container], volume: str) -> list[Step]:
    """The steps of a rollout, in order: what others depend on first.

    Args:
        pending: the holders to reach, as `to_reach` told them before the switch.
        containers: all containers of the engine as they are now.
        volume: the environment's name.
    """
    by_id = {container.id: container for container in containers}
    steps: list[Step] = []
    restarted: set[str] = set()
    for container in _ordered(containers):
        step = None
        if container.id in pending:
            step = holder_step(container, pending[container.id])
        if (step is None or step.action.kind is not ChangeKind.RESTART) and (
            parent := _restarted_parent(container, by_id, restarted)
        ):
            step = _follower_step(container, parent, volume)
        if step is not None:
            steps.append(step)
            if step.action.kind is ChangeKind.RESTART:
                restarted.add(container.id)
    return steps


def ignores(container: Container) -> bool:
    """Whether it mounts the volume for its files only; labels that can't be read say no."""
    try:
        return ServicePolicy.of_container(container).ignore
    except ConfigurationError:
        return False


def holder_step(container: Container, started_at: str) -> Step:
    """What is to be done to one holder that had started then."""
    try:
        policy = ServicePolicy.of_container(container)
    except ConfigurationError as error:
        return _leave(container, error.message)
    reason = _untouchable(container)
    if container.started_at != started_at:
        reason = "it started again meanwhile, on the current generation"
    elif not container.running:
        reason = f"it is {container.state}"
    elif policy.ignore:
        reason = "its label venvctl.ignore says so"
    elif policy.on_change.kind is ChangeKind.NONE:
        reason = "its label venvctl.on-change says none"
    if reason:
        return _leave(container, reason)
    return Step(
        identifier=container.id,
        name=container.name,
        action=policy.on_change,
        because="it mounts the environment",
    )


def _follower_step(container: Container, parent: str, volume: str) -> Step:
    if reason := _untouchable(container):
        return _leave(container, reason)
    word = "mounts the environment and " if volume in container.mounts else ""
    return Step(
        identifier=container.id,
        name=container.name,
        action=OnChange(kind=ChangeKind.RESTART),
        because=f"it {word}hangs on {parent}, which is restarted",
    )


def _untouchable(container: Container) -> str:
    """Why a container is somebody's own business; empty if it is not."""
    if container.one_off:
        return "it is a one-off container (compose run)"
    if container.auto_remove:
        return "it is removed when it stops"
    if container.tty:
        return "it has a terminal"
    return ""


def _leave(container: Container, because: str) -> Step:
    return Step(
        identifier=container.id,
        name=container.name,
        action=OnChange(kind=ChangeKind.NONE),
        because=because,
    )


def _restarted_parent(
    container: Container, by_id: Mapping[str, Container], restarted: set[str]
) -> str:
    """Name of a restarted container that this running one can't do without; empty if none."""
    if not container.running:
        return ""
    if container.network_container in restarted:
        return by_id[container.network_container].name
    for service, restart in _dependencies(container).items():
        for other in restarted if restart else ():
            parent = by_id[other]
            if (parent.project, parent.service) == (container.project, service):
                return parent.name
    return ""


def _dependencies(container: Container) -> dict[str, bool]:
    """Services it depends on → whether it is to be restarted with them, as compose noted it."""
    found = {}
    for entry in container.labels.get(_DEPENDS_ON, "").split(","):
        service, _, rest = entry.partition(":")
        if service:
            found[service] = rest.rpartition(":")[2] == "true"
    return found


def _ordered(containers: Sequence[Container]) -> list[Container]:
    """By dependency, and by name where there is none."""
    named = sorted(containers, key=lambda container: container.name)
    by_id = {container.id: container for container in named}
    services: dict[tuple[str, str], list[str]] = {}
    for container in named:
        services.setdefault((container.project, container.service), []).append(container.id)
    graph: dict[str, list[str]] = {}
    for container in named:
        before = graph.setdefault(container.id, [])
        if container.network_container in by_id:
            before.append(container.network_container)
        for service in _dependencies(container):
            before += services.get((container.project, service), [])
    try:
        return [by_id[identifier] for identifier in TopologicalSorter(graph).static_order()]
    except CycleError:
        # compose refuses cycles within a project; across projects no order is better than another
        return named


def roll_out(
    environment: Environment, engine: Engine, progress: Progress
) -> tuple[StepResult, ...]:
    """Reach every container that is pending; the caller is the environment's one writer.

    Args:
        environment: its state names what is pending.
        engine: where the containers are.
        progress: told of each container.

    Returns:
        What happened to each container, in order.

    Raises:
        EngineUnreachableError: the engine went away; what was not reached stays pending.
    """
    pending = environment.state().pending
    if not pending:
        return ()
    steps = decide(pending, engine.containers(), environment.name)
    progress.stage("restarting", total=len(steps), unit="containers")
    results = []
    for step in steps:
        results.append(_take(step, engine))
        _reached(environment, step.identifier)
        progress.advance(1)
    # Those that are gone have nothing to be reached any more.
    environment.save_state(dataclasses.replace(environment.state(), pending={}))
    return tuple(results)


def _take(step: Step, engine: Engine) -> StepResult:
    started = time.monotonic()
    outcome, because = Outcome.DONE, step.because
    try:
        match step.action.kind:
            case ChangeKind.NONE:
                outcome = Outcome.LEFT
            case ChangeKind.RESTART:
                engine.restart(step.identifier)
            case ChangeKind.SIGNAL:
                engine.signal(step.identifier, step.action.argument)
            case ChangeKind.EXEC:
                result = engine.execute(step.identifier, step.action.command)
                if result.exit_code != 0:
                    words = (result.stderr or result.stdout).strip().splitlines()
                    outcome = Outcome.FAILED
                    because = f"it ended with exit code {result.exit_code}" + (
                        f": {words[-1]}" if words else ""
                    )
    except EngineError as error:
        outcome, because = Outcome.FAILED, error.message
        if engine.container(step.identifier) is None:
            outcome, because = Outcome.LEFT, "it was removed meanwhile"
    return StepResult(
        name=step.name,
        action=str(step.action),
        outcome=outcome,
        because=because,
        seconds=time.monotonic() - started,
    )


def _reached(environment: Environment, identifier: str) -> None:
    state = environment.state()
    pending = {name: when for name, when in state.pending.items() if name != identifier}
    environment.save_state(dataclasses.replace(state, pending=pending))
