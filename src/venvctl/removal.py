"""Removes an environment and its volume; what it was made of stays in the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from venvctl import disk, volumes
from venvctl.errors import UsageError, VolumeConflictError

if TYPE_CHECKING:
    from venvctl.root import Root


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveResult:
    """An environment that is gone; of its snapshots `gc` keeps as many as its label says."""

    environment: str
    project: str


def remove(name: str, root: Root) -> RemoveResult:
    """Remove an environment and its volume.

    Args:
        name: the environment's.
        root: where it is kept.

    Raises:
        UsageError: it is unknown, or a container mounts it, running or not.
        VolumeConflictError: it has generations, and its volume is somebody else's, which stays.
        BusyError: somebody works on it.
    """
    registration = root.registry.load(name)
    environment = root.environment(name)
    with root.working(), environment.writing():
        try:
            has_volume = volumes.check(environment, root.engine.volume(name))
        except VolumeConflictError:
            if environment.generations():
                raise
            # It never came to be: the volume and the containers on it are somebody else's.
            disk.retire_tree(environment.directory, root.path)
            return RemoveResult(environment=name, project=registration.project)
        holders = [container.name for container in root.engine.containers(volume=name)]
        if holders:
            raise UsageError(
                f"Environment {name} is mounted by {', '.join(sorted(holders))}.",
                hint=f"Remove them first: `docker rm --force {' '.join(sorted(holders))}`.",
            )
        if has_volume:
            root.engine.remove_volume(name)
        disk.retire_tree(environment.directory, root.path)
    return RemoveResult(environment=name, project=registration.project)
