"""What the control API has done: its requests as wishes, and the orders that fulfil them."""

from __future__ import annotations

import dataclasses
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from venvctl import lockfiles, status
from venvctl.daemon import foreign, peers
from venvctl.daemon.orders import Order
from venvctl.daemon.peers import ForbiddenError
from venvctl.errors import ConfigurationError, IntegrityError, UsageError, VenvctlError
from venvctl.lockfiles.files import LIMIT
from venvctl.registration import Registration
from venvctl.restore import RestoreResult, restore
from venvctl.rollback import RollbackResult, rollback
from venvctl.sync import SyncOptions, SyncResult, sync

if TYPE_CHECKING:
    from collections.abc import Mapping

    from venvctl.daemon.peers import Peer
    from venvctl.daemon.service import Service
    from venvctl.document import Document
    from venvctl.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncWish:
    """A request for a sync.

    Attributes:
        options: force, dry run and the like.
        registration: what the environment is to be, as the command resolved it; None for what is
            registered.
        files: content by path of the lock's files, as the command's user could read them.
    """

    options: SyncOptions
    registration: Registration | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)

    @classmethod
    def parse(cls, body: Document) -> SyncWish:
        """Read a request's body; `UsageError` names the field that is wrong."""
        try:
            registration = body.fields.get("registration")
            return cls(
                options=SyncOptions(
                    force=body.flag("force", default=False),
                    dry_run=body.flag("dry_run", default=False),
                    offline=body.flag("offline", default=False),
                    restart=body.flag("restart", default=True),
                    defer_rollout=body.flag("defer_rollout", default=False),
                    recreated=frozenset(body.texts("recreated")),
                ),
                registration=None
                if registration is None
                else Registration.from_dict(registration, source="the request"),
                # Bytes that are no UTF-8 come as lone surrogates (PEP 383).
                files={
                    path: text.encode("utf-8", "surrogateescape")
                    for path, text in body.mapping("files").items()
                },
            )
        except ConfigurationError as error:
            raise UsageError(error.message, hint=error.hint) from None
        except UnicodeEncodeError:
            raise UsageError("files in the request has text that stands for no bytes.") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One environment in a list; the engine is not asked.

    Attributes:
        followed: whether the daemon follows it. working: whether it works on it.
        problem: what is wrong with it, as far as the daemon knows. error: of the last sync.
    """

    environment: str
    project: str
    lock: str
    generation: int
    key: str
    followed: bool
    working: bool
    problem: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncData:
    """As `venvctl sync --json` has it."""

    environments: tuple[SyncResult, ...]
    failures: tuple[()] = ()


def summaries(service: Service) -> list[Summary]:
    """Every registered environment, by name."""
    registry = service.root.registry
    followed, problems = service.followed(), service.problems()
    working = set(service.running)
    found = []
    for name in registry.names():
        environment = service.root.environment(name)
        problem = problems.get(name, "")
        current = None
        try:
            known = followed.get(name)
            registration = known.registration if known else registry.load(name)
        except VenvctlError as error:
            service.feed.tell("failed", error.message, environment=name)
            continue
        try:
            current = environment.current()
        except IntegrityError as error:
            problem = error.message
        found.append(
            Summary(
                environment=name,
                project=registration.project,
                lock=str(registration.specification.lock),
                generation=current.number if current else 0,
                key=current.key if current else "",
                followed=name in followed,
                working=name in working,
                problem=problem,
                error=environment.state().error,
            )
        )
    return found


def status_of(service: Service, name: str) -> dict[str, object]:
    """As `venvctl status --json` has it, for one environment."""
    registration = service.root.registry.load(name)
    found = status.status(registration, service.root)
    known = service.followed().get(name)
    if known is not None and known.entry.reader != os.geteuid():
        # Whether a file changed, or is there, is told as far as its own user could see it.
        lock = str(registration.specification.lock)
        digest = lockfiles.digests([lock], peers.reader(known.entry.reader, limit=LIMIT))[lock]
        if not digest:
            found = dataclasses.replace(found, lock_state="missing", reasons=())
    return {"root": str(service.root.path), "environments": [found]}


def sync_order(service: Service, name: str, wish: SyncWish, peer: Peer) -> Order:
    """An order for a sync; what it reads, it reads with the peer's rights.

    Raises:
        ForbiddenError: the environment is somebody else's, and the registration changes it.
    """
    root = service.root
    registered = root.registry.find(name)
    registration = wish.registration or registered
    if registration is None:
        raise UsageError(f"There is no environment {name!r}.")
    own = peer.uid in {0, os.geteuid()}
    known = service.followed().get(name)
    follower = known.entry.reader if known else os.geteuid()
    changes = registration != registered
    if changes and registered is not None and not own and follower != peer.uid:
        raise ForbiddenError(
            f"{peer.name} may not change what environment {name} is: it is followed for somebody "
            "else.",
            hint="Sync it as it is registered, or ask its owner.",
        )
    if changes:
        follower = os.geteuid() if own else peer.uid
    if wish.files:
        read = peers.handed(wish.files, own=own)
    else:
        # An error may quote a line of the lock: so nobody gets more than they could read.
        read = peers.reader(follower if own else peer.uid, limit=LIMIT)
    trusted = follower == os.geteuid() and (own or not wish.files)

    def work(progress: Progress) -> SyncData:
        if not own:
            read(registration.specification.lock)  # before anything is told of it
        if not trusted:
            foreign.check(registration, read)
        if changes and not wish.options.dry_run:
            root.create()
            # Before the registration: nobody may come to follow it with other rights.
            service.follow_for(name, follower)
            root.registry.claim(registration)
        began = time.monotonic()
        options = dataclasses.replace(wish.options, read_bytes=read)
        result = sync(registration, root, options, progress)
        if not options.dry_run:
            service.tell_result(result, time.monotonic() - began)
        return SyncData(environments=(result,))

    return Order("sync", work)


def rollback_order(service: Service, name: str, to: int | None) -> Order:
    """An order for a rollback."""

    def work(progress: Progress) -> RollbackResult:
        return rollback(name, service.root, to=to, progress=progress)

    return Order("rollback", work)


def restore_order(service: Service, name: str, snapshot: str | None) -> Order:
    """An order for a restore."""

    def work(progress: Progress) -> RestoreResult:
        return restore(name, service.root, snapshot=snapshot, progress=progress)

    return Order("restore", work)


def number(body: Document, key: str) -> int | None:
    """A number of a request, None where it is not said."""
    value = body.fields.get(key)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON knows no other difference
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise UsageError(f"{key} in the request is {value!r}, not a generation's number.")
    return value


def word(body: Document, key: str) -> str | None:
    """A text of a request, None where it is not said."""
    value = body.fields.get(key)
    if value is not None and not isinstance(value, str):
        raise UsageError(f"{key} in the request is {value!r}, not a text.")
    return value or None
