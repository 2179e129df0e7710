"""From a snapshot to running containers: generation, switch, rollout."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from venvctl import rollout
from venvctl.environments import Event
from venvctl.errors import IntegrityError, RolloutStuckError
from venvctl.rollout import Outcome
from venvctl.snapshots import Use

if TYPE_CHECKING:
    from venvctl.environments import Environment, Generation
    from venvctl.progress import Progress
    from venvctl.registration import Registration
    from venvctl.rollout import StepResult
    from venvctl.root import Root
    from venvctl.snapshots import Snapshot


def now() -> str:
    """The time, UTC, as RFC 3339 with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def make_generation(
    snapshot: Snapshot, environment: Environment, root: Root, progress: Progress
) -> Generation:
    """Make a snapshot's generation from the store alone; nothing is switched.

    Raises:
        IntegrityError: a file left the store, or is not what its name says.
        FileConflictError, DiskFullError, RootError: as `generations.assemble`.
    """
    from venvctl import generations, trees  # noqa: PLC0415 - a rollback does without

    environment.prepare()
    wheels = [(file.sha256, root.store.get(file, name=file.name)) for file in snapshot.files]
    made = trees.ensure(
        root.store,
        wheels,
        snapshot.target,
        bytecode=snapshot.bytecode == "ahead",
        engine=root.engine,
        image=snapshot.image,
        progress=progress,
    )
    progress.stage("linking", total=len(made), unit="wheels")
    number = environment.next_number()
    environment.save_state(dataclasses.replace(environment.state(), last_number=number))
    generations.assemble(
        made,
        generations.Blueprint(
            number=number,
            key=snapshot.key,
            mount=snapshot.mount,
            target=snapshot.target,
            image=snapshot.image,
            lock_digests=snapshot.lock_digests,
            files=snapshot.files,
            conflicts=snapshot.conflicts,
            created=now(),
        ),
        into=environment.generations_directory,
        root=root.path,
        progress=progress,
    )
    return environment.numbered(number)


def check_not_replaced(environment: Environment, root: Root) -> None:
    """Refuse to work on a `volume` directory that containers don't see.

    The engine mounts the directory once and counts its holders: one that takes its place is seen by
    no container, and the next restart of one fails (measured).

    Raises:
        IntegrityError: it was lost or replaced while a container runs on it.
    """
    expected = environment.state().volume_inode
    actual = environment.volume.stat().st_ino if environment.volume.is_dir() else 0
    if not expected or actual == expected:
        return
    holders = root.engine.containers(volume=environment.name)
    if running := [container.name for container in holders if container.running]:
        raise IntegrityError(
            f"{environment.volume} was deleted or replaced while {', '.join(running)} ran on it: "
            "what is done there now reaches no container.",
            hint=f"`venvctl restore {environment.name}` rebuilds it and restarts them.",
        )


def switch(
    registration: Registration, generation: Generation, root: Root, *, restart: bool
) -> None:
    """Make a generation current, after writing down which containers then have to be reached.

    Args:
        registration: the environment, whose one writer the caller is.
        generation: complete, and on disk.
        root: its engine and snapshots.
        restart: whether there will be a rollout.
    """
    environment = root.environment(registration.name)
    state = environment.state()
    pending = dict(state.pending)
    if restart:
        # What an interrupted rollout left stays pending; a container that started since is new.
        pending |= rollout.to_reach(
            root.engine.containers(volume=environment.name), environment.name
        )
    inode = environment.volume.stat().st_ino
    environment.save_state(dataclasses.replace(state, pending=pending, volume_inode=inode))
    environment.switch(generation)
    use = Use(since=now(), number=generation.number, registration=registration)
    root.snapshots.mark_current(generation.key, use)


def start_stopped(environment: Environment, root: Root) -> None:
    """Start the containers that a restore stopped, also one that was killed meanwhile."""
    for identifier in environment.state().stopped:
        container = root.engine.container(identifier)
        if container is not None and not container.running:
            root.engine.start(identifier)
        state = environment.state()
        left = tuple(other for other in state.stopped if other != identifier)
        environment.save_state(dataclasses.replace(state, stopped=left))


def finish(environment: Environment, root: Root, progress: Progress) -> tuple[StepResult, ...]:
    """Roll out what is pending, and write down what happened.

    Raises:
        RolloutStuckError: a container could not be brought onto the generation.
        EngineUnreachableError: the engine went away; the rest stays pending.
    """
    start_stopped(environment, root)
    steps = rollout.roll_out(environment, root.engine, progress)
    if not steps:
        return ()
    current = environment.current()
    if current is None:
        raise IntegrityError(f"Environment {environment.name} has no current generation.")
    environment.record(
        Event(
            time=now(),
            kind="rollout",
            generation=current.number,
            key=current.key,
            notes=tuple(map(str, steps)),
        )
    )
    failed = [step for step in steps if step.outcome is Outcome.FAILED]
    if failed:
        raise RolloutStuckError(
            f"Generation {current.number} of {environment.name} is current, but "
            + "; ".join(f"{step.name} could not take it: {step.because}" for step in failed),
            hint=f"Look at its log, or go back: `venvctl rollback {environment.name}`.",
        )
    return steps
