"""Answers "nothing changed" before the command line is built, with the standard library alone.

A command that had nothing to do leaves a record: what it answers when it is asked the same again,
and every fact that this answer rests on (`evidence` writes it). While each of them still holds, so
does the answer. Whatever is not exactly as recorded is left to the command itself, which finds out
again. No decision is taken here: there is no second opinion on what a change is.

Each import here is paid for by every command. That is why the engine is asked in HTTP/1.0, which
ends with the connection: `http.client` alone would more than double the time (measured), and
an answer that is not understood is no answer.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
import sys

import venvctl
from venvctl.rootpath import locate

TYPE_CHECKING = False  # importing `typing` for it would cost a tenth of all this
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

SCHEMA = 1
# Verbs that leave records.
VERBS = ("sync", "up")
# Variables that say to docker, compose, Python or venvctl what to do, wherever they are looked at.
_PREFIXES = ("COMPOSE_", "DOCKER_", "PYTHON", "VENVCTL_")
_NAMES = ("HOME", "PATH", "STATE_DIRECTORY", "VIRTUAL_ENV")
# In the root: what a crash left there is the command's to remove.
_LEFTOVERS = ("tmp", "helpers")
_LIMIT = 32 << 20  # bytes; the largest lock that venvctl reads
_PATIENCE = 5.0  # seconds that the engine has for an answer
_FAILED = 1
_INTERRUPTED = 130


def answer(arguments: Sequence[str]) -> int | None:
    """Answer a command that has nothing to do.

    Args:
        arguments: as given after the program's name.

    Returns:
        The exit code, after everything was printed that the command itself would print; None if
        the command has to find out by itself.
    """
    if tuple(arguments) == ("--version",):
        return _print(f"venvctl {venvctl.__version__}\n")
    if not arguments or arguments[0] not in VERBS:
        return None
    try:
        record = _load(arguments)
        if record is None or not _holds(record):
            return None
        words, spoken = [str(word) for word in record["then"]], bool(record["spoken"])
        output = str(record["output"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if words and (code := _run(words, spoken=spoken)) != 0:
        return code
    return _print(output)


def record_path(root: str, arguments: Sequence[str]) -> str:
    """Where the record of a question is: the arguments, and where and by whom they are given."""
    place = [os.getcwd(), os.environ.get("PWD", ""), os.geteuid()]  # noqa: PTH109 - see `TYPE_CHECKING`
    question = json.dumps([list(arguments), place])
    return f"{root}/answers/{hashlib.sha256(question.encode()).hexdigest()}.json"


def digest(path: str) -> str:
    """SHA-256 (hex) of a file's content; empty where there is none.

    Raises:
        OSError: it can't be read, or is something else than a file of reasonable size.
    """
    try:
        # A named pipe would block for ever without O_NONBLOCK.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    with os.fdopen(handle, "rb") as stream:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LIMIT:
            raise OSError(f"{path} is no file that is remembered")
        return hashlib.sha256(stream.read()).hexdigest()


def identity(path: str) -> list[int]:
    """What changes when a file or directory is replaced: device, inode, owner, mode."""
    status = os.stat(path)  # noqa: PTH116 - see `TYPE_CHECKING`
    return [status.st_dev, status.st_ino, status.st_uid, status.st_mode]


def program(path: str) -> list[int]:
    """What changes when a program is replaced, or written anew in place."""
    status = os.stat(path)  # noqa: PTH116 - see `TYPE_CHECKING`
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns]


def variables(names: Iterable[str]) -> str:
    """Digest of the variables that matter: those of these names, and all that tools listen to.

    Only a digest, as they may hold secrets.
    """
    chosen = {*names, *_NAMES, *(name for name in os.environ if name.startswith(_PREFIXES))}
    values = [[name, os.environ.get(name)] for name in sorted(chosen)]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def registered(root: str) -> list[str]:
    """The names of all registered environments, sorted."""
    return sorted(
        name
        for name in _listed(f"{root}/environments")
        if os.access(f"{root}/environments/{name}/environment.json", os.F_OK)
    )


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208 - see `TYPE_CHECKING`
    except FileNotFoundError:
        return []


def _load(arguments: Sequence[str]) -> Mapping[str, Any] | None:
    root = os.path.realpath(locate())
    try:
        with open(record_path(root, arguments), "rb") as stream:  # noqa: PTH123 - see `TYPE_CHECKING`
            text = stream.read()
    except FileNotFoundError:
        return None
    # As `stamp` writes it: 64 digits of what is behind them.
    if hashlib.sha256(b"{" + text[77:]).hexdigest().encode() != text[11:75]:
        return None
    record = json.loads(text)
    known = record["schema"] == SCHEMA and record["version"] == venvctl.__version__
    return record if known and record["root"] == root else None


def _holds(record: Mapping[str, Any]) -> bool:
    """Whether every fact of a record still holds; the cheapest come first."""
    return (
        variables(record["variables"]["names"]) == record["variables"]["digest"]
        and all(identity(path) == was for path, was in record["identities"].items())
        and all(program(path) == was for path, was in record["programs"].items())
        and all(os.readlink(path) == was for path, was in record["links"].items())  # noqa: PTH115 - see `TYPE_CHECKING`
        and registered(record["root"]) == record["registered"]
        and not any(_listed(f"{record['root']}/{name}") for name in _LEFTOVERS)
        and all(digest(path) == was for path, was in record["files"].items())
        and _engine_holds(record["engine"])
    )


def _engine_holds(facts: Mapping[str, Any]) -> bool:
    address = facts["socket"]
    return all(
        _ask(address, f"/images/{reference}/json")["Id"] == was
        for reference, was in facts["images"].items()
    ) and all(
        volume(_ask(address, f"/volumes/{name}")) == was for name, was in facts["volumes"].items()
    )


def volume(document: Mapping[str, Any]) -> list[object]:
    """What is compared of a volume, from ``GET /volumes/{name}``."""
    return [document["Driver"], document["Options"] or {}, document["Labels"] or {}]


def _ask(address: str, path: str) -> Any:
    """What the engine answers to a ``GET``; a `ValueError` unless it is 200 and JSON."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE)
        connection.connect(address)
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        parts = []
        while part := connection.recv(1 << 16):
            parts.append(part)
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    if head.split(b" ")[1:2] != [b"200"]:
        raise ValueError("the engine does not say yes")
    return json.loads(body)


def _run(words: list[str], *, spoken: bool) -> int | None:
    """Run what the command would run when it has nothing to do.

    Args:
        words: the command.
        spoken: whether it speaks to the terminal. Otherwise only its success counts.

    Returns:
        0, or what to end with; None if the command itself should try, and tell.
    """
    quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    try:
        child = os.posix_spawn(words[0], words, os.environ, file_actions=[] if spoken else quiet)
    except OSError:
        return None
    try:
        _, status = os.waitpid(child, 0)
    except KeyboardInterrupt:
        # The terminal has interrupted it too; it is given the time to end by itself.
        os.waitpid(child, 0)
        return _INTERRUPTED
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        return 0
    if not spoken:
        return None
    from venvctl import compose  # noqa: PLC0415 - only who fails pays for it
    from venvctl.cli import render  # noqa: PLC0415 - only who fails pays for it

    error = compose.failure("up", code)
    render.prepare_streams()
    render.show_error(error, command="up", as_json=False)
    return error.exit_code


def _print(text: str) -> int:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read is gone: let the interpreter's own last flush go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    return 0
