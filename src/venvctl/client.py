"""Speaks to a running daemon: HTTP with JSON over its Unix socket.

What is asked, and what the answers mean, is `remote`'s; here is how a daemon is found, asked and
listened to.
"""

from __future__ import annotations

import grp
import http.client
import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import venvctl
from venvctl.document import Document
from venvctl.errors import DaemonUnreachableError, ExitCode, StoppedError, VenvctlError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from venvctl.progress import Progress

# Whose members may speak to the system's daemon, where there is such a group.
GROUP = "venvctl"
_SYSTEM = Path("/run/venvctl/control.sock")
_CONNECT_SECONDS = 2.0
# A daemon that does not even say how it is for so long is none that can be worked with.
_HEALTH_SECONDS = 5.0
_ANSWER_SECONDS = 30.0
# Work tells every few seconds that it goes on: see `_SILENCE` in the daemon.
_WORK_SECONDS = 60.0
_LINES = "application/x-ndjson"
_UNKNOWN = frozenset({404, 405})


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
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.geteuid() == 0 or not runtime:
        return _SYSTEM
    return Path(runtime) / "venvctl" / "control.sock"


def candidates() -> list[Path]:
    """Where a daemon may be found, the nearest first: the user's own one, then the system's."""
    found = [socket_path()]
    if not os.environ.get("VENVCTL_SOCKET"):
        found.append(_SYSTEM)
    return list(dict.fromkeys(found))


def is_there(path: Path) -> bool:
    """Whether there is a socket to connect to, as far as this user may look."""
    # Not `Path.exists`, which fails where a directory may not be entered.
    return os.path.exists(path)  # noqa: PTH110 - see above


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
            name = group_name(path.stat().st_gid) if is_there(path) else GROUP
            hint = f"Ask for membership in the socket's group (`usermod -aG {name} USER`)."
        raise DaemonUnreachableError(
            f"No daemon answers on {path}: {error.strerror or error}.", hint=hint
        ) from error
    return connection


def group_name(number: int) -> str:
    """Name of a socket's group; the usual one where it is root's own, or has none."""
    try:
        return grp.getgrgid(number).gr_name if number else GROUP
    except KeyError:
        return GROUP


def find(root: Path | None = None) -> Client | None:
    """The running daemon of a root.

    Costs a look at one or two paths where none runs, and a question where one does.

    Args:
        root: whose daemon is wanted; None for any.
    """
    for path in candidates():
        if not is_there(path):
            continue
        client = Client(path)
        try:
            # Asked in any case: it may not be for this user.
            if client.root() == root or root is None:
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
        self._health: Document | None = None

    @property
    def health(self) -> Document:
        """How it was when it was first asked."""
        if self._health is None:
            self._health = self.ask("GET", "/v1/health", seconds=_HEALTH_SECONDS)
        return self._health

    def root(self) -> Path:
        """The root that it works on."""
        return Path(self.health.text("root"))

    def events(self, *, after: int = -1) -> Iterator[Document]:
        """What happens from now on, until the daemon ends.

        Args:
            after: first what happened after that number; 0 for all that is remembered.
        """
        for _, line in self._lines("GET", f"/v1/events?after={after}", None):
            yield line

    def ask(
        self, method: str, path: str, body: object = None, *, seconds: float = _ANSWER_SECONDS
    ) -> Document:
        """The data of one answer.

        Args:
            method: of HTTP.
            path: with its query.
            body: what `json` can write; None for no body.
            seconds: how long the daemon may be silent.

        Raises:
            DaemonUnreachableError: it does not answer.
            VenvctlError: the error that it answers with.
        """
        last = None
        for last in self._lines(method, path, body, seconds=seconds, accept="*/*"):  # noqa: B007 - the last one is wanted
            pass
        return self._data(last)

    def work(self, method: str, path: str, body: object, progress: Progress) -> Document:
        """Have something done, and be told how far it is; its data.

        Raises:
            DaemonUnreachableError: it went away; what it had begun, it takes up again.
            VenvctlError: what it failed with.
        """
        last = None
        try:
            for status, line in self._lines(method, path, body, seconds=_WORK_SECONDS):
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
                    last = (status, line)
        except BaseException as error:
            if not isinstance(error, Exception):  # Ctrl-C, or SIGTERM
                progress.warn(
                    "What the daemon had begun, it finishes; `venvctl logs --follow` shows it."
                )
            raise
        return self._data(last)

    def _lines(
        self,
        method: str,
        path: str,
        body: object,
        *,
        seconds: float | None = None,
        accept: str = _LINES,
    ) -> Iterator[tuple[int, Document]]:
        """The HTTP status and each line of an answer."""
        connection = _Connection(self.path, seconds)
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
                    yield (
                        response.status,
                        Document.parse(json.loads(line), f"the answer of {self.path}"),
                    )
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DaemonUnreachableError(
                f"The daemon on {self.path} went away: {_words(error)}.",
                hint="What it had begun, it takes up again when it starts.",
            ) from error
        finally:
            connection.close()

    def _data(self, answer: tuple[int, Document] | None) -> Document:
        if answer is None:
            raise DaemonUnreachableError(
                f"The daemon on {self.path} went away before it was done.",
                hint="What it had begun, it takes up again when it starts.",
            )
        status, line = answer
        if line.flag("ok"):
            return line.table("data")
        error = line.table("error")
        code, message = error.text("code"), error.text("message")
        if code == StoppedError.code:
            raise StoppedError(message, hint=error.text("hint"))
        if status in _UNKNOWN and not line.text("command"):
            version = self.health.text("version", "an older version")
            raise DaemonUnreachableError(
                f"The daemon on {self.path} does not know this request: it is {version}, and this "
                f"is {venvctl.__version__}.",
                hint="Have it started again: `systemctl restart venvctl`.",
            )
        raise RemoteError(message, hint=error.text("hint"), code=code)


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


def _words(error: Exception) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return "its answer ended in the middle"
    return str(error) or type(error).__name__


def _exit_code(code: str) -> ExitCode:
    """The exit code of the error class with that code."""
    pending: list[type[VenvctlError]] = [VenvctlError]
    while pending:
        kind = pending.pop()
        if kind.code == code:
            return kind.exit_code
        pending += kind.__subclasses__()
    return ExitCode.FAILED
