"""One run of a helper container: shut in, watched, and removed whatever happens."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, NotFound

from venvctl.engine.model import LABEL_HELPER, LABEL_ROOT, Task, TaskResult
from venvctl.errors import EngineError, EngineUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from venvctl.engine.connection import Connection
    from venvctl.engine.notes import Note

OUTPUT_LIMIT = 16 << 20
_PATIENCE = 1.0  # seconds until it is looked whether a container that takes no input still runs
TEMPORARY_SIZE = "size=1g,mode=1777,exec,nosuid,nodev"
# What the engine says of a container whose program it could not find, or not execute.
_NOT_STARTED = frozenset({126, 127})
# As a shell has it: ended by SIGKILL.
_KILLED = 128 + 9


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    exit_code: int
    timed_out: bool = False
    message: str = ""


def run(connection: Connection, task: Task, *, root_identity: str, note: Note) -> TaskResult:
    """Run a helper container to its end and remove it.

    A program that the image lacks is no exception but exit code 127, with the engine's words on
    stderr, as a shell would have it.

    Raises:
        EngineUnreachableError, EngineError: as `Engine`; the container is removed all the same,
            or its note stands.
    """
    try:
        with connection.asking(f"create a container for {task.purpose}") as client:
            identifier = client.create_container(**_parameters(client, task, root_identity))["Id"]
    except EngineError:
        note.done()
        raise
    try:
        end = _run_to_end(connection, identifier, task)
        with connection.asking(f"read the output of the {task.purpose} container") as client:
            stdout, stderr = (
                bounded(client.logs(identifier, stdout=out, stderr=not out, stream=True))
                for out in (True, False)
            )
            state = client.inspect_container(identifier)["State"] if end.exit_code else {}
        result = TaskResult(
            exit_code=end.exit_code,
            stdout=stdout,
            stderr=stderr + end.message,
            timed_out=end.timed_out,
            # An engine may hear of the kernel's reason after the end, and then never tells (20.10).
            out_of_memory=bool(state.get("OOMKilled"))
            or (end.exit_code == _KILLED and not end.timed_out),
        )
        if task.ended is not None:
            task.ended(result)
    finally:
        remove(connection, identifier)
        note.done()
    return result


def remove(connection: Connection, identifier: str) -> bool:
    """Kill and remove a container with its anonymous volumes; False when it was gone already."""
    with connection.asking(f"remove the container {identifier}") as client:
        try:
            client.remove_container(identifier, force=True, v=True)
        except NotFound:
            return False
        except APIError as error:
            # 409: somebody else is removing it at this moment.
            if error.status_code != 409:  # noqa: PLR2004 - HTTP's own number for a conflict
                raise
            return False
    return True


def bounded(stream: Iterable[bytes]) -> str:
    """The first `OUTPUT_LIMIT` bytes of a stream, as text; what is not UTF-8 is replaced."""
    parts: list[bytes] = []
    room = OUTPUT_LIMIT
    for part in stream:
        parts.append(part[:room])
        room -= len(parts[-1])
        if room == 0:
            break
    return b"".join(parts).decode(errors="replace")


def _run_to_end(connection: Connection, identifier: str, task: Task) -> _End:
    with (
        connection.asking(f"start the container for {task.purpose}") as client,
        ExitStack() as open_,
    ):
        # Attached before it starts: what a program reads first must not be missed.
        entrance = (
            None if task.lines is None else open_.enter_context(_entrance(client, identifier))
        )
        try:
            client.start(identifier)
        except APIError as error:
            code = client.inspect_container(identifier)["State"]["ExitCode"]
            if code not in _NOT_STARTED:
                raise
            return _End(exit_code=code, message=f"{error.explanation}\n")
        if entrance is not None:
            _hand_over(task.lines or (), entrance, lambda: _ended(client, identifier))
    deadline = time.monotonic() + task.timeout
    try:
        with connection.asking(f"wait for the {task.purpose} container") as client:
            remaining = max(deadline - time.monotonic(), 0.001)
            return _End(exit_code=client.wait(identifier, timeout=remaining)["StatusCode"])
    except EngineUnreachableError:
        if time.monotonic() < deadline:
            raise
    with connection.asking(f"kill the {task.purpose} container") as client:
        try:
            client.kill(identifier)
        except APIError as error:
            # 409: it ended by itself at the last moment.
            if error.status_code != 409:  # noqa: PLR2004 - HTTP's own number for a conflict
                raise
        code = client.wait(identifier, timeout=client.timeout)["StatusCode"]
    return _End(exit_code=code, timed_out=True)


@contextmanager
def _entrance(client: Any, identifier: str) -> Iterator[socket.socket]:
    """A container's standard input."""
    stream = client.attach_socket(identifier, params={"stdin": 1, "stream": 1})
    entrance = stream._sock  # noqa: SLF001 - the SDK has no other way to end an input
    try:
        yield entrance
    finally:
        entrance.close()


def _hand_over(lines: Iterable[str], entrance: socket.socket, ended: Callable[[], bool]) -> None:
    """Write lines as they come, and end the input after the last.

    A program that ended already misses them; how it ended tells why.
    """
    # The engine neither reads on nor closes when a container ends before its input (measured).
    entrance.settimeout(_PATIENCE)
    try:
        for line in lines:
            left = memoryview(f"{line}\n".encode())
            while left:
                try:
                    left = left[entrance.send(left) :]
                except TimeoutError:
                    if ended():
                        return
        entrance.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, ConnectionResetError):
        return


def _ended(client: Any, identifier: str) -> bool:
    return not client.inspect_container(identifier)["State"]["Running"]


def _parameters(client: Any, task: Task, root_identity: str) -> dict[str, Any]:
    host = client.create_host_config(
        network_mode="bridge" if task.network else "none",
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        read_only=True,
        tmpfs={"/tmp": TEMPORARY_SIZE},  # noqa: S108 - a path in the container
        mem_limit=task.memory,
        # Equal to the memory limit: no swap.
        memswap_limit=task.memory,
        pids_limit=task.pids,
        # Whatever the engine's default driver is, this one can be read back, and is bounded.
        log_config={
            "Type": "local",
            "Config": {"max-size": "64m", "max-file": "2", "compress": "false"},
        },
        mounts=[
            # Unlike the older `binds`, these refuse a source that is missing.
            {
                "Type": "bind",
                "Source": mount.source,
                "Target": mount.target,
                "ReadOnly": mount.read_only,
            }
            for mount in task.mounts
        ],
    )
    return {
        "image": task.image,
        "name": task.name or None,
        "entrypoint": [task.command[0]],
        "command": list(task.command[1:]),
        "environment": {"HOME": "/tmp", **task.environment},  # noqa: S108 - in the container
        "user": task.user or None,
        "stdin_open": task.lines is not None,
        "working_dir": task.working_directory,
        "labels": {LABEL_ROOT: root_identity, LABEL_HELPER: task.purpose},
        "healthcheck": {"Test": ["NONE"]},
        "host_config": host,
        # The user's proxies, which may hold passwords, are no business of a shut-in container.
        "use_config_proxy": task.network,
    }
