"""Where the Docker command line's own settings say that its engine and plugins are."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from venvctl.errors import EngineError

DEFAULT_ENDPOINT = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """What venvctl reads of the Docker command line's ``config.json``.

    Attributes:
        directory: where it lies, with the contexts and the user's own plugins beside it.
        context: name of the context in use; empty means the default one.
        plugin_directories: further folders that the user looks for plugins in.
    """

    directory: Path
    context: str = ""
    plugin_directories: tuple[Path, ...] = ()


def client_settings() -> ClientSettings:
    """Read ``config.json`` from ``$DOCKER_CONFIG`` or ``~/.docker``; one that is missing is fine.

    Raises:
        EngineError: the file is there and can't be read.
    """
    chosen = os.environ.get("DOCKER_CONFIG", "")
    directory = Path(chosen) if chosen else Path.home() / ".docker"
    document = _read_json(directory / "config.json")
    plugins = document.get("cliPluginsExtraDirs") or []
    return ClientSettings(
        directory=directory,
        context=str(document.get("currentContext") or ""),
        plugin_directories=tuple(Path(str(plugin)) for plugin in plugins),
    )


def endpoint() -> str:
    """URL of the engine's Unix socket, found in the order of the Docker command line.

    ``DOCKER_HOST``, then the context that ``DOCKER_CONTEXT`` or ``docker context use`` names, then
    the default socket.

    Raises:
        EngineError: the engine is not on a Unix socket of this host, or the context is unknown.
    """
    host = os.environ.get("DOCKER_HOST", "")
    if host:
        return _require_socket(host, "DOCKER_HOST", "Unset DOCKER_HOST to use this host's engine.")
    settings = client_settings()
    context = os.environ.get("DOCKER_CONTEXT", "") or settings.context
    if context in {"", "default"}:
        return DEFAULT_ENDPOINT
    path = _context_path(settings, context)
    hint = "Run `docker context use default` to use this host's engine."
    if not path.exists():
        raise EngineError(f"The Docker context {context!r} does not exist: no {path}.", hint=hint)
    endpoints = _read_json(path).get("Endpoints") or {}
    host = str((endpoints.get("docker") or {}).get("Host") or DEFAULT_ENDPOINT)
    return _require_socket(host, f"the Docker context {context!r}", hint)


def settings_files() -> tuple[Path, ...]:
    """The files that `endpoint` and `client_settings` look at, there or not.

    Raises:
        EngineError: as `client_settings`.
    """
    settings = client_settings()
    context = os.environ.get("DOCKER_CONTEXT", "") or settings.context
    files = [settings.directory / "config.json"]
    if context not in {"", "default"}:
        files.append(_context_path(settings, context))
    return tuple(files)


def _context_path(settings: ClientSettings, context: str) -> Path:
    # The command line names a context's folder after the SHA-256 of the context's name.
    folder = hashlib.sha256(context.encode()).hexdigest()
    return settings.directory / "contexts" / "meta" / folder / "meta.json"


def _require_socket(host: str, place: str, hint: str) -> str:
    if host.startswith("unix://"):
        return host
    raise EngineError(
        f"The Docker Engine at {host} (from {place}) is not on a Unix socket of this host,"
        " and remote engines are not supported yet.",
        hint=hint,
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EngineError(f"The Docker settings {path} can't be read: {error}.") from error
    if not isinstance(document, dict):
        raise EngineError(f"The Docker settings {path} can't be read: not a JSON object.")
    return document
