"""What a running container really has where its environment is mounted, as the kernel tells it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from venvctl.errors import RootError
from venvctl.mounts import mount_points

if TYPE_CHECKING:
    from collections.abc import Iterator

    from venvctl.engine.model import Container
    from venvctl.mounts import MountPoint

_LONGEST = 4096  # parts of a path, with those of links in it


def faults(container: Container, volume: str, directory: Path) -> list[str]:
    """What is wrong with what a container is shown of an environment, in words to follow its name.

    Args:
        container: it runs, or is paused, and mounts the volume.
        volume: the volume's name.
        directory: what the volume leads to on this host.

    Raises:
        RootError: it can't be told: the engine is in another machine or process namespace, this
            user may not look, or the container has ended.
    """
    place, _ = container.mounts[volume]
    try:
        table = Path(f"/proc/{container.pid}/mountinfo").read_text("utf-8", "surrogateescape")
        if container.id not in table + Path(f"/proc/{container.pid}/cgroup").read_text("utf-8"):
            raise ProcessLookupError("the engine's process is not one of this host's")
        top = f"/proc/{container.pid}/root"
        return list(_faults(top, mount_points(table), _resolved(top, place), directory.stat()))
    except OSError as error:
        raise RootError(
            f"What container {container.name} is shown at {place} can't be told: "
            f"{error.strerror or error}.",
            hint="Only root on the engine's own host can look.",
        ) from error


def _faults(
    top: str, mounts: list[MountPoint], place: str, wanted: os.stat_result
) -> Iterator[str]:
    # Later ones lie over earlier ones.
    there = [mount for mount in mounts if mount.path == place]
    if not there:
        yield f"has nothing mounted at {place}"
        return
    shown = os.stat(f"{top}{place}")  # noqa: PTH116 - a text all along
    if (shown.st_dev, shown.st_ino) != (wanted.st_dev, wanted.st_ino):
        yield f"has another directory mounted at {place}"
    elif there[-1].writable:
        yield f"can write to {place}"
    for mount in mounts:
        if mount.path.startswith(f"{place}/"):
            yield f"has something else mounted at {mount.path}"


def _resolved(top: str, place: str) -> str:
    """A path without links, each followed as below another root: none leads out of it."""
    parts = place.split("/")[::-1]
    found = ""
    for _ in range(_LONGEST):
        if not parts:
            break
        part = parts.pop()
        if part == "..":
            found = found.rpartition("/")[0]
        elif part not in {"", "."}:
            try:
                target = os.readlink(f"{top}{found}/{part}")  # noqa: PTH115 - a text all along
            except OSError:
                found = f"{found}/{part}"
                continue
            parts += target.split("/")[::-1]
            if target.startswith("/"):
                found = ""
    return found
