"""Goes back: an earlier generation becomes current, and the one that was left is held."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from venvctl import changeover, interpreters, plan, timestamps, volumes
from venvctl.environments import Event
from venvctl.errors import UsageError

if TYPE_CHECKING:
    from venvctl.environments import Environment, Generation
    from venvctl.progress import Progress
    from venvctl.registration import Registration
    from venvctl.rollout import StepResult
    from venvctl.root import Root


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackResult:
    """What a rollback did.

    Attributes:
        generation: number of the current one now. previous: of the one that was left.
        key: of the current one. held: key of the one that was left, which no sync brings back until
            the lock selects another or is told to by `--force`; empty where both are of one key.
        changes: packages that differ between the two.
        steps: what happened to each container.
    """

    environment: str
    generation: int
    previous: int
    key: str
    held: str
    changes: tuple[str, ...]
    steps: tuple[StepResult, ...]


def rollback(name: str, root: Root, *, to: int | None, progress: Progress) -> RollbackResult:
    """Switch to an earlier generation and roll it out; one that was killed goes on where it was.

    Args:
        name: the environment's.
        root: where it is kept.
        to: number of the generation; None for the one that was current before.
        progress: told of each container.

    Raises:
        UsageError: there is no such environment or generation, or it is current already.
        TargetError: a running container has another interpreter than that generation is for.
        RolloutStuckError: a container could not be brought onto it.
    """
    registration = root.registry.load(name)
    environment = root.environment(name)
    with root.working(), environment.writing():
        changeover.check_not_replaced(environment, root)
        volumes.check(environment, root.engine.volume(name))
        left = environment.current()
        if left is None:
            raise UsageError(f"Environment {name} has no generation to go back from.")
        goal = environment.numbered(to) if to is not None else _before(environment, left)
        killed = _was_killed(environment, left) and (to is None or goal == left)
        if killed:
            goal, left = left, _left(environment, left)
        elif goal == left:
            raise UsageError(f"Generation {goal.number} of {name} is the current one already.")
        snapshots = root.snapshots
        snapshot = snapshots.load(goal.key)
        interpreters.check_holders(registration, root, snapshot.target)
        changes = plan.differences(snapshots.load(left.key).files, snapshot.files)
        if killed:
            changeover.note_current(registration, goal, root)
        else:
            _hold_and_switch(registration, environment, left, goal, root)
        if not killed or not _is_told(environment, goal):
            environment.record(
                Event(
                    time=timestamps.now(),
                    kind="rollback",
                    generation=goal.number,
                    key=goal.key,
                    previous=left.number,
                    changes=changes,
                )
            )
        steps = changeover.finish(environment, root, progress)
    return RollbackResult(
        environment=name,
        generation=goal.number,
        previous=left.number,
        key=goal.key,
        held="" if left.key == goal.key else left.key,
        changes=changes,
        steps=steps,
    )


def _hold_and_switch(
    registration: Registration,
    environment: Environment,
    left: Generation,
    goal: Generation,
    root: Root,
) -> None:
    state = environment.state()
    held = {key: why for key, why in state.held.items() if key != goal.key}
    if left.key != goal.key:
        held[left.key] = f"`venvctl rollback` left generation {left.number} at {timestamps.now()}"
    # Before the switch: a follower that sees the switch must see the hold too.
    environment.save_state(dataclasses.replace(state, held=held))
    changeover.switch(registration, goal, root, restart=True, fall_back=False)


def _was_killed(environment: Environment, current: Generation) -> bool:
    """Whether a rollback to the current generation did not come to its end."""
    state = environment.state()
    waits = state.pending or state.switching or state.stopped
    if not waits or state.back_to:
        return False
    return _is_told(environment, current) or _left(environment, current).key in state.held


def _left(environment: Environment, goal: Generation) -> Generation:
    """The generation that was current before `goal` came to be; `goal` where nothing tells."""
    there = {generation.number: generation for generation in environment.generations()}
    for event in reversed(environment.history()):
        for number in (event.generation, event.previous):
            if number in there and number != goal.number:
                return there[number]
    return goal


def _is_told(environment: Environment, goal: Generation) -> bool:
    """Whether the history ends with going back to `goal`, and what followed of it."""
    for event in reversed(environment.history()):
        if event.kind in {"sync", "restore", "switch", "rollback"}:
            return event.kind == "rollback" and event.generation == goal.number
    return False


def _before(environment: Environment, left: Generation) -> Generation:
    """The generation that was current before this one came, else the latest older one.

    One of the same key is none: the containers would be restarted for nothing.
    """
    there = {
        generation.number: generation
        for generation in environment.generations()
        if generation.key != left.key
    }
    for event in reversed(environment.history()):
        came = event.kind in {"sync", "restore"} and event.generation == left.number
        if came and event.previous in there and event.previous != left.number:
            return there[event.previous]
    older = [generation for generation in there.values() if generation.number < left.number]
    if not older:
        raise UsageError(
            f"Environment {environment.name} has no earlier generation than {left.number} with "
            "other files.",
            hint=f"`venvctl history {environment.name}` shows what there was; a snapshot of it "
            f"comes back with `venvctl restore {environment.name} --snapshot KEY`.",
        )
    return max(older)
