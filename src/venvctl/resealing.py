"""Writes damaged seals anew, from the snapshots and trees that their generations were made of."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from venvctl import changeover, disk, generations, interpreters, trees, unpacking
from venvctl.checksums import OTHER_MODE
from venvctl.environments import parse_name
from venvctl.errors import IntegrityError, UsageError, VenvctlError
from venvctl.generations import SEAL
from venvctl.parcel import Parcel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from venvctl.environments import Environment
    from venvctl.examination import Fault
    from venvctl.progress import Progress
    from venvctl.root import Root
    from venvctl.snapshots import Snapshot
    from venvctl.trees import Tree


def reseal(faults: Sequence[Fault], root: Root, progress: Progress) -> bool:
    """Write those seals anew that are damaged or lost, where the snapshot is what its key says.

    Args:
        faults: what an examination found.
        root: whose; the caller is alone in it.
        progress: warned of what can't be written anew, and why.

    Returns:
        Whether any was; what its generation should hold is known only now.
    """
    done = False
    for fault in faults:
        path = Path(fault.finding.path)
        if path.name == SEAL and fault.finding.reason != OTHER_MODE:
            path = path.parent
        elif (path / SEAL).exists() or not path.is_dir():
            continue
        environment = root.environment(fault.environment)
        if fault.environment and path.parent == environment.generations_directory:
            done = _write(path, environment, root, progress) or done
    return done


def _write(path: Path, environment: Environment, root: Root, progress: Progress) -> bool:
    name = parse_name(path.name)
    if name is None:
        return False
    number, key = name
    try:
        snapshot = root.snapshots.load(key)
        Parcel.of(snapshot, [0] * len(snapshot.files))
    except (IntegrityError, UsageError):
        current = os.path.realpath(environment.generations_directory.parent / "current")
        advice = (
            f"`venvctl sync {environment.name} --force` makes another generation"
            if current == str(path)
            else f"`rm -r {path}` when no container runs on it any more"
        )
        progress.warn(
            f"{path / SEAL} can't be written anew: no snapshot says what was in it; {advice}."
        )
        return False
    try:
        made = _trees(snapshot, environment, root, progress)
    except VenvctlError as error:
        progress.warn(f"{path / SEAL} can't be written anew: {error.message}")
        return False
    created = next(
        (event.time for event in environment.history() if event.generation == number),
        snapshot.created,
    )
    data = generations.seal(made, changeover.blueprint(snapshot, number=number, created=created))
    disk.write_file(path / SEAL, data)
    return True


def _trees(
    snapshot: Snapshot, environment: Environment, root: Root, progress: Progress
) -> list[Tree]:
    """The trees of a snapshot's wheels; those that are lost are made again."""
    bytecode = snapshot.bytecode == "ahead"
    wheels = changeover.wheels(snapshot, root)
    hashes = [sha256 for sha256, _ in wheels]
    image: str | None = ""
    if bytecode and trees.lacks(root.store, hashes, snapshot.target, bytecode=True):
        known = root.registry.readable(environment.name)
        images = [snapshot.image, *(known.images.values() if known else ())]
        python = known.specification.python if known else ""
        image = interpreters.having(snapshot.target, images, root, python=python)
    return unpacking.ensure(
        root.store,
        wheels,
        snapshot.target,
        bytecode=bytecode,
        engine=root.engine,
        image=image or snapshot.image,
        progress=progress,
    )
