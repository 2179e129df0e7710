"""A root that its daemon works on: what a command would do itself, done by whoever owns the root.

The command reads the lock and runs compose as its own user, and hands over the text of the lock and
what it resolved; the daemon does the rest and tells how far it is.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import venvctl
from venvctl import client, surroundings
from venvctl.catalogue import (
    ListedEnvironment,
    ListedSnapshot,
    SnapshotContent,
    SnapshotFile,
    match_key,
)
from venvctl.environments import Event
from venvctl.errors import LockChangedError, LockError, UsageError
from venvctl.lockfiles import LockOptions, read, read_file
from venvctl.records import revive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from venvctl.client import Client
    from venvctl.comparison import DiffResult
    from venvctl.document import Document
    from venvctl.progress import Progress
    from venvctl.project import ComposeProject
    from venvctl.registration import Registration
    from venvctl.removal import RemoveResult
    from venvctl.restore import RestoreResult
    from venvctl.rollback import RollbackResult
    from venvctl.rollout import StepResult
    from venvctl.sitepackages import PathResult
    from venvctl.status import EnvironmentStatus
    from venvctl.survey import SyncOptions
    from venvctl.sync import SyncResult

# What pip expands in a requirements file, from the environment of whoever reads it.
_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")

# What a path of the API may have; no volume's name has anything else.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def of_own(root: Path, warn: Callable[[str], None]) -> Remote | None:
    """The daemon of a root of this user's own, where it would do just what this process does.

    One of another version, or that was told of other indexes, proxies or engines, would not: the
    command then works alone, which it may.

    Args:
        root: whose daemon.
        warn: told of what a person should change.
    """
    found = client.find(root)
    if found is None:
        return None
    version = found.health.text("version", "an older version")
    if version != venvctl.__version__:
        warn(
            f"The daemon on {found.path} is {version}, and this is {venvctl.__version__}: "
            "it is not asked. Have it started again (`systemctl restart venvctl`)."
        )
        return None
    if found.health.text("surroundings", "") != surroundings.digest():
        return None
    return Remote(found)


class Remote:
    """Asks one daemon; each method is as `Backend`'s, and raises what the daemon answers.

    Args:
        client: the daemon.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self._handed: dict[str, dict[str, str]] = {}

    @property
    def path(self) -> Path:
        """The root's directory, which need not be readable."""
        return self.client.root()

    def takes(self, registration: Registration) -> bool:
        """Whether the lock means there what it means here: it uses none of our variables."""
        try:
            return not any(map(_VARIABLE.search, lock_files(registration).values()))
        except LockError:
            return True  # it is as wrong there

    def names(self) -> list[str]:
        """As `Backend`."""
        return [each.environment for each in self.environments()]

    def environments(self) -> tuple[ListedEnvironment, ...]:
        """As `Backend`."""
        listed = self.client.ask("GET", "/v1/environments").tables("environments")
        return tuple(revive(ListedEnvironment, each) for each in listed)

    def status(self, name: str) -> EnvironmentStatus:
        """As `Backend`."""
        from venvctl.status import EnvironmentStatus, Holder  # noqa: PLC0415 - only who asks

        data = self.client.ask("GET", _environment(name))
        (found,) = data.tables("environments")
        return revive(
            EnvironmentStatus,
            found,
            last=lambda each: revive(Event, each),
            holders=lambda each: revive(Holder, each),
        )

    def history(self, name: str) -> list[Event]:
        """As `Backend`."""
        data = self.client.ask("GET", f"{_environment(name)}/history")
        return [revive(Event, each) for each in data.tables("events")]

    def history_mark(self, name: str) -> int | None:  # noqa: ARG002 - `Backend` has it
        """As `Backend`: it would have to be asked as well."""
        return None

    def working(self) -> dict[str, str]:
        """As `Backend`."""
        names = self.client.ask("GET", "/v1/health").texts("working")
        return dict.fromkeys(names, "the daemon")

    def compare(self, name: str, *, before: int | None, after: int | None) -> DiffResult:
        """As `Backend`."""
        from venvctl.comparison import DiffResult  # noqa: PLC0415 - only who asks

        said = {"before": before, "after": after}
        query = urlencode({key: value for key, value in said.items() if value is not None})
        data = self.client.ask("GET", f"{_environment(name)}/diff?{query}")
        return revive(DiffResult, data)

    def site_packages(self, name: str) -> PathResult:
        """As `Backend`."""
        from venvctl.sitepackages import PathResult  # noqa: PLC0415 - only who asks

        return revive(PathResult, self.client.ask("GET", f"{_environment(name)}/path"))

    def snapshots(self) -> tuple[ListedSnapshot, ...]:
        """As `Backend`."""
        listed = self.client.ask("GET", "/v1/snapshots").tables("snapshots")
        return tuple(revive(ListedSnapshot, each) for each in listed)

    def snapshot(self, text: str) -> SnapshotContent:
        """As `Backend`."""
        # Found out here: what a person typed need not fit into a path.
        key = match_key(text, [each.key for each in self.snapshots()])
        return revive(
            SnapshotContent,
            self.client.ask("GET", f"/v1/snapshots/{key}"),
            snapshot=lambda each: revive(ListedSnapshot, each),
            files=lambda each: revive(SnapshotFile, each),
        )

    def has_snapshots(self, name: str) -> bool:
        """As `Backend`."""
        return any(name in each.environments for each in self.snapshots())

    def sync(
        self,
        name: str,
        registration: Registration | None,
        options: SyncOptions,
        progress: Progress,
    ) -> SyncResult:
        """As `Backend`: the lock is read here, as this user, and handed over."""
        body: dict[str, object] = {
            "force": options.force,
            "dry_run": options.dry_run,
            "offline": options.offline,
            "accept": sorted(options.accept),
            "restart": options.restart,
            "defer_rollout": options.defer_rollout,
            "recreated": sorted(options.recreated),
            "wait": options.wait,
        }
        if registration is not None:
            body["registration"] = registration.to_dict()
            body["files"] = files = lock_files(registration, options.read_bytes)
            self._handed[name] = {path: _digest(text) for path, text in files.items()}
        data = self.client.work("POST", f"{_environment(name)}/sync", body, progress)
        (result,) = data.tables("environments")
        return _sync_result(result)

    def served(self, registration: Registration) -> dict[str, str]:
        """As `Backend`: what was handed over last."""
        return self._handed.get(registration.name) or {str(registration.specification.lock): ""}

    def roll_out(self, name: str, progress: Progress) -> tuple[StepResult, ...]:
        """As `Backend`."""
        return _steps(self.client.work("POST", f"{_environment(name)}/rollout", {}, progress))

    def reserve(self, registration: Registration) -> None:
        """As `Backend`."""
        body = {"registration": registration.to_dict()}
        self.client.ask("PUT", _environment(registration.name), body)

    def rollback(self, name: str, *, to: int | None, progress: Progress) -> RollbackResult:
        """As `Backend`."""
        from venvctl.rollback import RollbackResult  # noqa: PLC0415 - only who asks

        data = self.client.work("POST", f"{_environment(name)}/rollback", {"to": to}, progress)
        return revive(RollbackResult, data, steps=_step)

    def restore(self, name: str, *, snapshot: str | None, progress: Progress) -> RestoreResult:
        """As `Backend`."""
        from venvctl.restore import RestoreResult  # noqa: PLC0415 - only who asks

        body = {"snapshot": snapshot}
        data = self.client.work("POST", f"{_environment(name)}/restore", body, progress)
        return revive(RestoreResult, data, steps=_step)

    def remove(self, name: str) -> RemoveResult:
        """As `Backend`."""
        from venvctl.removal import RemoveResult  # noqa: PLC0415 - only who asks

        return revive(RemoveResult, self.client.ask("DELETE", _environment(name)))

    def follow(self, project: ComposeProject) -> None:
        """As `Backend`."""
        self.client.ask("PUT", f"/v1/projects/{quote(project.name, safe='')}", project.to_dict())

    def unfollow(self, project: str) -> bool:
        """As `Backend`."""
        answer = self.client.ask("DELETE", f"/v1/projects/{quote(project, safe='')}")
        return answer.flag("followed")


def lock_files(
    registration: Registration, read_bytes: Callable[[Path], bytes] = read_file
) -> dict[str, str]:
    """The text of every file of the lock by its path, as this user can read them."""
    files: dict[str, str] = {}

    def remember(path: Path) -> bytes:
        content = read_bytes(path)
        # Bytes that are no UTF-8 go as lone surrogates (PEP 383), which JSON can carry.
        files[str(path)] = content.decode("utf-8", "surrogateescape")
        return content

    specification = registration.specification
    try:
        read(
            specification.lock,
            options=LockOptions(
                format=specification.format,
                extras=specification.extras,
                groups=specification.groups,
                package=specification.package,
                project=registration.directory,
            ),
            read_bytes=remember,
        )
    except LockError as error:
        if isinstance(error, LockChangedError) or not files:
            raise  # there is nothing that the daemon could say more of
    return files


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _environment(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is not an environment's name.")
    return f"/v1/environments/{quote(name, safe='')}"


def _sync_result(data: Document) -> SyncResult:
    from venvctl.plan import Action  # noqa: PLC0415 - only who asks
    from venvctl.sync import SyncResult  # noqa: PLC0415 - only who asks

    return revive(SyncResult, data, action=Action, steps=_step)


def _steps(data: Document) -> tuple[StepResult, ...]:
    return tuple(map(_step, data.tables("steps")))


def _step(data: Any) -> StepResult:
    from venvctl.rollout import Outcome, StepResult  # noqa: PLC0415 - only who asks

    return revive(StepResult, data, outcome=Outcome)
