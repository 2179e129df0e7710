"""What is, and what the lock means: the half of a sync that changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from venvctl import changeover, interpreters, lockfiles, plan, volumes
from venvctl.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from venvctl.asking import Said
    from venvctl.environments import Environment, Generation
    from venvctl.lockfiles import Lock
    from venvctl.origin import Origin
    from venvctl.registration import Registration
    from venvctl.root import Root
    from venvctl.selection import Selection
    from venvctl.state import State
    from venvctl.stopwatch import Stopwatch
    from venvctl.target import Target


# The reason for a sync that goes on with a rollout.
INTERRUPTED = "its last rollout was interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """How a sync is to go about it.

    Attributes:
        force: sync although nothing changed, and to a key that is held.
        dry_run: decide, and do nothing.
        offline: use the store and the pin records alone.
        accept: packages whose files at the index may have changed since they were recorded.
        restart: roll out; otherwise the holders stay on what they run.
        recreated: services that compose is about to recreate, whose containers may therefore run
            another interpreter still.
        defer_rollout: leave the rollout to the caller, who calls `changeover.finish` (`venvctl up`
            first has compose recreate what it wants to).
        wait: seconds to wait for another writer.
        read_bytes: what reads the lock's files. The daemon reads another user's only as that user.
    """

    force: bool = False
    dry_run: bool = False
    offline: bool = False
    accept: frozenset[str] = frozenset()
    restart: bool = True
    recreated: frozenset[str] = frozenset()
    defer_rollout: bool = False
    wait: float = 0.0
    read_bytes: Callable[[Path], bytes] = lockfiles.read_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One sync under way: what it works on, and the files that it read of the lock."""

    registration: Registration
    root: Root
    environment: Environment
    options: SyncOptions
    watch: Stopwatch
    read: lockfiles.Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is, before anything is done."""

    state: State
    images: Mapping[str, str]
    reasons: tuple[str, ...]
    current: Generation | None
    has_volume: bool

    @property
    def number(self) -> int:
        """The current generation's number, 0 if there is none."""
        return self.current.number if self.current else 0


def look(work: Work) -> Look:
    """Compare everything that decides with what the last sync saw."""
    environment, engine = work.environment, work.root.engine
    state = environment.state()
    conditions = []
    current = environment.current_or_none()
    has_volume = volumes.check(environment, engine.volume(environment.name))
    changeover.check_not_replaced(environment, work.root)
    if state.inputs and current is None:
        conditions.append("its current generation is missing")
    if state.inputs and not has_volume:
        conditions.append(f"the volume {environment.name} is missing")
    waits = state.pending or state.switching or state.stopped or state.back_to
    if waits and work.options.restart:
        conditions.append(INTERRUPTED)
    if work.options.force:
        conditions.append("--force asks for it")
    if work.options.accept:
        conditions.append("--accept asks for it")
    images = interpreters.images(work.registration, work.root)
    lock = str(work.registration.specification.lock)
    paths = plan.lock_paths(state.inputs)
    digests = lockfiles.digests(paths if lock in paths else [lock], work.read)
    now = inputs(work, digests, images)
    return Look(
        state=state,
        images=images,
        reasons=plan.reasons(state.inputs, now, conditions=conditions),
        current=current,
        has_volume=has_volume,
    )


def inputs(work: Work, digests: Mapping[str, str], images: Mapping[str, str]) -> dict[str, str]:
    """Everything that decides, as `State` remembers it (see `plan.inputs`)."""
    registration = work.registration
    return plan.inputs(
        registration.specification, mount=registration.mount, locks=digests, images=images
    )


def read_lock(work: Work) -> Lock:
    """Read the lock; what it warns of goes to the result."""
    specification = work.registration.specification
    work.watch.stage("reading the lock")
    lock = lockfiles.read(
        specification.lock,
        options=lockfiles.LockOptions(
            format=specification.format,
            extras=specification.extras,
            groups=specification.groups,
            package=specification.package,
            project=work.registration.directory,
        ),
        read_bytes=work.read,
    )
    for warning in lock.warnings:
        work.watch.warn(warning)
    return lock


def identify(work: Work, look: Look, lock: Lock) -> tuple[Target, Said]:
    """What the interpreter is, and what indexes say of new pins meanwhile.

    An image that was never seen takes a container's run (measured: 0.3 to 1.2 s), and so do they.
    """
    registration, root = work.registration, work.root
    python = registration.specification.python
    seen = all(root.probe.remembered(image, python) for image in look.images.values())
    if seen or work.options.offline or not lock.pins:
        return interpreters.agreed(registration, root, look.images), {}
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - a sync with nothing to do does without

    from venvctl import asking, settings  # noqa: PLC0415 - the same

    network = settings.load()
    with ThreadPoolExecutor(1) as pool:
        said = pool.submit(
            asking.ask_ahead, lock, root.pins, transport=network.transport, index=network.options()
        )
        return interpreters.agreed(registration, root, look.images), said.result()


def select(work: Work, lock: Lock, target: Target, said: Said) -> Selection:
    """Choose the files that the lock names for the target; asks indexes for new pins only.

    Args:
        work: the sync.
        lock: what was read.
        target: the interpreter.
        said: what indexes said of its pins already.
    """
    from venvctl import pins, selection, settings  # noqa: PLC0415 - a sync with nothing to do does without

    work.watch.stage("selecting")
    store = work.root.store

    def stored(sha256: str) -> str:
        path = store.wheel(sha256)
        return path.name if path else ""

    for name in sorted(work.options.accept - {pin.name for pin in lock.pins}):
        work.watch.warn(f"--accept {name}: the lock has no pin of that name.")
    network = settings.load()
    pylock = pins.resolve(
        lock,
        target,
        work.root.pins,
        transport=None if work.options.offline else network.transport,
        index=network.options(),
        refresh=work.options.force and not work.options.offline,
        accept=work.options.accept,
        stored=stored,
        said=said,
    )
    return selection.select(
        pylock,
        target,
        extras=lock.extras,
        groups=lock.groups,
        builds=work.registration.specification.builds == "allow",
        insecure_hosts=(*lock.insecure_hosts, *network.insecure_hosts),
    )


def key(work: Work, selection: Selection, target: Target) -> str:
    """The key of the generation that the lock means."""
    registration = work.registration
    return plan.key(
        selection, target, mount=registration.mount, specification=registration.specification
    )


def decide(work: Work, look: Look, wanted: str) -> plan.Decision:
    """What to do about that key."""
    there = work.environment.generations()
    if work.options.force:
        there = [generation for generation in there if _is_known(generation)]
    return plan.decide(
        wanted,
        current=look.current.key if look.current in there else "",
        present=[generation.key for generation in there],
        held=look.state.held,
        force=work.options.force,
    )


def _is_known(generation: Generation) -> bool:
    """Whether anything says what it holds: one with a damaged seal is made anew by force."""
    from venvctl.seal import Seal  # noqa: PLC0415 - only by force

    try:
        Seal.load(generation.path)
    except IntegrityError:
        return False
    return True


def files(work: Work, generation: Generation | None) -> Sequence[Origin]:
    """The packages of a generation, as far as they can still be told."""
    snapshots = work.root.snapshots
    if generation is None or generation.key not in snapshots:
        return ()
    try:
        return snapshots.load(generation.key).files
    except IntegrityError:
        return ()
