"""What the engine answers to an inspection, parsed into the nouns of `model`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from venvctl.engine.model import Container, EngineHost, Event, Image, Volume

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Go's zero time, which the engine gives for "never".
_NEVER = "0001-01-01T00:00:00Z"

# The engine's own defaults for a healthcheck that doesn't say (docs: HEALTHCHECK).
_HEALTH_INTERVAL = 30.0
_HEALTH_RETRIES = 3


def parse_host(document: Mapping[str, Any]) -> EngineHost:
    """The engine itself, from ``GET /info``."""
    options = set(document.get("SecurityOptions") or ())
    return EngineHost(
        operating_system=document.get("OperatingSystem") or "",
        rootless="name=rootless" in options,
        remapped="name=userns" in options,
        directory=document.get("DockerRootDir") or "",
    )


def parse_image(document: Mapping[str, Any]) -> Image:
    """An image from ``GET /images/{name}/json``."""
    settings = document.get("Config") or {}
    return Image(
        id=document["Id"],
        environment=parse_environment(settings.get("Env")),
        user=settings.get("User") or "",
        os=document.get("Os") or "",
        architecture=document.get("Architecture") or "",
    )


def parse_volume(document: Mapping[str, Any]) -> Volume:
    """A volume from ``GET /volumes/{name}``."""
    return Volume(
        name=document["Name"],
        driver=document["Driver"],
        options=dict(document.get("Options") or {}),
        labels=dict(document.get("Labels") or {}),
    )


def parse_container(document: Mapping[str, Any]) -> Container:
    """A container from ``GET /containers/{id}/json``."""
    settings = document["Config"]
    host = document["HostConfig"]
    state = document["State"]
    started_at = state.get("StartedAt") or ""
    health = (state.get("Health") or {}).get("Status") or ""
    check = settings.get("Healthcheck") if health not in {"", "none"} else None
    network, _, joined = (host.get("NetworkMode") or "").partition(":")
    return Container(
        id=document["Id"],
        name=document["Name"].removeprefix("/"),
        image=document["Image"],
        state=state["Status"],
        started_at="" if started_at == _NEVER else started_at,
        health="" if health == "none" else health,
        labels=dict(settings.get("Labels") or {}),
        environment=parse_environment(settings.get("Env")),
        mounts=_volume_mounts(document.get("Mounts") or ()),
        network_container=joined if network == "container" else "",
        auto_remove=bool(host.get("AutoRemove")),
        tty=bool(settings.get("Tty")),
        restart_count=int(document.get("RestartCount") or 0),
        exit_code=int(state.get("ExitCode") or 0),
        health_interval=_seconds(check, "Interval", _HEALTH_INTERVAL),
        health_retries=_count(check, "Retries", _HEALTH_RETRIES),
        pid=int(state.get("Pid") or 0),
    )


def _seconds(check: Mapping[str, Any] | None, name: str, default: float) -> float:
    """A duration of a healthcheck, which the engine keeps in nanoseconds; 0 means the default."""
    if check is None:
        return 0.0
    return float(check.get(name) or 0) / 1e9 or default


def _count(check: Mapping[str, Any] | None, name: str, default: int) -> int:
    return 0 if check is None else int(check.get(name) or 0) or default


def parse_event(document: Mapping[str, Any]) -> Event:
    """An event from ``GET /events``."""
    actor = document.get("Actor") or {}
    return Event(
        type=document.get("Type") or "",
        action=document.get("Action") or "",
        id=actor.get("ID") or "",
        attributes=dict(actor.get("Attributes") or {}),
        time=int(document.get("timeNano") or 0) / 1e9,
    )


def parse_environment(lines: Iterable[str] | None) -> dict[str, str]:
    """Variables from the engine's ``NAME=value`` lines; one without a value is unset."""
    pairs = (line.partition("=") for line in lines or ())
    return {name: value for name, separator, value in pairs if separator}


def _volume_mounts(mounts: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, bool]]:
    found: dict[str, tuple[str, bool]] = {}
    # A volume that is mounted twice is known by its first path in name order.
    for mount in sorted(mounts, key=lambda mount: str(mount["Destination"]), reverse=True):
        if mount.get("Type") == "volume":
            found[mount["Name"]] = (mount["Destination"], bool(mount.get("RW")))
    return found
