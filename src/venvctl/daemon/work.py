"""What the control API has done: its requests as wishes, and the orders that fulfil them."""

from __future__ import annotations

import dataclasses
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from venvctl import changeover, removal
from venvctl.backend import Here
from venvctl.daemon import foreign, peers
from venvctl.daemon.orders import Order
from venvctl.errors import (
    ConfigurationError,
    ForbiddenError,
    UsageError,
)
from venvctl.lockfiles.files import LIMIT
from venvctl.registration import Registration
from venvctl.restore import RestoreResult, restore
from venvctl.rollback import RollbackResult, rollback
from venvctl.sync import SyncOptions, SyncResult, sync

if TYPE_CHECKING:
    from collections.abc import Mapping

    from venvctl.daemon.peers import Peer, Sight
    from venvctl.daemon.service import Service
    from venvctl.document import Document
    from venvctl.progress import Progress
    from venvctl.removal import RemoveResult
    from venvctl.rollout import StepResult

# Of a request for a sync.
SYNC_FIELDS = (
    "force",
    "dry_run",
    "offline",
    "accept",
    "restart",
    "defer_rollout",
    "recreated",
    "registration",
    "files",
    "wait",
)
_WAIT_MOST = 60.0  # seconds for another writer; it takes up a worker


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
                    accept=frozenset(body.texts("accept")),
                    restart=body.flag("restart", default=True),
                    defer_rollout=body.flag("defer_rollout", default=False),
                    recreated=frozenset(body.texts("recreated")),
                    wait=_wait(body),
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
class RolloutData:
    """What a rollout did."""

    environment: str
    steps: tuple[StepResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncData:
    """As `venvctl sync --json` has it."""

    environments: tuple[SyncResult, ...]
    failures: tuple[()] = ()


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
    own, follower = _is_own(peer), service.reader_of(name)
    changes = registration != registered
    if changes:
        check_change(service, name, peer)
        follower = owner_for(peer)
    if wish.files and (own or follower == peer.uid):
        read = peers.handed(wish.files, own=own)
    else:
        # What somebody else has followed is synced to what stands in its files, whatever is handed
        # over. An error may quote a line of them: so nobody gets more than they could read.
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


def owner_for(peer: Peer) -> int:
    """The user in whose name a peer registers something; root does it for the root's owner."""
    return os.geteuid() if _is_own(peer) else peer.uid


def check_change(service: Service, name: str, peer: Peer) -> None:
    """Refuse that somebody changes, or removes, what another user registered.

    Raises:
        ForbiddenError: the environment is another user's.
    """
    if _is_own(peer) or service.root.registry.find(name) is None:
        return
    if service.reader_of(name) != peer.uid:
        raise ForbiddenError(
            f"{peer.name} may not change what environment {name} is: it is followed for somebody "
            "else.",
            hint="Sync it as it is registered, or ask its owner.",
        )


def check_project(service: Service, name: str, peer: Peer, sight: Sight) -> None:
    """Refuse that somebody ends or changes how a project is followed whose locks they can't read.

    Raises:
        ForbiddenError: it is another user's, and so are its locks.
    """
    registry = service.root.registry
    if _is_own(peer) or service.owner_of_project(name) == peer.uid:
        return
    for each in registry.names():
        registration = registry.find(each)
        if registration is None or registration.project != name:
            continue
        lock = str(registration.specification.lock)
        if service.reader_of(each) != peer.uid and not sight.reads(peer.uid, [lock]):
            raise ForbiddenError(
                f"{peer.name} may not say whether project {name} is followed: it is somebody "
                f"else's, and {lock} can't be read by {peer.name}.",
                hint="Ask its owner.",
            )


def reserve(service: Service, registration: Registration, peer: Peer) -> None:
    """Register an environment and have its volume, though it is not synced yet.

    Raises:
        ForbiddenError: as `check_change`.
        VenvctlError: as `Here.reserve`.
    """
    name, root = registration.name, service.root
    if registration != root.registry.find(name):
        check_change(service, name, peer)
        root.create()
        # Before the registration: nobody may come to follow it with other rights.
        service.follow_for(name, owner_for(peer))
    Here(root, wait=_WAIT_MOST).reserve(registration)


def rollout_order(service: Service, name: str) -> Order:
    """An order for the rollout that a sync with `defer_rollout` left."""
    root = service.root

    def work(progress: Progress) -> RolloutData:
        environment = root.environment(name)
        with root.working(), environment.writing(wait=_WAIT_MOST):
            steps = changeover.finish(environment, root, progress)
        return RolloutData(environment=name, steps=steps)

    return Order("rollout", work)


def remove_order(service: Service, name: str, peer: Peer) -> Order:
    """An order for the removal of an environment.

    Raises:
        ForbiddenError: as `check_change`.
    """
    check_change(service, name, peer)

    def work(_progress: Progress) -> RemoveResult:
        return removal.remove(name, service.root)

    return Order("env rm", work)


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


def _is_own(peer: Peer) -> bool:
    """Whether a peer is the root's owner, whom the daemon runs as, or root."""
    return peer.uid in {0, os.geteuid()}


def _wait(body: Document) -> float:
    seconds = body.number("wait", 0.0)
    if not 0 <= seconds <= _WAIT_MOST:
        raise UsageError(f"wait in the request is {seconds:g}, not 0 to {_WAIT_MOST:g} seconds.")
    return seconds
