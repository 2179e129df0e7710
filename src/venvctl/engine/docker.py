"""A Docker Engine on this host, asked through the Docker SDK."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from docker.errors import NotFound
from docker.utils import parse_repository_tag

from venvctl.engine import inspection, tasks
from venvctl.engine.connection import PATIENCE, Connection
from venvctl.engine.endpoint import endpoint
from venvctl.engine.model import LABEL_HELPER, LABEL_ROOT, TaskResult
from venvctl.engine.notes import Notes
from venvctl.errors import EngineError, EngineUnreachableError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

    from venvctl.engine.model import Container, EngineHost, Event, Image, Task, Volume

# Seconds that the engine waits between stop signal and kill, where a container has no own number.
_STOP_TIMEOUT = 10


class DockerEngine:
    """The `Engine` of this host; may be shared between threads.

    Args:
        root_identity: what marks the volumes and helper containers of one root.
        notes: directory of what is noted of helper containers; None notes nothing.

    Raises:
        EngineError: the engine is not on this host, or the Docker context does not exist.
    """

    def __init__(self, root_identity: str, *, notes: Path | None = None) -> None:
        self._root_identity = root_identity
        self._notes = Notes(notes)
        self._connection = Connection(endpoint())

    @property
    def endpoint(self) -> str:
        """URL of the socket that the engine is asked through."""
        return self._connection.endpoint

    def close(self) -> None:
        """Close every socket; the engine is not asked again."""
        self._connection.close()

    def version(self) -> str:
        """The engine's version, e.g. ``20.10.24``."""
        with self._connection.asking("tell its version") as client:
            return str(client.version()["Version"])

    def host(self) -> EngineHost:
        """What kind of engine it is."""
        with self._connection.asking("describe itself") as client:
            return inspection.parse_host(client.info())

    def image(self, reference: str) -> Image | None:
        """The local image of that name or ID."""
        with self._connection.asking(f"inspect the image {reference}") as client:
            try:
                return inspection.parse_image(client.inspect_image(reference))
            except NotFound:
                return None

    def pull(self, reference: str) -> Image:
        """Pull an image by name, with the user's credentials; ``latest`` where no tag is said."""
        what = f"pull the image {reference}"
        with self._connection.asking(what, patience=None) as client:
            repository, tag = parse_repository_tag(reference)
            # Without a tag the engine would pull all of them.
            for message in client.pull(repository, tag=tag or "latest", stream=True, decode=True):
                if "error" in message:
                    words = str(message["error"]).strip().rstrip(".")
                    raise EngineError(f"The Docker Engine refused to {what}: {words}.")
            return inspection.parse_image(client.inspect_image(reference))

    def run(self, task: Task) -> TaskResult:
        """Run a helper container to its end and remove it, whatever happens.

        A program that the image lacks is exit code 127 with the engine's words on stderr.
        """
        name = task.name or f"venvctl-{task.purpose}-{secrets.token_hex(8)}"
        with self._notes.of(name) as note:
            return tasks.run(
                self._connection,
                replace(task, name=name),
                root_identity=self._root_identity,
                note=note,
            )

    def remove_helper(self, name: str) -> None:
        """Kill and remove the container of a task of that name, whoever waits for its end."""
        tasks.remove(self._connection, name)

    def remove_helpers(self) -> int:
        """Remove every helper container of this root that nobody looks after; says how many."""
        labels = [f"{LABEL_ROOT}={self._root_identity}", LABEL_HELPER]
        with self._connection.asking("list helper containers") as client:
            found = {
                entry["Names"][0].removeprefix("/"): entry["Id"]
                for entry in client.containers(all=True, filters={"label": labels})
            }
        held = self._notes.held()
        removed = sum(tasks.remove(self._connection, found[name]) for name in found.keys() - held)
        self._notes.forget(found.keys() - held)
        return removed

    def volume(self, name: str) -> Volume | None:
        """The volume of that name."""
        with self._connection.asking(f"inspect the volume {name}") as client:
            try:
                return inspection.parse_volume(client.inspect_volume(name))
            except NotFound:
                return None

    def volumes(self) -> list[Volume]:
        """All volumes."""
        with self._connection.asking("list volumes") as client:
            return [inspection.parse_volume(each) for each in client.volumes()["Volumes"] or ()]

    def create_volume(
        self, name: str, *, options: Mapping[str, str], labels: Mapping[str, str]
    ) -> Volume:
        """Create a `local` volume and inspect it (an existing one keeps its options)."""
        with self._connection.asking(f"create the volume {name}") as client:
            client.create_volume(
                name, driver="local", driver_opts=dict(options), labels=dict(labels)
            )
            return inspection.parse_volume(client.inspect_volume(name))

    def remove_volume(self, name: str) -> None:
        """Remove a volume; one that is in use is an `EngineError`, a missing one is nothing."""
        with self._connection.asking(f"remove the volume {name}") as client:
            try:
                client.remove_volume(name)
            except NotFound:
                return

    def containers(self, *, volume: str = "", project: str = "") -> list[Container]:
        """All containers, running or not, that mount `volume` and belong to `project`.

        One that vanishes while it is being asked about is left out.
        """
        filters: dict[str, Any] = {}
        if volume:
            filters["volume"] = [volume]
        if project:
            filters["label"] = [f"com.docker.compose.project={project}"]
        with self._connection.asking("list containers") as client:
            listed = [entry["Id"] for entry in client.containers(all=True, filters=filters)]
        found = (self.container(identifier) for identifier in listed)
        # The engine's filter also takes a path in the container for a volume's name.
        return [one for one in found if one and (not volume or volume in one.mounts)]

    def container(self, identifier: str) -> Container | None:
        """One container by ID or name."""
        with self._connection.asking(f"inspect the container {identifier}") as client:
            try:
                return inspection.parse_container(client.inspect_container(identifier))
            except NotFound:
                return None

    def restart(self, identifier: str) -> None:
        """Stop (with the container's own signal and timeout) and start it again."""
        timeout = self._stop_timeout(identifier)
        patience = None if timeout < 0 else PATIENCE
        with self._connection.asking(f"restart the container {identifier}", patience=patience) as (
            client
        ):
            client.restart(identifier, timeout=timeout)

    def start(self, identifier: str) -> None:
        """Start a stopped container."""
        with self._connection.asking(f"start the container {identifier}") as client:
            client.start(identifier)

    def stop(self, identifier: str) -> None:
        """Stop it with its own signal and timeout."""
        timeout = self._stop_timeout(identifier)
        patience = None if timeout < 0 else PATIENCE
        with self._connection.asking(f"stop the container {identifier}", patience=patience) as (
            client
        ):
            client.stop(identifier, timeout=timeout)

    def signal(self, identifier: str, signal: str) -> None:
        """Send a signal, e.g. ``SIGHUP``, to its first process."""
        with self._connection.asking(f"send {signal} to the container {identifier}") as client:
            client.kill(identifier, signal=signal)

    def execute(
        self, identifier: str, command: Sequence[str], *, timeout: float = 600.0
    ) -> TaskResult:
        """Run a command inside a running container and wait for its end.

        Args:
            identifier: ID or name of the container.
            command: the argument vector.
            timeout: seconds until no more is waited. The engine has no way to kill the command:
                it goes on.
        """
        what = f"run {command[0]} in the container {identifier}"
        with self._connection.asking(what) as client:
            execution = client.exec_create(identifier, list(command))["Id"]
            stream = client.exec_start(execution, stream=True, demux=True)
            expired = threading.Event()

            def expire() -> None:
                expired.set()
                stream.close()

            timer = threading.Timer(timeout, expire)
            timer.start()
            streams: tuple[list[bytes], list[bytes]] = ([], [])
            try:
                for parts in stream:
                    for kept, part in zip(streams, parts, strict=True):
                        if part and sum(map(len, kept)) < tasks.OUTPUT_LIMIT:
                            kept.append(part)
            except (OSError, ValueError):
                # Our own timer closed the socket under the reader.
                if not expired.is_set():
                    raise
            finally:
                timer.cancel()
                timer.join()
        with self._connection.asking(what) as client:
            code = client.exec_inspect(execution)["ExitCode"]
        stdout, stderr = (tasks.bounded(kept) for kept in streams)
        return TaskResult(
            exit_code=-1 if code is None else code,
            stdout=stdout,
            stderr=stderr,
            timed_out=expired.is_set(),
        )

    def stopped_by_hand(self, identifier: str, *, since: str) -> bool:
        """Whether somebody asked the engine to stop, kill or restart it since then."""
        start = datetime.fromisoformat(since).timestamp()
        filters = {"container": [identifier], "event": ["kill", "stop", "pause"]}
        with self._connection.asking(f"tell what was done to {identifier[:12]}") as client:
            # The engine answers with what it remembers up to now, and ends.
            stream = client.events(
                since=f"{start:.9f}", until=f"{time.time():.9f}", filters=filters, decode=True
            )
            return any(True for _ in stream)

    def logs(self, identifier: str, *, lines: int) -> str:
        """The last lines a container printed, on both streams."""
        with self._connection.asking(f"read the log of the container {identifier}") as client:
            text: bytes = client.logs(identifier, stdout=True, stderr=True, tail=lines)
            return text.decode(errors="replace")

    def events(self, *, since: float = 0.0) -> Generator[Event, None, None]:
        """The engine's container and volume events, as they come.

        Raises:
            EngineUnreachableError: always, in the end: the engine went away.
        """
        filters = {"type": ["container", "volume"]}
        with self._connection.asking("tell its events", patience=None) as client:
            start = f"{since:.9f}" if since else None
            stream = client.events(since=start, filters=filters, decode=True)
            for document in stream:
                yield inspection.parse_event(document)
        raise EngineUnreachableError(f"The Docker Engine at {self.endpoint} ended its events.")

    def _stop_timeout(self, identifier: str) -> int:
        """Seconds between stop signal and kill; a negative one waits for as long as it takes.

        The engine would find the same by itself, but the SDK must know it too: it waits for an
        answer for that much longer.
        """
        with self._connection.asking(f"inspect the container {identifier}") as client:
            timeout = client.inspect_container(identifier)["Config"].get("StopTimeout")
        return _STOP_TIMEOUT if timeout is None else int(timeout)
