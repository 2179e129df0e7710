"""One environment on disk: its generations, which one is current, its state and its history."""

from __future__ import annotations

import dataclasses
import os
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from venvctl import disk, stamp
from venvctl.errors import BusyError, IntegrityError, RootError, UsageError
from venvctl.generations import SEAL
from venvctl.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STATE = "state.json"
HISTORY = "history.jsonl"
_GENERATION = re.compile(r"([1-9][0-9]{0,8})-([0-9a-f]{32})")
# What a generation has for venvctl itself; everything else gets a link in the volume's root.
_PRIVATE = frozenset({SEAL})
# Events after which their generation is current.
SWITCHING = frozenset({"sync", "rollback", "restore", "switch"})


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Generation:
    """One complete environment directory.

    Attributes:
        number: counts up within its environment, never used twice.
        key: names what is in it; two locks with the same key share a generation.
        path: on the host.
    """

    number: int
    key: str
    path: Path

    @property
    def name(self) -> str:
        """The directory's name."""
        return f"{self.number}-{self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of an environment's history.

    Attributes:
        time: UTC, RFC 3339. kind: sync, switch, rollback, restore, rollout, failure, removal.
        generation: number, 0 if there is none. key: its key. previous: number before, 0 if none.
        reasons, changes, notes: sentences for a person.
        files: of the lock, which the notes may quote.
    """

    time: str
    kind: str
    generation: int = 0
    key: str = ""
    previous: int = 0
    reasons: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


class Environment:
    """The directory ``environments/<name>`` of one root.

    Args:
        root: the root directory.
        name: a volume's name, checked by whoever parsed it.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.name = name
        self.directory = root / "environments" / name
        self.volume = self.directory / "volume"
        self._private = self.volume / ".venvctl"
        self.generations_directory = self._private / "generations"

    @property
    def exists(self) -> bool:
        """Whether anything of it is on disk."""
        return self.directory.is_dir()

    @contextmanager
    def writing(self, *, wait: float = 0.0) -> Iterator[None]:
        """Be the one writer; a crashed writer's lock is free at once.

        Args:
            wait: seconds to wait for another writer.

        Raises:
            BusyError: somebody else still works on it; the message says which process.
        """
        from filelock import FileLock, Timeout  # noqa: PLC0415 - who only reads does without

        disk.make_directory(self.directory)
        path = self.directory / "lock"
        lock = FileLock(path, mode=0o600)
        try:
            with disk.translate(path):
                lock.acquire(timeout=wait)
        except Timeout:
            holder = self.writer()
            raise BusyError(
                f"Environment {self.name} is being worked on by {holder or 'another process'}.",
                hint="Try again when it is done.",
            ) from None
        try:
            # Neither durable nor needed: it is only read while the process that wrote it lives.
            with suppress(OSError):
                (self.directory / "writer").write_text(f"{os.getpid()}\n")
            yield
        finally:
            (self.directory / "writer").unlink(missing_ok=True)
            lock.release()

    def writer(self) -> str:
        """Who holds the lock, for a message; empty when it can't be told."""
        try:
            pid = int((self.directory / "writer").read_text())
            with open(f"/proc/{pid}/cmdline", "rb") as stream:  # noqa: PTH123 - not a file of ours
                words = stream.read().decode(errors="replace").split("\0")
        except (OSError, ValueError):
            return ""
        return f"process {pid} ({' '.join(words).strip()[:80]})"

    def generations(self) -> list[Generation]:
        """All complete generations, oldest first."""
        if not self.generations_directory.is_dir():
            return []
        found = []
        for entry in os.scandir(self.generations_directory):
            name = parse_name(entry.name)
            path = self.generations_directory / entry.name
            if name and (path / SEAL).exists():
                found.append(Generation(number=name[0], key=name[1], path=path))
        return sorted(found)

    def current(self) -> Generation | None:
        """The generation that new processes get.

        Raises:
            IntegrityError: `current` names something that is no complete generation.
        """
        try:
            target = os.readlink(self._private / "current")  # noqa: PTH115 - its text is what counts
        except FileNotFoundError:
            return None
        for generation in self.generations():
            if target == f"generations/{generation.name}":
                return generation
        raise IntegrityError(
            f"Environment {self.name} has {target!r} as its current generation, "
            f"which is not in {self.generations_directory}.",
            hint=f"Bring it back from the store: `venvctl restore {self.name}`.",
        )

    @property
    def number(self) -> int:
        """Of the current generation; 0 if there is none."""
        current = self.current_or_none()
        return current.number if current else 0

    def current_or_none(self) -> Generation | None:
        """The generation that new processes get; None also where `current` names nothing whole."""
        try:
            return self.current()
        except IntegrityError:
            return None

    def numbered(self, number: int) -> Generation:
        """The generation of that number; raises `UsageError` naming those that are there."""
        for generation in self.generations():
            if generation.number == number:
                return generation
        there = ", ".join(str(generation.number) for generation in self.generations()) or "none"
        raise UsageError(
            f"Environment {self.name} has no generation {number}; it has {there}.",
            hint=f"`venvctl history {self.name}` shows them.",
        )

    def with_key(self, key: str) -> Generation | None:
        """The latest generation made of that snapshot."""
        found = [generation for generation in self.generations() if generation.key == key]
        return found[-1] if found else None

    def switch(self, generation: Generation) -> None:
        """Make it current: links in the root first, then one rename."""
        for entry in os.scandir(generation.path):
            link = self.volume / entry.name
            if entry.name not in _PRIVATE and not link.is_symlink():
                disk.replace_symlink(link, f".venvctl/current/{entry.name}")
        disk.replace_symlink(self._private / "current", f"generations/{generation.name}")

    @property
    def switched_at(self) -> float:
        """When the current generation became that, in seconds since the epoch."""
        return os.lstat(self._private / "current").st_ctime  # rename(2) changes it

    def prepare(self) -> None:
        """Create what is missing of the environment's directories."""
        disk.make_directory(self.generations_directory)

    def remove_generation(self, generation: Generation) -> None:
        """Remove a generation; the caller knows that nobody needs it."""
        disk.retire_tree(generation.path, self.root)

    def remove_stale_links(self) -> None:
        """Remove links in the volume's root that no generation needs any more."""
        needed = {
            entry.name for item in self.generations() for entry in os.scandir(item.path)
        } - _PRIVATE
        for entry in os.scandir(self.volume):
            if entry.is_symlink() and entry.name not in needed:
                disk.remove_file(self.volume / entry.name)

    def state(self) -> State:
        """What the last sync saw; where that is lost or damaged, what the history still says.

        Raises:
            RootError: the disk does not give it.
        """
        path = self.directory / STATE
        try:
            state = State.from_bytes(path.read_bytes())
        except (FileNotFoundError, ValueError):
            return self._recalled()
        except OSError as error:
            raise RootError(
                f"Cannot read {path}: {error.strerror}.",
                hint="Check the file system and its owner.",
            ) from error
        waits = state.pending or state.switching
        if waits and state.toward and not self._is_current(state.toward):
            # A crash came between this and the switch: nobody is behind a switch that never came.
            return dataclasses.replace(
                state, pending={}, before={}, switching=False, reached=(), toward=0
            )
        return state

    def _recalled(self) -> State:
        """A state in place of a lost one: what was left on purpose does not come back by it.

        The next sync compares everything, and looks for containers that are behind the switch.
        """
        if self.current_or_none() is None:
            return State()
        from venvctl.hindsight import held  # noqa: PLC0415 - only after a damage

        inode = self.volume.stat().st_ino
        return State(held=held(self.history()), volume_inode=inode, switching=True)

    def _is_current(self, number: int) -> bool:
        try:
            target = os.readlink(self._private / "current")  # noqa: PTH115 - its text is what counts
        except FileNotFoundError:
            return False
        return target.startswith(f"generations/{number}-")

    def save_state(self, state: State) -> None:
        """Write what this sync saw."""
        data = state.to_bytes(history=self.history_size())
        disk.write_file(self.directory / STATE, data)

    def next_number(self) -> int:
        """A number that no generation of this environment ever had."""
        numbers = [generation.number for generation in self.generations()]
        return max([self.state().last_number, *numbers, 0]) + 1

    def record(self, event: Event) -> None:
        """Append to the history; the state says how long that is from now on."""
        document = {
            name: list(value) if isinstance(value, tuple) else value
            for name in Event.__slots__
            if (value := getattr(event, name))
        }
        disk.append_line(self.directory / HISTORY, stamp.stamped(document).decode())
        if (self.directory / STATE).exists():
            self.save_state(self.state())

    def history(self) -> list[Event]:
        """Everything that happened to it, oldest first; torn and damaged lines are left out."""
        return [event for _, event in self.read_history() if event is not None]

    def read_history(self) -> list[tuple[bytes, Event | None]]:
        """Each line of the history, and what it says; None where it is torn or damaged."""
        try:
            lines = (self.directory / HISTORY).read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        return [(line, _event(line)) for line in lines if line]

    def history_size(self) -> int:
        """How many bytes the history has."""
        try:
            return (self.directory / HISTORY).stat().st_size
        except FileNotFoundError:
            return 0


def parse_name(name: str) -> tuple[int, str] | None:
    """Number and key of the generation whose directory is called this; None if none is."""
    match = _GENERATION.fullmatch(name)
    return (int(match[1]), match[2]) if match else None


def _event(line: bytes) -> Event | None:
    try:
        document = stamp.opened(line)
        return Event(
            time=document["time"],
            kind=document["kind"],
            generation=document.get("generation", 0),
            key=document.get("key", ""),
            previous=document.get("previous", 0),
            reasons=tuple(document.get("reasons", ())),
            changes=tuple(document.get("changes", ())),
            notes=tuple(document.get("notes", ())),
            files=tuple(document.get("files", ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
