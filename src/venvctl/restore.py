"""Rebuilds an environment from its snapshot and the store alone, whatever was lost of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from venvctl import changeover, disk, interpreters, rollout, timestamps, trees, volumes
from venvctl.catalogue import find_key
from venvctl.environments import Event
from venvctl.errors import RolloutStuckError, TargetError, UsageError
from venvctl.plan import KEY_LENGTH
from venvctl.policy import ChangeKind

if TYPE_CHECKING:
    from venvctl.engine.model import Container
    from venvctl.environments import Environment
    from venvctl.progress import Progress
    from venvctl.registration import Registration
    from venvctl.rollout import StepResult
    from venvctl.root import Root
    from venvctl.snapshots import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreResult:
    """What a restore did.

    Attributes:
        generation: number of the new one. previous: of the one before, 0 if none was left.
        key: of the snapshot.
        packages: how many it has.
        replaced: whether the volume's directory had been lost, so that every running holder was
            stopped and started again.
        steps: what happened to each container otherwise.
    """

    environment: str
    generation: int
    previous: int
    key: str
    packages: int
    replaced: bool
    steps: tuple[StepResult, ...]


def restore(name: str, root: Root, *, snapshot: str | None, progress: Progress) -> RestoreResult:
    """Make the generation of a snapshot anew, from the store, and switch to it.

    Neither an index nor an image registry is asked, and no build is run.

    Args:
        name: the environment's.
        root: where it is kept.
        snapshot: a key; None for the snapshot that was current last. An environment that is
            registered may be given one that it never had, such as an imported one.
        progress: told of each step.

    Raises:
        UsageError: there is no such environment or snapshot.
        IntegrityError: a wheel left the store, or is damaged.
        TargetError: no image has the interpreter that the snapshot is for, or it is for another
            mount path.
        RolloutStuckError: a running container that must not be restarted holds the lost volume.
    """
    chosen = _choose(name, root, snapshot)
    registration = root.registry.find(name) or chosen.environments[name].registration
    registration.check_mount(chosen.mount, chosen.key)
    environment = root.environment(name)
    with root.working():
        root.registry.claim(registration)
        with environment.writing():
            return _rebuild(registration, environment, root, chosen, progress)


def _rebuild(
    registration: Registration,
    environment: Environment,
    root: Root,
    chosen: Snapshot,
    progress: Progress,
) -> RestoreResult:
    volumes.check(environment, root.engine.volume(environment.name))
    lost = _lost_holders(environment, root)
    for container in lost:
        _check_restartable(container, environment)
    if not lost:
        interpreters.check_holders(registration, root, chosen.target)
    left = environment.current_or_none()
    chosen = dataclasses.replace(chosen, image=_image(chosen, registration, root))
    root.snapshots.adopt(chosen.key, chosen.image)
    _drop_damaged_trees(chosen, root)
    disk.make_directory(environment.directory)
    state = environment.state()
    held = {key: why for key, why in state.held.items() if key != chosen.key}
    if left is not None and left.key != chosen.key:
        # As after a rollback: a follower must not bring back what the user left.
        held[left.key] = f"`venvctl restore` left generation {left.number} at {timestamps.now()}"
    environment.save_state(dataclasses.replace(state, held=held))
    generation = changeover.make_generation(chosen, environment, root, progress)
    if lost:
        # All of them first: the engine mounts the new directory when nobody holds the old one.
        # An interrupted restore may have stopped some already.
        state = environment.state()
        stopped = dict.fromkeys([*state.stopped, *(container.id for container in lost)])
        environment.save_state(dataclasses.replace(state, stopped=tuple(stopped)))
        progress.stage("stopping", total=len(lost), unit="containers")
        for container in lost:
            root.engine.stop(container.id)
    changeover.switch(registration, generation, root, restart=not lost, fall_back=False)
    volumes.ensure(root.engine, environment, registration.labels)
    environment.record(
        Event(
            time=timestamps.now(),
            kind="restore",
            generation=generation.number,
            key=generation.key,
            previous=left.number if left else 0,
            notes=tuple(f"{container.name}: stopped and started" for container in lost),
        )
    )
    steps = changeover.finish(environment, root, progress)
    return RestoreResult(
        environment=environment.name,
        generation=generation.number,
        previous=left.number if left else 0,
        key=generation.key,
        packages=len(chosen.files),
        replaced=bool(lost),
        steps=steps,
    )


def _choose(name: str, root: Root, key: str | None) -> Snapshot:
    if key is not None:
        whole = key if len(key) == KEY_LENGTH else find_key(key, root)
        chosen = root.snapshots.load(whole)
        # One that was imported, or that another environment has, will do where it fits.
        if name in chosen.environments or root.registry.find(name) is not None:
            return chosen
        raise UsageError(
            f"There is no environment {name!r} in {root.path}, "
            f"and it never had the snapshot {whole}.",
            hint=f"Make it here first: `venvctl env add {name} --lock FILE --image IMAGE "
            f"--at {chosen.mount}`, or `venvctl up` in its compose project.",
        )
    had = root.snapshots.of(name)
    if not had:
        raise UsageError(
            f"There is no snapshot of an environment {name!r} in {root.path}.",
            hint="`venvctl snapshot list` shows what can be restored.",
        )
    return had[-1]


def _lost_holders(environment: Environment, root: Root) -> list[Container]:
    """The running holders of a volume whose directory was deleted or replaced under them."""
    recorded = environment.state().volume_inode
    there = environment.volume.is_dir() and environment.volume.stat().st_ino == recorded
    if there:
        return []
    holders = root.engine.containers(volume=environment.name)
    return [container for container in holders if container.state in {"running", "paused"}]


def _check_restartable(container: Container, environment: Environment) -> None:
    step = rollout.holder_step(container, container.started_at)
    if container.running and step.action.kind is not ChangeKind.NONE:
        return
    if container.running and rollout.ignores(container):
        return
    raise RolloutStuckError(
        f"The directory of volume {environment.name} was lost, and {container.name} still holds "
        f"the old one; it is left alone because {step.because}.",
        hint=f"`docker stop {container.name}`, then `venvctl restore {environment.name}` again, "
        f"then start it.",
    )


def _image(chosen: Snapshot, registration: Registration, root: Root) -> str:
    """An image with the snapshot's interpreter: the one it was made with, or a service's."""
    candidates = [image for image in (chosen.image, *registration.images.values()) if image]
    python = registration.specification.python
    image = interpreters.having(chosen.target, candidates, root, python=python)
    if image is not None:
        return image
    raise TargetError(
        f"Snapshot {chosen.key} is for Python {chosen.target.version} "
        f"({chosen.target.interpreter}), and none of {', '.join(candidates)} has that.",
        hint="Pull or build an image with that interpreter, or sync to the lock instead.",
    )


def _drop_damaged_trees(chosen: Snapshot, root: Root) -> None:
    """Trees are derived: what is not as it was is unpacked again from its wheel."""
    bytecode = chosen.bytecode == "ahead"
    for file in chosen.files:
        tree = trees.load(root.store, file.sha256, chosen.target, bytecode=bytecode)
        if tree is not None and trees.verify(tree):
            trees.remove(root.store, tree.path.name)
