"""Removes what nothing reaches: old generations, forgotten snapshots, their trees and wheels.

What stays is found first, from the environments down: generations, snapshots, trees, wheels. If any
of it can't be read, nothing at all is removed. Then things go in the opposite order of how they
come into being, so that a collection that is killed leaves no snapshot without its wheels.
"""

from __future__ import annotations

import os
import stat
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from venvctl import disk, plan, probe, retention, timestamps, trees
from venvctl.environments import Event
from venvctl.errors import ConfigurationError, IntegrityError
from venvctl.seal import Seal
from venvctl.usage import Census

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from venvctl.environments import Environment, Generation
    from venvctl.progress import Progress
    from venvctl.registration import Registration
    from venvctl.root import Root
    from venvctl.snapshots import Snapshot
    from venvctl.store import StoredFile
    from venvctl.usage import RootUsage

_BLOCK = 512  # bytes of what st_blocks counts (POSIX)
_HOLDING = frozenset({"running", "paused", "restarting"})
_NOTHING_REMOVED = "Nothing was removed."


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """What nothing reaches.

    Attributes:
        generations: with the environment of each, oldest first.
        snapshots, trees: the folder of each.
        wheels: and source archives.
        records: what is remembered of images and builds that are gone.
        quarantined: what was set aside because it was damaged.
    """

    generations: tuple[tuple[Environment, Generation], ...] = ()
    snapshots: tuple[Path, ...] = ()
    trees: tuple[Path, ...] = ()
    wheels: tuple[StoredFile, ...] = ()
    records: tuple[Path, ...] = ()
    quarantined: tuple[Path, ...] = ()

    def paths(self) -> Iterator[Path]:
        """All of it."""
        yield from (generation.path for _, generation in self.generations)
        yield from self.snapshots
        for tree in self.trees:
            yield from (tree, tree.with_name(f"{tree.name}.json"))
        yield from (wheel.path.parent for wheel in self.wheels)
        yield from (*self.records, *self.quarantined)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectResult:
    """What a collection removed, or with `dry_run` would remove.

    Attributes:
        generations: environment and number of each, e.g. ``shop_venv 3``.
        snapshots: their keys. trees: their names. wheels: file names.
        records: how many small records. quarantined: how many damaged files.
        bytes: that became free on the disk; a file that something else still links is not counted.
        kept: what is left, and how much of it generations share; None where there is no root.
    """

    dry_run: bool
    generations: tuple[str, ...]
    snapshots: tuple[str, ...]
    trees: tuple[str, ...]
    wheels: tuple[str, ...]
    records: int
    quarantined: int
    bytes: int
    kept: RootUsage | None = None


def collect(root: Root, *, dry_run: bool, progress: Progress) -> CollectResult:
    """Remove what nothing reaches.

    Kept are: of each environment the current generation, as many old ones as it asks for, those
    that a running holder may have started on, and those that a rollout still needs; the snapshots
    that its retention keeps, and those of kept generations; what these are made of. Snapshots that
    never were current anywhere, and environments without a registration, are left alone.

    Args:
        root: where.
        dry_run: only say what would go; nothing is written.
        progress: told of what is removed.

    Raises:
        IntegrityError: something can't be read, so that nobody knows what it needs.
        EngineUnreachableError, EngineError: who runs on an old generation can't be told.
        BusyError: somebody is at work in the root.
    """
    if not root.path.is_dir():
        return _result(Garbage(), dry_run=dry_run, size=0)
    with nullcontext() if dry_run else root.alone():
        # Who starts meanwhile starts on what is current, which stays.
        garbage = find(root.glance())
        size = _size(garbage.paths())
        if not dry_run:
            _remove(garbage, root, progress)
        kept = _kept(garbage, root)
    return _result(garbage, dry_run=dry_run, size=size, kept=kept)


def find(root: Root) -> Garbage:
    """What nothing reaches; raises as `collect`, and writes nothing."""
    try:
        return _find(root)
    except OSError as error:
        raise IntegrityError(
            f"{error.filename} can't be read: {error.strerror}. {_NOTHING_REMOVED}",
            hint="Check the disk; a collection must know everything that is needed.",
        ) from error
    except (IntegrityError, ConfigurationError) as error:
        message = f"{error.message} {_NOTHING_REMOVED}"
        raise IntegrityError(message, hint=error.hint) from error


def _find(root: Root) -> Garbage:
    there = [*root.snapshots.keys(), *root.snapshots.halves()]
    snapshots = {key: root.snapshots.load(key) for key in there}
    old: list[tuple[Environment, Generation]] = []
    kept: list[tuple[Environment, Generation]] = []
    for environment in root.environments():
        registration = root.registry.find(environment.name)
        numbers = _numbers(environment, registration, root, snapshots)
        for generation in environment.generations():
            (kept if generation.number in numbers else old).append((environment, generation))
    seals = [Seal.load(generation.path) for _, generation in kept]
    keys = _keys(root, snapshots) | {generation.key for _, generation in kept}
    wanted = [snapshot for key, snapshot in snapshots.items() if key in keys]
    names = {package.tree for seal in seals for package in seal.packages}
    origins = [
        *(origin for snapshot in wanted for origin in snapshot.files),
        *(package.origin for seal in seals for package in seal.packages),
    ]
    hashes = {text for origin in origins for text in (origin.sha256, origin.source)}
    wheels = [file for file in root.store.iterate() if file.sha256 not in hashes]
    return Garbage(
        generations=tuple(old),
        snapshots=tuple(root.snapshots.path(key) for key in sorted(snapshots.keys() - keys)),
        trees=tuple(path for path in trees.iterate(root.store) if path.name not in names),
        wheels=tuple(sorted(wheels, key=lambda file: file.path.name)),
        records=(
            *root.store.stale_builds({file.sha256 for file in wheels}),
            *_stale_targets(root, wanted),
        ),
        quarantined=tuple(_entries(root.store.quarantined)),
    )


def _numbers(
    environment: Environment,
    registration: Registration | None,
    root: Root,
    snapshots: Mapping[str, Snapshot],
) -> set[int]:
    """The numbers of the generations of an environment that stay."""
    numbers = [generation.number for generation in environment.generations()]
    current = environment.current()
    state = environment.state()
    if current is None and state.volume_inode:
        raise IntegrityError(
            f"Environment {environment.name} has lost its current generation.",
            hint=f"Bring it back with `venvctl restore {environment.name}`, "
            f"or let go of it with `venvctl env rm {environment.name}`.",
        )
    if registration is None:
        return set(numbers)
    keep = registration.specification.keep
    number = current.number if current else 0
    # What a rollout is under way to, or would go back to.
    wanted = {state.good, state.back_to} & set(numbers)
    kept = wanted | retention.generations(
        numbers, current=number, keep=keep, timelines=(), since=None
    )
    if kept == set(numbers):
        return kept
    uses = [
        (retention.moment(use.since), use.number)
        for snapshot in snapshots.values()
        if (use := snapshot.environments.get(environment.name)) and use.number
    ]
    return wanted | retention.generations(
        numbers,
        current=number,
        keep=keep,
        timelines=(retention.timeline(environment.history()), sorted(uses)),
        since=_longest_running(environment, root),
    )


def _longest_running(environment: Environment, root: Root) -> datetime | None:
    """When the holder that has been running longest started; None if none runs."""
    started = [
        retention.moment(container.started_at)
        for container in root.engine.containers(volume=environment.name)
        if container.state in _HOLDING
    ]
    # A start in the future says that the clock was set back: no time can be trusted.
    if any(start > datetime.now(UTC) for start in started):
        return retention.moment("")
    return min(started, default=None)


def _keys(root: Root, snapshots: Mapping[str, Snapshot]) -> set[str]:
    """The keys of the snapshots that stay, whatever generations there are."""
    kept = set()
    had: dict[str, dict[str, datetime]] = {}
    asked: dict[str, tuple[datetime, Registration]] = {}
    for key, snapshot in snapshots.items():
        uses = {name: use for name, use in snapshot.environments.items() if use.number}
        if not uses:
            kept.add(key)  # somebody imported it, and will say when it is not needed
        for name, use in uses.items():
            since = retention.moment(use.since)
            had.setdefault(name, {})[key] = since
            # Of an environment that is gone, what its owner asked for last.
            if name not in asked or asked[name][0] < since:
                asked[name] = (since, use.registration)
    now = datetime.now(UTC)
    for name, keys in had.items():
        registration = root.registry.find(name)
        if registration is None and root.environment(name).exists:
            kept |= keys.keys()
            continue
        specification = (registration or asked[name][1]).specification
        kept |= retention.snapshots(keys, specification.keep_snapshots, now=now)
    return kept


def _stale_targets(root: Root, wanted: Iterable[Snapshot]) -> list[Path]:
    """Records of probed images that no environment and no kept snapshot uses."""
    used = {(snapshot.image, "") for snapshot in wanted}
    for snapshot in wanted:
        for use in snapshot.environments.values():
            used.add((snapshot.image, use.registration.specification.python))
    for environment in root.environments():
        registration = root.registry.find(environment.name)
        python = registration.specification.python if registration else ""
        used |= {(image, python) for image in plan.image_ids(environment.state().inputs)}
    records = {probe.record(root.path, image, python) for image, python in used}
    return [path for path in _entries(root.path / "targets") if path not in records]


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _size(paths: Iterable[Path]) -> int:
    """Bytes on disk that removing all of some paths would free."""
    sizes: dict[tuple[int, int], int] = {}
    links: dict[tuple[int, int], int] = {}
    for state in _states(paths):
        inode = (state.st_dev, state.st_ino)
        sizes[inode] = state.st_blocks * _BLOCK
        left = links.get(inode, 1 if stat.S_ISDIR(state.st_mode) else state.st_nlink)
        links[inode] = left - 1
    return sum(size for inode, size in sizes.items() if links[inode] == 0)


def _states(paths: Iterable[Path]) -> Iterator[os.stat_result]:
    waiting = [str(path) for path in paths if os.path.lexists(path)]
    while waiting:
        path = waiting.pop()
        state = os.lstat(path)
        yield state
        if stat.S_ISDIR(state.st_mode):
            waiting += (entry.path for entry in os.scandir(path))


def _remove(garbage: Garbage, root: Root, progress: Progress) -> None:
    """Remove it; whoever needs something goes before what it needs."""
    progress.stage("removing", total=len(garbage.generations) + len(garbage.trees))
    gone: dict[str, list[Generation]] = {}
    for environment, generation in garbage.generations:
        environment.remove_generation(generation)
        gone.setdefault(environment.name, []).append(generation)
        progress.advance(1)
    for name, generations in gone.items():
        environment = root.environment(name)
        environment.remove_stale_links()
        notes = tuple(f"generation {each.number} ({each.key})" for each in generations)
        environment.record(Event(time=timestamps.now(), kind="removal", notes=notes))
    for snapshot in garbage.snapshots:
        root.snapshots.remove(snapshot.name)
    for tree in garbage.trees:
        trees.remove(root.store, tree.name)
        progress.advance(1)
    for wheel in garbage.wheels:
        root.store.remove(wheel.sha256)
    for path in (*garbage.records, *garbage.quarantined):
        disk.retire_tree(path, root.path) if path.is_dir() else disk.remove_file(path)


def _kept(garbage: Garbage, root: Root) -> RootUsage:
    """What is left once the garbage is gone, whether it is already or not."""
    gone = {wheel.path for wheel in garbage.wheels}
    wheels = [file.size for file in root.store.iterate() if file.path not in gone]
    return Census(root, without=[each for _, each in garbage.generations]).whole(wheels=wheels)


def _result(
    garbage: Garbage, *, dry_run: bool, size: int, kept: RootUsage | None = None
) -> CollectResult:
    return CollectResult(
        dry_run=dry_run,
        generations=tuple(
            f"{environment.name} {generation.number}"
            for environment, generation in garbage.generations
        ),
        snapshots=tuple(path.name for path in garbage.snapshots),
        trees=tuple(path.name for path in garbage.trees),
        wheels=tuple(file.path.name for file in garbage.wheels),
        records=len(garbage.records),
        quarantined=len(garbage.quarantined),
        bytes=size,
        kept=kept,
    )
