"""Delivers the current generation to the running holders, and takes it back if it is bad.

The first container tells: it is watched until it can be believed, while the processes of the others
stay pinned to the generation before. Then the others follow, group by group, and all are watched
once more. Everything that a crash must not forget is in `State` before it is done, so whoever comes
next goes on where this was, in the same direction.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from venvctl import contact, health, pacing, rollout, timestamps
from venvctl.environments import Event
from venvctl.errors import (
    EngineError,
    IntegrityError,
    RolloutFailedError,
    RolloutStuckError,
    RolloutWaitsError,
)
from venvctl.health import Health, Start, Verdict
from venvctl.policy import ChangeKind, ServicePolicy
from venvctl.rollout import Outcome, StepResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from venvctl.engine.model import Container, Engine
    from venvctl.environments import Environment
    from venvctl.progress import Progress
    from venvctl.rollout import Group, Step
    from venvctl.state import State

_LOG_LINES = 20


@dataclass(slots=True)
class _Tour:
    """One way through the containers, there or back."""

    environment: Environment
    engine: Engine
    progress: Progress
    results: list[StepResult] = field(default_factory=list)
    watched: list[tuple[Start, ServicePolicy]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trouble:
    """Why a tour ended early: which container, in what way, and the end of its log."""

    name: str
    because: str
    log: str

    def __str__(self) -> str:
        """Which container, and why."""
        return f"{self.name}: {self.because}"

    @property
    def quoted_log(self) -> str:
        """The end of the log, to stand behind a message; empty where there is none."""
        return f" The end of its log:\n{self.log}" if self.log else ""


def deliver(environment: Environment, engine: Engine, progress: Progress) -> tuple[StepResult, ...]:
    """Reach every container that is pending; the caller is the environment's one writer.

    Args:
        environment: its state names what is pending, and what to go back to.
        engine: where the containers are.
        progress: told of each container.

    Returns:
        What happened to each container, in order.

    Raises:
        RolloutFailedError: the generation was bad; the containers are back on the one before, and
            its key is held. The caller tells of it, then calls `end`; so of the next one.
        RolloutStuckError: it was bad, and there is nothing to go back to, or going back failed.
        EngineUnreachableError: the engine went away; what was not reached stays pending.
        RolloutWaitsError: the engine refused what is not the generation's fault; in the same way.
    """
    trouble = _start_stopped(environment, engine)
    state = environment.state()
    if state.back_to:
        _go_back(environment, engine, progress, _Trouble(name="", because="", log=""))
    if trouble is not None:
        _go_back(environment, engine, progress, trouble)
    if not state.pending and not (state.switching and _finds_late(environment, engine)):
        return ()
    tour = _Tour(environment, engine, progress)
    trouble = _go(tour, back=False)
    if trouble is not None:
        _go_back(environment, engine, progress, trouble)
    current = environment.current()
    end(environment, good=current.number if current else 0)
    return tuple(tour.results)


def _start_stopped(environment: Environment, engine: Engine) -> _Trouble | None:
    """Start what a restore or a rollout stopped and could not start again.

    Returns:
        Which one can't be started with what the generation has.
    """
    for identifier in environment.state().stopped:
        container = engine.container(identifier)
        if container is not None and not container.running:
            result = contact.start(container, engine, environment.name)
            if result.outcome is Outcome.REFUSED:
                raise _waits(environment, [result])
            if result.outcome is Outcome.FAILED:
                verdict = Verdict(health=Health.BAD, because=result.because)
                return _trouble(container.name, container.id, verdict, engine)
        _note_stopped(environment, remove=[identifier])
    return None


def _waits(environment: Environment, results: Sequence[StepResult]) -> RolloutWaitsError:
    words = " ".join(result.because for result in results)
    return RolloutWaitsError(
        f"A container of {environment.name} is not on its current generation yet. {words}",
        hint="No package is to blame for that. Mend it; the daemon then goes on by itself, and so "
        f"does `venvctl sync {environment.name}`.",
    )


def _finds_late(environment: Environment, engine: Engine) -> bool:
    """Whether anybody is to be reached after all."""
    _note_late(environment, engine.containers(volume=environment.name))
    return bool(environment.state().pending)


def _note_late(environment: Environment, containers: Sequence[Container]) -> None:
    """Have those reached too that started beside the switch, on what was current before it."""
    state = environment.state()
    found = rollout.late(containers, environment.name, state.before, environment.switched_at)
    environment.save_state(
        dataclasses.replace(
            state,
            pending={**state.pending, **found},
            before={**state.before, **found},
            switching=False,
        )
    )


def _go(tour: _Tour, *, back: bool) -> _Trouble | None:
    """Take every step; stop at the first container that takes it badly."""
    environment, engine = tour.environment, tour.engine
    containers = engine.containers()
    if environment.state().switching:
        _note_late(environment, containers)
    steps = rollout.decide(environment.state().pending, containers, environment.name, reviving=back)
    groups = rollout.groups(steps, containers)
    if back:
        groups.reverse()
    tour.progress.stage("restarting", total=len(steps), unit="containers")
    for group in groups:
        settle = not back and not tour.watched
        if not back:
            _keep_pace(tour, group)
        trouble = _take_group(tour, group, settle=settle)
        if trouble is not None:
            return trouble
        tour.progress.advance(len(group.steps))
    tour.progress.stage("watching", total=len(tour.watched), unit="containers")
    for start, policy in tour.watched:
        verdict = health.watch(start, policy, engine, settle=True)
        tour.progress.advance(1)
        if verdict.health is Health.BAD:
            return _trouble(start.name, start.identifier, verdict, engine)
    return None


def _take_group(tour: _Tour, group: Group, *, settle: bool) -> _Trouble | None:
    """Restart what is restarted together, then wait until all of it is well."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - a quick command does without

    restarting = [step.identifier for step in group.steps if step.action.kind is ChangeKind.RESTART]
    # An engine that dies between its stop and its start leaves a container that looks as if its
    # user had stopped it; whoever comes next starts what is written down here.
    _note_stopped(tour.environment, add=restarting)

    def take(step: Step) -> StepResult:
        return contact.take(step, tour.engine, tour.environment.name)

    with ThreadPoolExecutor(max_workers=len(group.holders)) as pool:
        results = list(pool.map(take, group.holders))
    results += [take(step) for step in group.followers]
    down = {
        step.identifier
        for step, result in zip(group.steps, results, strict=True)
        if result.outcome in {Outcome.FAILED, Outcome.REFUSED}
    }
    _note_stopped(tour.environment, remove=[each for each in restarting if each not in down])
    tour.results += results
    if refused := [result for result in results if result.outcome is Outcome.REFUSED]:
        # The others stay as they are: what this one met may await them too.
        raise _waits(tour.environment, refused)
    watched = []
    for step, result in zip(group.steps, results, strict=True):
        container = tour.engine.container(step.identifier)
        if result.outcome is Outcome.FAILED:
            verdict = Verdict(health=Health.BAD, because=result.because)
            return _trouble(step.name, step.identifier, verdict, tour.engine)
        if container is not None and (result.outcome is Outcome.DONE or step.restarted):
            watched.append((Start.of(container, time.monotonic()), _policy(container)))
        if result.outcome is Outcome.DONE and step.action.kind is not ChangeKind.RESTART:
            _note_reached(tour.environment, step.identifier)
    tour.watched += watched
    for start, policy in watched:
        verdict = health.watch(start, policy, tour.engine, settle=settle)
        if verdict.health is Health.BAD:
            return _trouble(start.name, start.identifier, verdict, tour.engine)
    for step in group.steps:
        _note_done(tour.environment, step.identifier)
    return None


def _keep_pace(tour: _Tour, group: Group) -> None:
    """Wait until none of them was restarted too often lately, and count this time."""
    restarting = [step for step in group.steps if step.action.kind is ChangeKind.RESTART]
    state = tour.environment.state()
    pause = max(
        (
            pacing.pause_before(state.restarts.get(step.identifier, ()), time.time())
            for step in restarting
        ),
        default=0.0,
    )
    if pause > 0:
        tour.progress.warn(
            f"{restarting[0].name} was restarted {pacing.LIMIT} times within {pacing.WINDOW:g} "
            f"seconds: the next restart waits {pause:.0f} seconds"
        )
        time.sleep(pause)
    now = time.time()
    restarts = {
        name: counted
        for name, moments in state.restarts.items()
        if (counted := pacing.recent(moments, now))
    }
    for step in restarting:
        restarts[step.identifier] = (*restarts.get(step.identifier, ()), now)
    tour.environment.save_state(dataclasses.replace(state, restarts=restarts))


def _policy(container: Container) -> ServicePolicy:
    # what hangs on a holder may have no labels, or (a stranger's) ones that can't be read
    return rollout.policy_of(container) or ServicePolicy()


def _note_stopped(
    environment: Environment, *, add: Sequence[str] = (), remove: Sequence[str] = ()
) -> None:
    state = environment.state()
    stopped = dict.fromkeys([*state.stopped, *add])
    left = tuple(identifier for identifier in stopped if identifier not in remove)
    if left != state.stopped:
        environment.save_state(dataclasses.replace(state, stopped=left))


def _note_done(environment: Environment, identifier: str) -> None:
    state = environment.state()
    pending = {name: when for name, when in state.pending.items() if name != identifier}
    environment.save_state(dataclasses.replace(state, pending=pending))


def _note_reached(environment: Environment, identifier: str) -> None:
    state = environment.state()
    environment.save_state(dataclasses.replace(state, reached=(*state.reached, identifier)))


def _trouble(name: str, identifier: str, verdict: Verdict, engine: Engine) -> _Trouble:
    try:
        log = engine.logs(identifier, lines=_LOG_LINES)
    except EngineError:
        log = ""  # it has no log that can be read, or is gone
    return _Trouble(name=name, because=verdict.because, log=log.strip())


def _go_back(
    environment: Environment, engine: Engine, progress: Progress, trouble: _Trouble
) -> NoReturn:
    """Switch back, and restart exactly those that run the bad generation, in reverse order.

    Raises:
        RolloutFailedError: in the end, when the containers are well again.
        RolloutStuckError: there is nothing to go back to, or a container is not well there either.
    """
    if not environment.state().back_to:
        _begin_to_go_back(environment, engine, trouble)
    state = environment.state()
    good = environment.numbered(state.back_to)
    bad = environment.current()
    if bad != good:
        environment.switch(good)
        event = Event(
            time=timestamps.now(),
            kind="switch",
            generation=good.number,
            key=good.key,
            previous=bad.number if bad else 0,
        )
        environment.record(event)
    tour = _Tour(environment, engine, progress)
    again = _go(tour, back=True)
    if again is not None:
        raise RolloutStuckError(
            f"FAILED: the new generation of {environment.name} was bad ({state.back_because}), and "
            f"going back to generation {good.number} failed too ({again})." + again.quoted_log,
            hint="Nothing more is done by itself. Look at the container's log, then mend the lock "
            f"or `venvctl rollback {environment.name} --to N`.",
        )
    back = [result.name for result in tour.results if result.outcome is Outcome.DONE]
    raise RolloutFailedError(
        f"The new generation of {environment.name} was bad ({state.back_because}): generation "
        f"{good.number} is current again, and {', '.join(back) or 'no container'} went back to it."
        + trouble.quoted_log,
        hint="It is not tried again until the lock selects other packages, or with --force.",
    )


def _begin_to_go_back(environment: Environment, engine: Engine, trouble: _Trouble) -> None:
    """Write down where to, whom it takes, and that the key is held; nothing is switched yet."""
    state = environment.state()
    bad = environment.current()
    if bad is None:
        raise IntegrityError(f"Environment {environment.name} has no current generation.")
    there = {generation.number for generation in environment.generations()}
    if state.good not in there or state.good == bad.number:
        raise RolloutStuckError(
            f"FAILED: generation {bad.number} of {environment.name} is bad ({trouble}), and there "
            "is no other that is known to be good." + trouble.quoted_log,
            hint="Nothing more is done by itself. Mend the lock, or "
            f"`venvctl rollback {environment.name} --to N`.",
        )
    on_it = {
        container.id: container.started_at
        for container in engine.containers(volume=environment.name)
        if container.id in state.stopped  # it could not even be started
        or _runs_on_bad(container, state, trouble)
    }
    environment.save_state(
        dataclasses.replace(
            state,
            pending=on_it,
            toward=0,
            stopped=(),
            back_to=state.good,
            back_because=str(trouble),
            held={**state.held, bad.key: f"generation {bad.number} was bad: {trouble}"},
        )
    )


def _runs_on_bad(container: Container, state: State, trouble: _Trouble) -> bool:
    if not (container.running or container.state == "restarting" or container.name == trouble.name):
        return False
    # Restarted by the rollout, by its user or by itself, or started since the switch; or told to
    # take the generation.
    return container.started_at != state.before.get(container.id) or container.id in state.reached


def end(environment: Environment, *, good: int, error: str = "") -> None:
    """Write down that nothing is under way any more, and the error that it ended with."""
    state = environment.state()
    environment.save_state(
        dataclasses.replace(
            state,
            pending={},
            toward=0,
            before={},
            switching=False,
            reached=(),
            stopped=(),
            good=good,
            back_to=0,
            back_because="",
            error=error or state.error,
        )
    )
