"""Docker Compose: where it is, what it makes of a project, and running it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from venvctl.configuration import Configuration
from venvctl.document import Document
from venvctl.engine.endpoint import client_settings
from venvctl.errors import ComposeError, ConfigurationError
from venvctl.labels import LOCK
from venvctl.location import locate
from venvctl.project import ComposeOptions, ComposeProject

if TYPE_CHECKING:
    from collections.abc import Sequence

MINIMUM_VERSION = (2, 20)
# Where packages put plugins, in the order of the Docker command line.
_SYSTEM_PLUGINS = (
    Path("/usr/local/lib/docker/cli-plugins"),
    Path("/usr/local/libexec/docker/cli-plugins"),
    Path("/usr/lib/docker/cli-plugins"),
    Path("/usr/libexec/docker/cli-plugins"),
)
_INSTALL = (
    "Install Docker Compose 2.20 or newer as a plugin of Docker: the package docker-compose-plugin"
    " of Docker's own repository, or docker-compose of Debian 13."
)
_CONFIG = ("config", "--format", "json")
_EVERYTHING = ("--profile", "*", *_CONFIG)
_LOG_LINE = re.compile(r'time="[^"]*" level=(?P<level>\w+) msg=(?P<message>"(?:[^"\\]|\\.)*"|\S+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeResult:
    """What a captured `docker compose` command printed."""

    stdout: str = ""
    stderr: str = ""


def find_compose() -> tuple[str, ...]:
    """The command that runs Docker Compose: its plugin itself, which answers sooner, or `docker`.

    Raises:
        ComposeError: there is neither.
    """
    for plugin in plugin_places():
        if os.access(plugin, os.X_OK) and plugin.is_file():
            return (str(plugin),)
    docker = shutil.which("docker")
    if docker is None:
        raise ComposeError("Docker Compose is not installed.", hint=_INSTALL)
    return (docker, "compose")


def installed_version() -> str:
    """The version of Docker Compose, such as ``2.26.1``; `ComposeError` where it does not run."""
    answer = _ask(["version", "--short"], Path("/"))
    if answer.returncode != 0:  # of a `docker` that has no such plugin
        raise ComposeError("Docker Compose is not installed.", hint=_INSTALL)
    return answer.stdout.decode(errors="replace").strip()


def plugin_places() -> tuple[Path, ...]:
    """Where the plugin may be, there or not, in the order of the Docker command line."""
    settings = client_settings()
    own = (*settings.plugin_directories, settings.directory / "cli-plugins")
    return tuple(directory / "docker-compose" for directory in (*own, *_SYSTEM_PLUGINS))


def load(options: ComposeOptions, cwd: Path) -> ComposeProject:
    """Read a project with its environments, whatever profiles are on.

    Args:
        options: as the user gave them to `venvctl up`.
        cwd: the directory that they were given in (absolute).

    Raises:
        ConfigurationError: compose refuses the files, or labels or mounts can't be used.
        TargetError: services mount one environment at different paths.
        ComposeError: Docker Compose is missing, or too old.
    """
    command = find_compose()
    # Asked at the same time: it costs as much as the answer that is waited for.
    with _start([*command, "version", "--short"], cwd, capture=True) as version:
        location = locate(options, cwd, command)
        answer = _ask([*options.arguments(), *_EVERYTHING], cwd)
        _check_version(version.communicate()[0].decode(errors="replace"))
    document = _parse(answer, location.files)
    compatible = os.environ.get("COMPOSE_COMPATIBILITY", "").lower() in {"1", "true"}
    configuration = Configuration(
        document=document,
        directory=location.directory,
        files=location.files,
        image_separator="_" if compatible else "-",
    )
    environments = configuration.environments()
    # Compose leaves out a volume that no service mounts, without a word, unless its variables are
    # left alone too. The second question is asked only where there may be such a volume.
    if _count_locks(location.files) > len(environments):
        answer = _ask([*options.arguments(), *_EVERYTHING, "--no-interpolate"], cwd)
        if answer.returncode == 0:
            configuration.check_mounted(_parse(answer, location.files), environments)
    return ComposeProject(
        name=document.text("name"),
        directory=location.directory,
        files=location.files,
        profiles=options.profiles,
        env_files=tuple(cwd / file for file in options.env_files),
        environments=environments,
    )


def active_services(
    project: ComposeProject, options: ComposeOptions, cwd: Path, services: Sequence[str] = ()
) -> frozenset[str]:
    """The services that mount an environment and that `docker compose up` would start.

    Args:
        project: as `load` gave it.
        options: what it was loaded with.
        cwd: the same.
        services: names given to `up`; they start with what they depend on, whatever their
            profiles. Empty means all whose profiles are on.

    Raises:
        ConfigurationError: compose knows no such service.
    """
    mounting = [service for each in project.environments for service in each.services]
    names = frozenset(service.name for service in mounting)
    if not services and not any(service.profiles for service in mounting):
        return names
    answer = _ask([*options.arguments(), *_CONFIG, *services], cwd)
    document = _parse(answer, project.files)
    return names & document.table("services").fields.keys()


def up_command(options: ComposeOptions, flags: Sequence[str]) -> tuple[str, ...]:
    """The command that starts all services whose profiles are on.

    Args:
        options: the user's.
        flags: further ones of `docker compose up`.
    """
    return (*find_compose(), *options.arguments(), "up", "--detach", *flags)


def run(
    options: ComposeOptions, arguments: Sequence[str], cwd: Path, *, capture: bool = False
) -> ComposeResult:
    """Run a `docker compose` command to its end.

    An interrupt from the terminal reaches compose too; it is given the time to end by itself.

    Args:
        options: the user's.
        arguments: the command with its own flags, e.g. ``["up", "-d"]``.
        cwd: the directory that the options were given in.
        capture: keep what it prints, instead of letting it speak to the terminal.

    Raises:
        ComposeError: it ended with an error.
    """
    command = [*find_compose(), *options.arguments(), *arguments]
    with _start(command, cwd, capture=capture) as process:
        try:
            stdout, stderr = process.communicate()
        except KeyboardInterrupt:
            process.communicate()
            raise
    result = ComposeResult(
        stdout=(stdout or b"").decode(errors="replace"),
        stderr=(stderr or b"").decode(errors="replace"),
    )
    if process.returncode != 0:
        raise failure(arguments[0], process.returncode, _words(result.stderr) if capture else "")
    return result


def failure(command: str, code: int, words: str = "") -> ComposeError:
    """The error of a `docker compose` command that ended with another exit code than 0.

    Args:
        command: its name, e.g. ``up``.
        code: its exit code.
        words: what it complained of, where it did not speak to the terminal itself.
    """
    said = f": {words}" if words else ""
    return ComposeError(f"`docker compose {command}` ended with exit code {code}{said}.")


def _start(command: Sequence[str], cwd: Path, *, capture: bool) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE if capture else None
    nothing = subprocess.DEVNULL if capture else None
    try:
        return subprocess.Popen(command, cwd=cwd, stdin=nothing, stdout=pipe, stderr=pipe)
    except OSError as error:
        raise ComposeError(
            f"Docker Compose can't be run as {command[0]}: {error.strerror}.", hint=_INSTALL
        ) from error


def _ask(arguments: Sequence[str], cwd: Path) -> subprocess.CompletedProcess[bytes]:
    command = [*find_compose(), *arguments]
    with _start(command, cwd, capture=True) as process:
        stdout, stderr = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def _parse(answer: subprocess.CompletedProcess[bytes], files: Sequence[Path]) -> Document:
    if answer.returncode != 0:
        words = _words(answer.stderr.decode(errors="replace"))
        raise ConfigurationError(f"Docker Compose refuses the project: {words}.")
    return Document.parse(json.loads(answer.stdout), " + ".join(map(str, files)))


def _count_locks(files: Sequence[Path]) -> int:
    return sum(file.read_bytes().count(LOCK.encode()) for file in files)


def _check_version(text: str) -> None:
    match = re.match(r"v?(\d+)\.(\d+)", text.strip())
    if match is None:
        raise ComposeError("Docker Compose is not installed.", hint=_INSTALL)
    if (int(match[1]), int(match[2])) < MINIMUM_VERSION:
        raise ComposeError(f"Docker Compose {text.strip()} is too old.", hint=_INSTALL)


def _words(stderr: str) -> str:
    """What compose complained of, without its warnings and the look of its log."""
    words = []
    for line in stderr.splitlines():
        match = _LOG_LINE.match(line)
        if match is None:
            words.append(line.strip())
        elif match["level"] not in {"warning", "info", "debug"}:
            message = match["message"]
            words.append(json.loads(message) if message.startswith('"') else message)
    return "; ".join(word for word in words if word).rstrip(".") or "it does not say why"
