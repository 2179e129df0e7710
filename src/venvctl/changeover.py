"""From a snapshot to running containers: generation, switch, rollout."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from venvctl import delivery, rollout, timestamps
from venvctl.environments import SWITCHING, Event
from venvctl.errors import IntegrityError, RolloutFailedError, RolloutStuckError, VenvctlError
from venvctl.snapshots import Use

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from venvctl.environments import Environment, Generation
    from venvctl.generations import Assembly, Blueprint
    from venvctl.progress import Progress
    from venvctl.registration import Registration
    from venvctl.rollout import StepResult
    from venvctl.root import Root
    from venvctl.snapshots import Snapshot
    from venvctl.trees import Tree


def make_generation(
    snapshot: Snapshot, environment: Environment, root: Root, progress: Progress
) -> Generation:
    """Make a snapshot's generation from the store alone; nothing is switched.

    Raises:
        UnavailableError: a file left the store.
        VenvctlError: as `unpacking.ensure` and `link`.
    """
    from venvctl import generations, unpacking  # noqa: PLC0415 - a rollback does without

    environment.prepare()
    made = unpacking.ensure(
        root.store,
        wheels(snapshot, root),
        snapshot.target,
        bytecode=snapshot.bytecode == "ahead",
        engine=root.engine,
        image=snapshot.image,
        progress=progress,
    )
    with generations.Assembly(
        into=environment.generations_directory, root=root.path, progress=progress
    ) as assembly:
        return link(snapshot, made, environment, root, assembly, progress)


def wheels(snapshot: Snapshot, root: Root) -> list[tuple[str, Path]]:
    """SHA-256 and path of each of a snapshot's wheels.

    Raises:
        UnavailableError: one left the store.
    """
    return [(file.sha256, root.store.get(file, name=file.name)) for file in snapshot.files]


def link(
    snapshot: Snapshot,
    made: Sequence[Tree],
    environment: Environment,
    root: Root,
    assembly: Assembly,
    progress: Progress,
) -> Generation:
    """Make a snapshot's generation from the trees of its wheels, in the same order.

    Raises:
        FileConflictError, DiskFullError, RootError: as `Assembly.finish`.
    """
    progress.stage("linking", total=len(made), unit="wheels")
    state = environment.state()
    number = environment.next_number()
    if not state.last_number:
        # What an environment was that is lost, its snapshots still know.
        number = max(number, root.snapshots.last_number(environment.name) + 1)
    environment.save_state(dataclasses.replace(state, last_number=number))
    assembly.finish(made, blueprint(snapshot, number=number, created=timestamps.now()))
    return environment.numbered(number)


def blueprint(snapshot: Snapshot, *, number: int, created: str) -> Blueprint:
    """What a generation of a snapshot is made of, beside its trees.

    Args:
        snapshot: what was chosen.
        number: of the generation.
        created: when it was made.
    """
    from venvctl.generations import Blueprint  # noqa: PLC0415 - a rollback does without

    return Blueprint(
        number=number,
        key=snapshot.key,
        mount=snapshot.mount,
        target=snapshot.target,
        image=snapshot.image,
        lock_digests=snapshot.lock_digests,
        files=snapshot.files,
        conflicts=snapshot.conflicts,
        created=created,
    )


def check_not_replaced(environment: Environment, root: Root) -> None:
    """Refuse to work on a `volume` directory that containers don't see.

    The engine mounts the directory once and counts its holders: one that takes its place is seen by
    no container, and the next restart of one fails (measured).

    Raises:
        IntegrityError: it was lost or replaced while a container runs on it.
    """
    expected = environment.state().volume_inode
    actual = environment.volume.stat().st_ino if environment.volume.is_dir() else 0
    if not expected and environment.current_or_none() is not None:
        return  # it is the state that was lost
    if actual and actual == expected:
        return
    holders = root.engine.containers(volume=environment.name)
    if running := [container.name for container in holders if container.running]:
        raise IntegrityError(
            f"{environment.volume} was deleted or replaced while {', '.join(running)} ran on it: "
            "what is done there now reaches no container.",
            hint=f"`venvctl restore {environment.name}` rebuilds it and restarts them.",
        )


def switch(
    registration: Registration,
    generation: Generation,
    root: Root,
    *,
    restart: bool,
    fall_back: bool = True,
) -> None:
    """Make a generation current, after writing down which containers then have to be reached.

    Args:
        registration: the environment, whose one writer the caller is.
        generation: complete, and on disk.
        root: its engine and snapshots.
        restart: whether there will be a rollout.
        fall_back: whether that rollout may go back to the generation that is left by this.
    """
    environment = root.environment(registration.name)
    state = environment.state()
    left = environment.current_or_none()
    running: dict[str, str] = {}
    if restart:
        containers = root.engine.containers(volume=environment.name)
        running = rollout.to_reach(containers, environment.name)
    # Where an interrupted rollout was, the generation before that one is still the good one.
    good = state.good if state.pending else (left.number if left and fall_back else 0)
    environment.save_state(
        dataclasses.replace(
            state,
            pending=running,
            # Where an interrupted rollout was, some of them are behind the current one too.
            toward=0 if state.pending and running else generation.number,
            before=running,
            switching=restart,
            reached=(),
            good=good if fall_back else 0,
            back_to=0,
            back_because="",
            volume_inode=environment.volume.stat().st_ino,
        )
    )
    environment.switch(generation)
    note_current(registration, generation, root)


def note_current(registration: Registration, generation: Generation, root: Root) -> None:
    """Have the snapshot know whose current generation it made; nothing if it knows already.

    Asked again by each sync: a crash may have come between a switch and this.
    """
    if generation.key not in root.snapshots:
        return  # somebody removed it; what runs goes on running
    before, *latest = root.snapshots.latest(registration.name)
    if latest != [generation.key, generation.number]:
        # The one that was current last has to be the latest, whatever the clock does.
        since = timestamps.after(before)
        use = Use(since=since, number=generation.number, registration=registration)
        root.snapshots.mark_current(generation.key, use)


def note_switch(environment: Environment) -> None:
    """Have the history know of a switch that something came after before it was written down."""
    current = environment.current_or_none()
    known = next(
        (each.generation for each in reversed(environment.history()) if each.kind in SWITCHING), 0
    )
    if current is None or current.number == known:
        return
    environment.record(
        Event(
            time=timestamps.of(environment.switched_at),
            kind="switch",
            generation=current.number,
            key=current.key,
            previous=known,
        )
    )


def finish(environment: Environment, root: Root, progress: Progress) -> tuple[StepResult, ...]:
    """Roll out what is pending, and write down what happened.

    Raises:
        RolloutFailedError: the generation was bad; the one before is current again.
        RolloutStuckError: it was bad, and there was no way back.
        EngineUnreachableError, RolloutWaitsError: the rest stays pending.
    """
    try:
        steps = delivery.deliver(environment, root.engine, progress)
    except (RolloutFailedError, RolloutStuckError) as error:
        _note_bad(environment, root, error)
        raise
    if steps:
        _record(environment, "rollout", tuple(map(str, steps)))
    return steps


def _note_bad(environment: Environment, root: Root, error: VenvctlError) -> None:
    current = environment.current()
    registration = root.registry.find(environment.name)
    if current is not None and registration is not None:
        note_current(registration, current, root)
    _record(environment, error.code, tuple(error.message.splitlines()))
    # Last: until here whoever comes next tells the story again.
    delivery.end(environment, good=environment.state().good, error=error.message)


def _record(environment: Environment, kind: str, notes: tuple[str, ...]) -> None:
    current = environment.current()
    environment.record(
        Event(
            time=timestamps.now(),
            kind=kind,
            generation=current.number if current else 0,
            key=current.key if current else "",
            notes=notes,
        )
    )
