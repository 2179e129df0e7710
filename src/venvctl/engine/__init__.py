"""The container engine: its nouns, the interface that every engine keeps, and the way to one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from venvctl.engine.docker import DockerEngine


def connect(root_identity: str, *, notes: Path | None = None) -> DockerEngine:
    """The Docker Engine that the Docker command line would use; nothing is asked of it yet.

    The SDK is imported here and not with this package: it costs more than all else of a command
    that has nothing to do.

    Args:
        root_identity: what marks this root's volumes and helper containers (`LABEL_ROOT`).
        notes: directory in which it is noted what a crash may leave (`engine.notes`).

    Raises:
        EngineError: the engine is not on this host, or the Docker context does not exist.
    """
    from venvctl.engine.docker import DockerEngine  # noqa: PLC0415 - see above

    return DockerEngine(root_identity, notes=notes)
