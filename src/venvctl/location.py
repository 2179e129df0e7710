"""Which files and which directory a compose project has, by compose's own rules."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from venvctl.document import Document
from venvctl.errors import ConfigurationError, NoProjectError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from venvctl.project import ComposeOptions

# The order is compose's own.
_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
_FILE_VARIABLE = "COMPOSE_FILE"
_SEPARATOR_VARIABLE = "COMPOSE_PATH_SEPARATOR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where a project is; all paths are absolute.

    Attributes:
        files: the compose files, in order.
        directory: the project directory, where relative paths start.
    """

    files: tuple[Path, ...]
    directory: Path


def locate(options: ComposeOptions, cwd: Path, command: Sequence[str]) -> Location:
    """Find the files and the directory of a project, which compose itself does not tell.

    Its rules: ``-f``, else ``COMPOSE_FILE`` from the process or an env file, else a file of the
    usual names in the directory or its parents, with its override; and ``--project-directory``,
    else the directory of the first file.

    Args:
        options: as the user gave them.
        cwd: the directory that they were given in.
        command: what runs compose, which is asked how it reads an env file.

    Raises:
        ConfigurationError: no file is found, or one that is not a file on this host is named.
    """
    names = options.files or _variable_files(options, cwd, command)
    if names:
        _check_names(names)
        files = tuple(_absolute(cwd, name) for name in names)
    else:
        files = _default_files(_start(options, cwd))
        if not files:
            raise NoProjectError(
                f"There is no compose file in {_start(options, cwd)} or above it.",
                hint="Go to the project's directory, or name the file with -f.",
            )
    chosen = options.project_directory
    return Location(files=files, directory=_absolute(cwd, chosen) if chosen else files[0].parent)


def searched(options: ComposeOptions, cwd: Path) -> tuple[Path, ...]:
    """The paths that decide which files a project has where none are named, there or not.

    They end with the directory in which a file is found.
    """
    start = _start(options, cwd)
    looked: list[Path] = []
    for directory in (start, *start.parents):
        looked += (directory / name for name in (*_NAMES, *_OVERRIDES))
        if _first(directory, _NAMES):
            break
    return tuple(looked)


def env_files(options: ComposeOptions, cwd: Path, files: Iterable[Path]) -> tuple[Path, ...]:
    """The files that compose reads variables from, there or not.

    Args:
        options: as the user gave them.
        cwd: the directory that they were given in.
        files: the compose files.
    """
    named = options.env_files or _listed(os.environ.get("COMPOSE_ENV_FILES", ""))
    if named:
        return tuple(_absolute(cwd, name) for name in named)
    folders = [cwd, _start(options, cwd), *(file.parent for file in files)]
    return tuple(folder / ".env" for folder in dict.fromkeys(folders))


def _start(options: ComposeOptions, cwd: Path) -> Path:
    return _absolute(cwd, options.project_directory or ".")


def _absolute(cwd: Path, name: str) -> Path:
    # Like compose, without following links.
    return Path(os.path.abspath(cwd / name))  # noqa: PTH100 - Path.resolve follows links


def _check_names(names: Iterable[str]) -> None:
    for name in names:
        if name == "-" or "://" in name:
            what = "standard input" if name == "-" else name
            raise ConfigurationError(
                f"The compose file can't be {what}: venvctl reads it again whenever it changes.",
                hint="Save it as a file on this host.",
            )


def _default_files(start: Path) -> tuple[Path, ...]:
    for directory in (start, *start.parents):
        found = _first(directory, _NAMES)
        if found:
            return (*found, *_first(directory, _OVERRIDES))
    return ()


def _first(directory: Path, names: Iterable[str]) -> tuple[Path, ...]:
    return next(((directory / name,) for name in names if (directory / name).is_file()), ())


def _variable_files(options: ComposeOptions, cwd: Path, command: Sequence[str]) -> tuple[str, ...]:
    """Names from ``COMPOSE_FILE``, which the process or an env file may set."""
    if os.environ.get(_FILE_VARIABLE):
        separator = os.environ.get(_SEPARATOR_VARIABLE) or os.pathsep
        return tuple(os.environ[_FILE_VARIABLE].split(separator))
    named = options.env_files or _listed(os.environ.get("COMPOSE_ENV_FILES", ""))
    start = _start(options, cwd)
    # Compose reads `.env` where it starts, then beside the file that it finds.
    found = _default_files(start)
    folders = dict.fromkeys([start, *(file.parent for file in found[:1])])
    for folder in folders:
        env_files = [_absolute(cwd, name) for name in named] or [folder / ".env"]
        if not any(_mentions(file, _FILE_VARIABLE) for file in env_files):
            continue
        value, separator = _ask_variables(command, folder, env_files if named else [])
        if value:
            return tuple(value.split(separator or os.pathsep))
    return ()


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _mentions(file: Path, word: str) -> bool:
    try:
        return word.encode() in file.read_bytes()
    except OSError:
        return False


def _ask_variables(
    command: Sequence[str], directory: Path, env_files: Iterable[Path]
) -> tuple[str, str]:
    """What compose itself reads for two variables: its env files have a grammar of their own."""
    labels = {name: f"${{{name}:-}}" for name in (_FILE_VARIABLE, _SEPARATOR_VARIABLE)}
    question = {"name": "question", "services": {"question": {"image": "none", "labels": labels}}}
    files = [part for file in env_files for part in ("--env-file", str(file))]
    done = subprocess.run(
        [*command, *files, "--file", "-", "config", "--format", "json"],
        cwd=directory,
        # JSON is YAML.
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        # The project's own configuration will fail in the same way, with compose's words.
        return "", ""
    document = Document.parse(json.loads(done.stdout), "the variables of compose")
    read = document.table("services").table("question").mapping("labels")
    return read[_FILE_VARIABLE], read[_SEPARATOR_VARIABLE]
