"""What a peer is shown: everything, but for texts that may quote a file which it can't read.

Where environments stand, and which packages they have, is for every member of the socket's group.
A lockfile's own text is for those who can read it: so is what an error or a warning says of it.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import venvctl
from venvctl import status, surroundings
from venvctl.daemon import peers
from venvctl.daemon.peers import Rights
from venvctl.errors import IntegrityError, VenvctlError
from venvctl.lockfiles.files import LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from venvctl.daemon.feed import Happening
    from venvctl.daemon.peers import Peer, Sight
    from venvctl.daemon.service import Service
    from venvctl.environments import Event
    from venvctl.status import EnvironmentStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One environment in a list; the engine is not asked.

    Attributes:
        mount: its path in the containers. images: of the services that it is for.
        followed: whether the daemon follows it. working: whether it works on it.
        problem: what is wrong with it, as far as the daemon knows. error: of the last sync.
    """

    environment: str
    project: str
    lock: str
    mount: str
    images: tuple[str, ...]
    generation: int
    key: str
    followed: bool
    working: bool
    problem: str
    error: str


class View:
    """What one peer sees of a service.

    Args:
        service: of which.
        peer: whose view it is.
        rights: what that peer may.
        sight: tells which files it can read.
    """

    def __init__(self, service: Service, peer: Peer, rights: Rights, sight: Sight) -> None:
        self._service = service
        self._peer = peer
        self._all = rights is Rights.OWNER
        self._sight = sight

    def health(self) -> dict[str, object]:
        """Whether the daemon works, and what is wrong."""
        service = self._service
        problems: dict[str, str] = {}
        for name, followed in service.followed().items():
            if followed.problem:
                problems[name] = self._text(name, followed.problem, followed.problem_files)
        for path, problem in service.registration_problems.items():
            problems[path] = problem if self._all else "It can't be read; its owner is told why."
        if service.watcher_problem:
            problems["watcher"] = service.watcher_problem
        if not service.engine_up:
            problems["engine"] = "The engine does not answer."
        return {
            "healthy": not service.watcher_problem and service.engine_up,
            "version": venvctl.__version__,
            "root": str(service.root.path),
            "pid": os.getpid(),
            "since": service.started,
            "environments": len(service.followed()),
            "working": service.running,
            "problems": problems,
            # For the owner's own commands alone: it comes of what may be secret.
            "surroundings": surroundings.digest() if self._all else "",
        }

    def summaries(self) -> list[Summary]:
        """Every registered environment, by name."""
        service = self._service
        registry, followed = service.root.registry, service.followed()
        working = set(service.running)
        found = []
        for name in registry.names():
            environment, known = service.root.environment(name), followed.get(name)
            try:
                registration = known.registration if known else registry.load(name)
            except VenvctlError:
                continue  # told among the problems
            problem = self._text(name, known.problem, known.problem_files) if known else ""
            current = None
            try:
                current = environment.current()
            except IntegrityError as error:
                problem = error.message
            state = environment.state()
            found.append(
                Summary(
                    environment=name,
                    project=registration.project,
                    lock=str(registration.specification.lock),
                    mount=registration.mount,
                    images=tuple(sorted(set(registration.images.values()))),
                    generation=current.number if current else 0,
                    key=current.key if current else "",
                    followed=name in followed,
                    working=name in working,
                    problem=problem,
                    error=self._error(name, state.error, state.error_files),
                )
            )
        return found

    def status(self, name: str) -> dict[str, object]:
        """As `venvctl status --json` has it, for one environment."""
        root = self._service.root
        registration = root.registry.load(name)
        # Whether a file changed, or is there, is told as far as its own user can see it.
        read = peers.reader(self._service.reader_of(name), limit=LIMIT)
        found: EnvironmentStatus = status.status(registration, root, read)
        files = root.environment(name).state().error_files
        found = dataclasses.replace(
            found,
            error=self._error(name, found.error, files),
            last=self._event(name, found.last) if found.last else None,
        )
        return {"root": str(root.path), "environments": [found]}

    def history(self, name: str) -> list[Event]:
        """Everything that happened to an environment, oldest first."""
        return [
            self._event(name, event) for event in self._service.root.environment(name).history()
        ]

    def happening(self, happening: Happening) -> object:
        """What `json` writes of one event of the stream."""
        message, name = happening.message, happening.environment
        if happening.kind == "warning" and not self._is_mine(name):
            message = f"{name}: there is a warning; {self._reference(name)}"
        elif not name and happening.kind == "failed" and not self._all:
            message = "A registration can't be read; its owner is told why."
        elif not self._may_read(name, happening.files):
            message = f"{name}: {happening.detail.get('code', 'failed')}; {self._reference(name)}"
        return {
            "number": happening.number,
            "time": happening.time,
            "kind": happening.kind,
            "environment": name,
            "message": message,
            "detail": dict(happening.detail),
        }

    def _event(self, name: str, event: Event) -> Event:
        if self._may_read(name, event.files):
            return event
        # The first note says what was decided, or with which code it failed: never a quotation.
        decided = event.notes[:1] if event.kind == "sync" else ()
        code = "" if decided else event.notes[0].partition(":")[0] + "; " if event.notes else ""
        hidden = () if decided and not event.notes[1:] else (f"{code}{self._reference(name)}",)
        return dataclasses.replace(event, notes=(*decided, *hidden))

    def _error(self, name: str, text: str, files: Iterable[str]) -> str:
        return self._text(name, text, files) if text else ""

    def _text(self, name: str, text: str, files: Iterable[str]) -> str:
        if not text or self._may_read(name, files):
            return text
        reference = self._reference(name)
        return reference[0].upper() + reference[1:] + "."

    def _may_read(self, name: str, files: Iterable[str]) -> bool:
        return self._is_mine(name) or self._sight.reads(self._peer.uid, files)

    def _is_mine(self, name: str) -> bool:
        return self._all or (bool(name) and self._service.reader_of(name) == self._peer.uid)

    def _reference(self, name: str) -> str:
        registration = self._service.root.registry.find(name) if name else None
        lock = registration.specification.lock if registration else "its lock"
        return f"who can read {lock} is told more"
