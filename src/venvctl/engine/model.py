"""The engine's nouns as venvctl sees them, and the interface that every engine keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

LABEL_ROOT = "venvctl.root"  # on volumes and helper containers: the identity of the owning root
LABEL_HELPER = "venvctl.helper"  # on helper containers: what it is for ("probe", "compile", ...)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineHost:
    """What kind of engine it is: what venvctl reads of `docker info`.

    Attributes:
        operating_system: as the engine calls it, e.g. ``Debian GNU/Linux 12 (bookworm)``.
        rootless: it runs as an ordinary user.
        remapped: root in its containers is another user outside of them (`userns-remap`).
        directory: where it keeps its own data.
    """

    operating_system: str
    rootless: bool
    remapped: bool
    directory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A local image: what venvctl reads of `docker image inspect`."""

    id: str
    environment: Mapping[str, str]
    user: str
    os: str
    architecture: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A bind mount for a helper container."""

    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One run of a helper container.

    It never gets capabilities, new privileges or a writable root; `/tmp` is a small tmpfs.

    Attributes:
        purpose: value of the helper label, e.g. ``probe``.
        name: the container's; empty where nobody has to name it. See `Engine.remove_helper`.
        image: image ID.
        command: full argument vector (the image's entrypoint is not used).
        user: ``uid:gid``; empty means the image's own user.
        network: whether the container gets the bridge network.
        memory: limit in bytes. pids: limit of processes.
        lines: for its standard input, each taken as soon as the one before is handed over; the
            container starts before the first is asked for. None: it has no input. What asking for
            one raises ends the container.
        timeout: seconds until it is killed, from its start, or from the end of its input.
        ended: told of the result when the container has ended, before it is removed.
    """

    purpose: str
    image: str
    command: Sequence[str]
    name: str = ""
    mounts: Sequence[Mount] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    working_directory: str = "/"
    network: bool = False
    memory: int = 4 << 30
    pids: int = 512
    lines: Iterable[str] | None = None
    timeout: float = 600.0
    ended: Callable[[TaskResult], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """How a helper container ended; output is cut after 16 MiB a stream.

    Attributes:
        out_of_memory: it was killed and not by venvctl, for which the kernel has one reason.
    """

    exit_code: int
    stdout: str
    stderr: str
    timed_out: bool = False
    out_of_memory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A named volume."""

    name: str
    driver: str
    options: Mapping[str, str]
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container, running or not.

    Attributes:
        state: the engine's word: created, running, paused, restarting, removing, exited, dead.
        started_at: RFC 3339 text as the engine gives it (nanoseconds, UTC); empty before the first
            start.
        health: starting, healthy, unhealthy; empty without a healthcheck.
        mounts: volume name → (path in the container, writable).
        network_container: ID of the container whose network namespace this one joined, or "".
        restart_count: how often the engine itself restarted it.
        health_interval: seconds between two health checks, 0 without a healthcheck.
        health_retries: failed checks in a row that make it unhealthy, 0 without a healthcheck.
        pid: of its first process, in the engine's own namespace; 0 while there is none.
    """

    id: str
    name: str
    image: str
    state: str
    started_at: str
    health: str
    labels: Mapping[str, str]
    environment: Mapping[str, str]
    mounts: Mapping[str, tuple[str, bool]]
    network_container: str
    auto_remove: bool
    tty: bool
    restart_count: int
    exit_code: int
    health_interval: float = 0.0
    health_retries: int = 0
    pid: int = 0

    @property
    def running(self) -> bool:
        """Whether its processes run now (a paused container's do not)."""
        return self.state == "running"

    @property
    def project(self) -> str:
        """The compose project it belongs to, or ""."""
        return self.labels.get("com.docker.compose.project", "")

    @property
    def service(self) -> str:
        """The compose service it belongs to, or ""."""
        return self.labels.get("com.docker.compose.service", "")

    @property
    def one_off(self) -> bool:
        """Whether `docker compose run` made it."""
        return self.labels.get("com.docker.compose.oneoff", "").lower() == "true"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a container or a volume.

    Attributes:
        type: ``container`` or ``volume``.
        action: the engine's word: create, start, die, destroy, mount, ...
        id: the container's ID, or the volume's name.
        attributes: for a container its labels, ``name``, ``image``, ``exitCode``.
        time: seconds since the epoch, by the engine's clock.
    """

    type: str
    action: str
    id: str
    attributes: Mapping[str, str]
    time: float


class Engine(Protocol):
    """What venvctl asks of a container engine.

    Every method may raise `EngineUnreachableError` (no answer) or `EngineError` (refused, with the
    engine's own words). "None" answers mean "there is none", never "could not ask".
    """

    def version(self) -> str:
        """The engine's version, e.g. ``20.10.24``."""
        ...

    def host(self) -> EngineHost:
        """What kind of engine it is."""
        ...

    def image(self, reference: str) -> Image | None:
        """The local image of that name or ID."""
        ...

    def pull(self, reference: str) -> Image:
        """Pull an image by name; raises `EngineError` if it can't be had."""
        ...

    def run(self, task: Task) -> TaskResult:
        """Run a helper container to its end and remove it, whatever happens."""
        ...

    def remove_helper(self, name: str) -> None:
        """Kill and remove the container of a task of that name, whoever waits for its end.

        One that is not there, or not there yet, is nothing.
        """
        ...

    def remove_helpers(self) -> int:
        """Remove every helper container of this root that nobody looks after; says how many."""
        ...

    def volume(self, name: str) -> Volume | None:
        """The volume of that name."""
        ...

    def volumes(self) -> list[Volume]:
        """All volumes."""
        ...

    def create_volume(
        self, name: str, *, options: Mapping[str, str], labels: Mapping[str, str]
    ) -> Volume:
        """Create a `local` volume and inspect it (an existing one keeps its options)."""
        ...

    def remove_volume(self, name: str) -> None:
        """Remove a volume; one that is in use is an `EngineError`, a missing one is nothing."""
        ...

    def containers(self, *, volume: str = "", project: str = "") -> list[Container]:
        """All containers, running or not, that mount `volume` and belong to `project`."""
        ...

    def container(self, identifier: str) -> Container | None:
        """One container by ID or name."""
        ...

    def restart(self, identifier: str) -> None:
        """Stop (with the container's own signal and timeout) and start it again."""
        ...

    def start(self, identifier: str) -> None:
        """Start a stopped container."""
        ...

    def stop(self, identifier: str) -> None:
        """Stop it with its own signal and timeout."""
        ...

    def signal(self, identifier: str, signal: str) -> None:
        """Send a signal, e.g. ``SIGHUP``, to its first process."""
        ...

    def execute(self, identifier: str, command: Sequence[str]) -> TaskResult:
        """Run a command inside a running container and wait for its end."""
        ...

    def stopped_by_hand(self, identifier: str, *, since: str) -> bool:
        """Whether somebody asked the engine to stop, kill or restart it since then.

        Args:
            identifier: the container's ID.
            since: an engine's time (RFC 3339), such as `Container.started_at`.
        """
        ...

    def logs(self, identifier: str, *, lines: int) -> str:
        """The last lines a container printed."""
        ...

    def events(self, *, since: float = 0.0) -> Iterable[Event]:
        """The engine's container and volume events, as they come, until the engine goes away.

        With `since` (seconds since the epoch) those that it remembers from then on come first.
        """
        ...
