"""Which running holders are brought onto the current generation, how, and in what order.

All of this is pure: from the containers as they are, and those that have to be reached, to the
steps; `delivery` takes them. What has to be reached is written down before the switch
(`State.pending`: each holder with the time it had started), so a rollout that was interrupted is
taken up again, and a container that started meanwhile is never restarted twice.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from venvctl.errors import ConfigurationError
from venvctl.policy import ChangeKind, OnChange, ServicePolicy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from venvctl.engine.model import Container

# Seconds from the start of a process until the engine calls it started (measured: up to 0.015).
_TOLD_WITHIN = 0.1
_DEPENDS_ON = "com.docker.compose.depends_on"


class Outcome(StrEnum):
    """How a step ended.

    Attributes:
        DONE: restarted, signalled, or the command ended with 0.
        LEFT: nothing was to be done to it, or its user was there first.
        FAILED: its command failed, or the engine could not start it with what the generation has.
        REFUSED: the engine would not, for a reason that no generation can be blamed for.
    """

    DONE = "done"
    LEFT = "left alone"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is to be done to one container.

    Attributes:
        identifier, name: of the container.
        action: what to do; `NONE` leaves it alone.
        because: why, in words for a person.
        parents: IDs of restarted containers that it hangs on; it follows them at once.
        restarted: it started again by itself or its user, so it is on the generation already.
    """

    identifier: str
    name: str
    action: OnChange
    because: str
    parents: tuple[str, ...] = ()
    restarted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Steps that are taken together: holders at once, then what hangs on them one by one."""

    holders: tuple[Step, ...]
    followers: tuple[Step, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """All of them, in order."""
        return (*self.holders, *self.followers)


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


def late(
    containers: Iterable[Container], volume: str, before: Mapping[str, str], switched_at: float
) -> dict[str, str]:
    """The running holders that started after they were listed, and before the switch.

    Args:
        containers: as the engine has them after the switch.
        volume: the environment's name.
        before: as `to_reach` told them before the switch.
        switched_at: when that was, in seconds since the epoch.
    """
    return {
        identifier: started_at
        for identifier, started_at in to_reach(containers, volume).items()
        if before.get(identifier) != started_at
        and datetime.fromisoformat(started_at).timestamp() < switched_at + _TOLD_WITHIN
    }


def decide(
    pending: Mapping[str, str],
    containers: Sequence[Container],
    volume: str,
    *,
    reviving: bool = False,
) -> list[Step]:
    """The steps of a rollout, in order: what others depend on first.

    Args:
        pending: the holders to reach, as `to_reach` told them before the switch.
        containers: all containers of the engine as they are now.
        volume: the environment's name.
        reviving: those that ended are meant too, since the generation they ran on ended them.
    """
    by_id = {container.id: container for container in containers}
    steps: list[Step] = []
    restarted: set[str] = set()
    for container in _ordered(containers):
        parents = _restarted_parents(container, by_id, restarted)
        if parents:
            step = _follower_step(container, parents, by_id, volume)
        elif container.id in pending:
            step = holder_step(container, pending[container.id], reviving=reviving)
        else:
            continue
        steps.append(step)
        if step.action.kind is ChangeKind.RESTART:
            restarted.add(container.id)
    return steps


def groups(steps: Sequence[Step], containers: Iterable[Container]) -> list[Group]:
    """Put together what is done together.

    The first container that is touched stands alone: it is the one that tells.

    Args:
        steps: as `decide` gives them.
        containers: the same as there.
    """
    by_id = {container.id: container for container in containers}
    made: list[list[Step]] = []
    followers: list[list[Step]] = []
    place: dict[str, int] = {}
    for step in steps:
        if step.parents:
            index = max(place[parent] for parent in step.parents)
            followers[index].append(step)
        elif index := _joins(step, made, by_id):
            made[index].append(step)
        else:
            made.append([step])
            followers.append([])
            index = len(made) - 1
        place[step.identifier] = index
    return [
        Group(holders=tuple(holders), followers=tuple(behind))
        for holders, behind in zip(made, followers, strict=True)
    ]


def _joins(step: Step, made: Sequence[Sequence[Step]], by_id: Mapping[str, Container]) -> int:
    """Index of the group that it is taken with; 0 if with none, as nothing joins the first."""
    touched = [group for group in made if group[0].action.kind is not ChangeKind.NONE]
    index = len(made) - 1
    if step.action.kind is ChangeKind.NONE or len(touched) < 2 or index < 1:  # noqa: PLR2004 - two
        return 0
    mine, theirs = by_id[step.identifier], by_id[made[index][0].identifier]
    same = (mine.project, mine.service) == (theirs.project, theirs.service) and mine.service
    policy = policy_of(mine)
    room = policy is not None and len(made[index]) < policy.parallel
    return index if same and room and made[index][0].action == step.action else 0


def policy_of(container: Container) -> ServicePolicy | None:
    """What its labels ask for; None if they can't be read."""
    try:
        return ServicePolicy.of_container(container)
    except ConfigurationError:
        return None


def ignores(container: Container) -> bool:
    """Whether it mounts the volume for its files only; labels that can't be read say no."""
    policy = policy_of(container)
    return policy is not None and policy.ignore


def holder_step(container: Container, started_at: str, *, reviving: bool = False) -> Step:
    """What is to be done to one holder that had started then."""
    try:
        policy = ServicePolicy.of_container(container)
    except ConfigurationError as error:
        return _leave(container, error.message)
    reason = _untouchable(container)
    # Going back, a container that crash-loops may have started on either: it is not trusted.
    again = not reason and not reviving and container.started_at != started_at
    if again:
        reason = "it started again meanwhile, on the current generation"
    elif not container.running and not reviving:
        reason = f"it is {container.state}"
    elif policy.ignore:
        reason = "its label venvctl.ignore says so"
    elif policy.on_change.kind is ChangeKind.NONE:
        reason = "its label venvctl.on-change says none"
    if reason:
        return dataclasses.replace(_leave(container, reason), restarted=again)
    return Step(
        identifier=container.id,
        name=container.name,
        action=policy.on_change,
        because="it mounts the environment",
    )


def _follower_step(
    container: Container, parents: Sequence[str], by_id: Mapping[str, Container], volume: str
) -> Step:
    if reason := _untouchable(container):
        return _leave(container, reason)
    word = "mounts the environment and " if volume in container.mounts else ""
    names = ", ".join(by_id[parent].name for parent in parents)
    return Step(
        identifier=container.id,
        name=container.name,
        action=OnChange(kind=ChangeKind.RESTART),
        because=f"it {word}hangs on {names}, restarted before it",
        parents=tuple(parents),
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


def _restarted_parents(
    container: Container, by_id: Mapping[str, Container], restarted: set[str]
) -> list[str]:
    """IDs of the restarted containers that this running one can't do without."""
    if not container.running:
        return []
    found = {container.network_container} & restarted
    for service, restart in _dependencies(container).items():
        for other in restarted if restart else ():
            parent = by_id[other]
            if (parent.project, parent.service) == (container.project, service):
                found.add(other)
    return sorted(found, key=lambda other: by_id[other].name)


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
