"""Speaks to a running daemon: what a command would do itself, done by whoever owns the root.

The command reads the lock and runs compose as its own user, and hands over the text of the lock and
what it resolved; the daemon does the rest and tells how far it is.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from venvctl.document import Document
from venvctl.errors import DaemonUnreachableError, ExitCode, LockError, VenvctlError
from venvctl.lockfiles import LockOptions, read, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from venvctl.progress import Progress
    from venvctl.registration import Registration
    from venvctl.restore import RestoreResult
    from venvctl.rollback import RollbackResult
    from venvctl.rollout import StepResult
    from venvctl.sync import SyncOptions, SyncResult

_CONNECT_SECONDS = 2.0
_ANSWER_SECONDS = 30.0
_LINES = "application/x-ndjson"


class RemoteError(VenvctlError):
    """What the daemon's work failed with; it has the code and exit code of the original."""

    def __init__(self, message: str, *, hint: str, code: str) -> None:
        super().__init__(message, hint=hint)
        # Shadowing the class's own: each instance stands for one of many classes.
        self.code = code  # type: ignore[misc] # see above
        self.exit_code = _exit_code(code)  # type: ignore[misc] # the same


def socket_path() -> Path:
    """Where the control socket is: $VENVCTL_SOCKET, the system's, or the user's own place."""
    said = os.environ.get("VENVCTL_SOCKET", "")
    if said:
        return Path(said)
    system = Path("/run/venvctl/control.sock")
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.geteuid() == 0 or not runtime:
        return system
    return Path(runtime) / "venvctl" / "control.sock"


def candidates() -> list[Path]:
    """Where a daemon may be found, the nearest first: the user's own one, then the system's."""
    found = [socket_path()]
    if not os.environ.get("VENVCTL_SOCKET"):
        found.append(Path("/run/venvctl/control.sock"))
    return list(dict.fromkeys(found))


def connect(path: Path) -> socket.socket:
    """Connect to a control socket.

    Raises:
        DaemonUnreachableError: nobody answers there, or this user may not.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_CONNECT_SECONDS)
    try:
        connection.connect(str(path))
    except OSError as error:
        connection.close()
        hint = "Start it: `systemctl start venvctl`, or `venvctl daemon`."
        if isinstance(error, PermissionError):
            hint = "Ask for membership in the socket's group (`usermod -aG venvctl USER`)."
        raise DaemonUnreachableError(
            f"No daemon answers on {path}: {error.strerror or error}.", hint=hint
        ) from error
    return connection


def find(root: Path | None = None) -> Client | None:
    """The running daemon of a root.

    Costs a look at one or two paths where none runs.

    Args:
        root: whose daemon is wanted; None for any.
    """
    for path in candidates():
        if not path.exists():
            continue
        client = Client(path)
        try:
            if root is None or client.root() == root:
                return client
        except VenvctlError:
            continue  # it is not for this user, or was left behind
    return None


class Client:
    """One daemon; each call is a connection of its own.

    Args:
        path: its control socket.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def root(self) -> Path:
        """The root that it works on."""
        return Path(self.ask("GET", "/v1/health").text("root"))

    def sync(
        self, registration: Registration, options: SyncOptions, progress: Progress
    ) -> SyncResult:
        """As `venvctl.sync.sync`: the lock is read here, as this user, and handed over.

        Raises:
            DaemonUnreachableError: it went away; what it had begun, it takes up again.
            VenvctlError: as the daemon's own sync.
        """
        body = {
            "force": options.force,
            "dry_run": options.dry_run,
            "offline": options.offline,
            "restart": options.restart,
            "defer_rollout": options.defer_rollout,
            "recreated": sorted(options.recreated),
            "registration": registration.to_dict(),
            "files": _lock_files(registration),
        }
        path = f"/v1/environments/{registration.name}/sync"
        (result,) = self.work(path, body, progress).tables("environments")
        return _sync_result(result)

    def rollback(self, name: str, *, to: int | None, progress: Progress) -> RollbackResult:
        """As `venvctl.rollback.rollback`."""
        from venvctl.rollback import RollbackResult  # noqa: PLC0415 - only here

        data = self.work(f"/v1/environments/{name}/rollback", {"to": to}, progress)
        return RollbackResult(
            environment=data.text("environment"),
            generation=data.integer("generation"),
            previous=data.integer("previous"),
            key=data.text("key"),
            held=data.text("held"),
            changes=data.texts("changes"),
            steps=_steps(data),
        )

    def restore(self, name: str, *, snapshot: str | None, progress: Progress) -> RestoreResult:
        """As `venvctl.restore.restore`."""
        from venvctl.restore import RestoreResult  # noqa: PLC0415 - only here

        data = self.work(f"/v1/environments/{name}/restore", {"snapshot": snapshot}, progress)
        return RestoreResult(
            environment=data.text("environment"),
            generation=data.integer("generation"),
            previous=data.integer("previous"),
            key=data.text("key"),
            packages=data.integer("packages"),
            replaced=data.flag("replaced"),
            steps=_steps(data),
        )

    def follow(self, project: str, document: object) -> None:
        """Have a project's lockfiles followed; `document` is `ComposeProject.to_dict`'s."""
        self.ask("PUT", f"/v1/projects/{project}", document)

    def unfollow(self, project: str) -> bool:
        """Have a project followed no more; says whether it was."""
        return self.ask("DELETE", f"/v1/projects/{project}").flag("followed")

    def status(self, name: str) -> Document:
        """The data of `venvctl status --json`, for one environment."""
        return self.ask("GET", f"/v1/environments/{name}")

    def names(self) -> list[str]:
        """The names of all registered environments."""
        listed = self.ask("GET", "/v1/environments").tables("environments")
        return [each.text("environment") for each in listed]

    def events(self, *, after: int = -1) -> Iterator[Document]:
        """What happens from now on, until the daemon ends.

        Args:
            after: first what happened after that number; 0 for all that is remembered.
        """
        yield from self._lines("GET", f"/v1/events?after={after}", None)

    def ask(self, method: str, path: str, body: object = None) -> Document:
        """The data of one answer.

        Raises:
            VenvctlError: the error that it answers with.
        """
        last = None
        for line in self._lines(method, path, body, timeout=_ANSWER_SECONDS, accept="*/*"):
            last = line
        return _data(last, self.path)

    def work(self, path: str, body: object, progress: Progress) -> Document:
        """Have something done, and be told how far it is; its data."""
        last = None
        for line in self._lines("POST", path, body):
            if "stage" in line.fields:
                stage = line.table("stage")
                progress.stage(
                    stage.text("name"), total=stage.integer("total"), unit=stage.text("unit")
                )
            elif "advance" in line.fields:
                progress.advance(line.integer("advance"))
            elif "warning" in line.fields:
                progress.warn(line.text("warning"))
            else:
                last = line
        return _data(last, self.path)

    def _lines(
        self,
        method: str,
        path: str,
        body: object,
        *,
        timeout: float | None = None,
        accept: str = _LINES,
    ) -> Iterator[Document]:
        connection = _Connection(self.path, timeout)
        payload = None if body is None else json.dumps(body).encode()
        try:
            connection.request(
                method,
                path,
                body=payload,
                headers={"accept": accept, "content-type": "application/json"},
            )
            with connection.getresponse() as response:
                while line := response.readline():
                    yield Document.parse(json.loads(line), f"the answer of {self.path}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DaemonUnreachableError(
                f"The daemon on {self.path} went away: {str(error) or type(error).__name__}.",
                hint="What it had begun, it takes up again when it starts.",
            ) from error
        finally:
            connection.close()


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float | None) -> None:
        super().__init__("localhost")
        self._path = path
        self._seconds = timeout

    def connect(self) -> None:
        """Connect to the socket instead of a host."""
        self.sock = connect(self._path)
        self.sock.settimeout(self._seconds)


def _data(line: Document | None, path: Path) -> Document:
    if line is None:
        raise DaemonUnreachableError(
            f"The daemon on {path} went away before it was done.",
            hint="What it had begun, it takes up again when it starts.",
        )
    if line.flag("ok"):
        return line.table("data")
    error = line.table("error")
    raise RemoteError(error.text("message"), hint=error.text("hint"), code=error.text("code"))


def _lock_files(registration: Registration) -> dict[str, str]:
    """The text of every file of the lock, as this user can read them."""
    files: dict[str, str] = {}

    def remember(path: Path) -> bytes:
        content = read_file(path)
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
    except LockError:
        if not files:
            raise  # there is nothing that the daemon could say more of
    return files


def _sync_result(data: Document) -> SyncResult:
    from venvctl.plan import Action  # noqa: PLC0415 - only here
    from venvctl.sync import SyncResult  # noqa: PLC0415 - only here

    seconds = data.table("seconds")
    return SyncResult(
        environment=data.text("environment"),
        action=Action(data.text("action")),
        because=data.text("because"),
        reasons=data.texts("reasons"),
        key=data.text("key"),
        generation=data.integer("generation"),
        previous=data.integer("previous"),
        changes=data.texts("changes"),
        fetched=data.integer("fetched"),
        built=data.integer("built"),
        missing=data.texts("missing"),
        volume_created=data.flag("volume_created"),
        warnings=data.texts("warnings"),
        steps=_steps(data),
        seconds={name: seconds.number(name) for name in seconds.fields},
        dry_run=data.flag("dry_run"),
    )


def _steps(data: Document) -> tuple[StepResult, ...]:
    from venvctl.rollout import Outcome, StepResult  # noqa: PLC0415 - only here

    return tuple(
        StepResult(
            name=step.text("name"),
            action=step.text("action"),
            outcome=Outcome(step.text("outcome")),
            because=step.text("because"),
            seconds=step.number("seconds"),
        )
        for step in data.tables("steps")
    )


def _exit_code(code: str) -> ExitCode:
    """The exit code of the error class with that code."""
    pending: list[type[VenvctlError]] = [VenvctlError]
    while pending:
        kind = pending.pop()
        if kind.code == code:
            return kind.exit_code
        pending += kind.__subclasses__()
    return ExitCode.FAILED
