"""The named Docker volume of an environment: made once, never replaced, never somebody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from venvctl.engine.model import LABEL_ROOT
from venvctl.errors import EngineError, VolumeConflictError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from venvctl.engine.model import Engine, Volume
    from venvctl.environments import Environment


def check(environment: Environment, volume: Volume | None) -> bool:
    """Whether the volume exists and is this environment's.

    Args:
        environment: whose volume it should be.
        volume: what the engine has under its name.

    Raises:
        VolumeConflictError: it was made by compose, by another root, or by somebody else.
    """
    if volume is None:
        return False
    options = _options(environment)
    if volume.labels.get(LABEL_ROOT) == str(environment.root) and volume.options == options:
        return True
    name = environment.name
    owner = volume.labels.get(LABEL_ROOT, "")
    project = volume.labels.get("com.docker.compose.project", "")
    if owner and owner != str(environment.root):
        raise VolumeConflictError(
            f"Volume {name} belongs to the venvctl root {owner}, not to {environment.root}.",
            hint=f"Set VENVCTL_ROOT={owner} to work on it.",
        )
    if project and not volume.options:
        raise VolumeConflictError(
            f"Volume {name} was made by compose (project {project}) before venvctl: it is an "
            "ordinary volume, and containers hold it.",
            hint=f"Nothing in it is needed: `docker compose -p {project} down` and "
            f"`docker volume rm {name}`, then `venvctl up`.",
        )
    raise VolumeConflictError(
        f"Volume {name} exists and was not made by venvctl (driver {volume.driver}, "
        f"options {dict(volume.options) or 'none'}).",
        hint=f"Give the environment another name, or, if nothing in it is needed, "
        f"`docker volume rm {name}`.",
    )


def ensure(engine: Engine, environment: Environment, labels: Mapping[str, str]) -> bool:
    """Have the volume; its first generation is current already.

    The engine answers success when a volume of that name was made meanwhile with other options,
    and keeps the other one: so what it made is looked at.

    Returns:
        Whether it was made now.

    Raises:
        VolumeConflictError: as `check`.
    """
    if check(environment, engine.volume(environment.name)):
        return False
    made = engine.create_volume(
        environment.name,
        options=_options(environment),
        labels={**labels, LABEL_ROOT: str(environment.root)},
    )
    if not check(environment, made):
        raise EngineError(f"The engine says it made volume {environment.name}, but has none.")
    return True


def _options(environment: Environment) -> dict[str, str]:
    # Read-only for every container, also where its compose file forgets `:ro` (measured).
    return {"type": "none", "o": "bind,ro", "device": str(environment.volume)}
