"""HTTP on the control socket: a thread for each connection, everything bounded in size and time.

The protocol is h11's. It was chosen over uvicorn with starlette because the work below is done by
threads that block, and for its cost: 4 MB and 39 ms to import, against 25 MB and 211 ms (measured).
"""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import h11

from venvctl import envelope
from venvctl.daemon.peers import Peer
from venvctl.errors import UsageError, VenvctlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

CONNECTIONS = 64
_HEADERS_MOST = 16 << 10
_BODY_MOST = 64 << 20  # two locks of the largest size that is read
_HEADERS_SECONDS = 10.0  # from the first byte on, and for a new connection from the beginning
_BODY_SECONDS = 60.0
_IDLE_SECONDS = 30.0
_SEND_SECONDS = 30.0  # in which a reader must take something
_DRAIN_SECONDS = 2.0
_PART = 16 << 10  # no more than headers may have: h11 judges what has not come whole
_WAKE_SECONDS = 1.0
JSON = "application/json"
LINES = "application/x-ndjson"
_log = logging.getLogger("venvctl.daemon")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, read whole.

    Attributes:
        peer: who asks.
        method, path: as they stand. query: the last value of each parameter.
        accept: the media types that are asked for. content_type: of the body.
    """

    peer: Peer
    method: str
    path: str
    query: Mapping[str, str]
    accept: str
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One answer.

    Attributes:
        body: all of it, or parts that come as they are made; an empty part only asks whether the
            other end is still there.
    """

    status: int = 200
    content_type: str = JSON
    body: bytes | Iterator[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, document: object, *, status: int = 200) -> Response:
        """An answer in JSON, on a line."""
        return cls(status=status, body=json.dumps(document).encode() + b"\n")


class _RefusedError(Exception):
    """The request can't be answered otherwise, and the connection ends."""

    def __init__(self, status: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.error = UsageError(message, hint=hint)


class Server:
    """Answers on a listening socket until it is closed.

    Args:
        listener: the socket.
        answer: gives the answer to a request, in the connection's own thread.
    """

    def __init__(self, listener: socket.socket, answer: Callable[[Request], Response]) -> None:
        self._listener = listener
        self._answer = answer
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = threading.Event()

    def start(self) -> None:
        """Begin to answer."""
        threading.Thread(target=self._accept, name="control", daemon=True).start()

    def close(self) -> None:
        """Answer nobody any more."""
        self._closed.set()
        # A connection wakes `accept`. Shutting the socket down would do so too, but it may be
        # systemd's, which goes on listening on it.
        with suppress(OSError), socket.socket(socket.AF_UNIX) as waker:
            waker.settimeout(_WAKE_SECONDS)
            waker.connect(self._listener.getsockname())
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if self._closed.is_set():
                    return
                time.sleep(0.1)  # no file descriptor is left for now
                continue
            if self._closed.is_set():
                connection.close()
                return
            with self._lock:
                full = len(self._open) >= CONNECTIONS
                if not full:
                    self._open.add(connection)
            if full:
                _turn_away(connection)
                continue
            threading.Thread(
                target=self._serve, args=(connection,), name="connection", daemon=True
            ).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                _Conversation(connection, self._answer).hold()
        except OSError:
            pass  # the other end went away
        except Exception:  # noqa: BLE001 - one peer's trouble is no other's
            _log.exception("a control connection failed")
        finally:
            with self._lock:
                self._open.discard(connection)


class _Conversation:
    """All requests of one connection, one after the other."""

    def __init__(self, connection: socket.socket, answer: Callable[[Request], Response]) -> None:
        self._socket = connection
        self._answer = answer
        self._peer = Peer.of(connection)
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEADERS_MOST)
        self._deadline = 0.0

    def hold(self) -> None:
        """Answer until either end has enough."""
        self._within(_HEADERS_SECONDS)
        while True:
            try:
                request = self._read()
                if request is None:
                    return
                response = self._answer(request)
            except _RefusedError as refusal:
                document = envelope.failure("", refusal.error)
                with suppress(h11.LocalProtocolError):
                    self._send(Response.of(document, status=refusal.status), last=True)
                self._drain()
                return
            self._send(response)
            if self._http.our_state is h11.MUST_CLOSE or self._http.their_state is h11.MUST_CLOSE:
                return
            self._http.start_next_cycle()
            self._within(_IDLE_SECONDS)

    def _read(self) -> Request | None:
        event = self._next()
        if not isinstance(event, h11.Request):
            return None
        headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > _BODY_MOST:
            raise _too_large()
        self._within(_BODY_SECONDS)
        body = bytearray()
        while isinstance(part := self._next(), h11.Data):
            body += part.data
            if len(body) > _BODY_MOST:
                raise _too_large()
        try:
            parts = urlsplit(event.target.decode("latin-1"))
        except ValueError as error:
            raise _RefusedError(400, f"The request's target is no URL: {error}.") from error
        return Request(
            peer=self._peer,
            method=event.method.decode("latin-1"),
            path=parts.path,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            accept=headers.get("accept", ""),
            content_type=headers.get("content-type", ""),
            body=bytes(body),
        )

    def _next(self) -> h11.Event | None:
        """The other end's next event; None when it went away between two requests."""
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise _RefusedError(
                    error.error_status_hint, f"This is no HTTP that can be read: {error}."
                ) from error
            if isinstance(event, h11.Request | h11.Data | h11.EndOfMessage):
                return event
            if event is not h11.NEED_DATA:
                return None  # closed, or paused by a wish for another protocol
            if self._http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                self._socket.sendall(self._http.send(go_on) or b"")
            self._http.receive_data(self._receive())

    def _receive(self) -> bytes:
        left = self._deadline - time.monotonic()
        idle = self._http.their_state is h11.IDLE and not self._http.trailing_data[0]
        try:
            # Zero would mean not to wait at all, and to say so in another way.
            self._socket.settimeout(max(left, 0.001))
            return self._socket.recv(_PART)
        except TimeoutError:
            if idle:
                return b""
            raise _RefusedError(
                408, "The request took too long to come.", "Send it in one go."
            ) from None

    def _send(self, response: Response, *, last: bool = False) -> None:
        self._socket.settimeout(_SEND_SECONDS)
        headers = [("content-type", response.content_type), ("cache-control", "no-store")]
        headers += list(response.headers.items())
        if isinstance(response.body, bytes):
            headers.append(("content-length", str(len(response.body))))
        if last:
            headers.append(("connection", "close"))
        self._write(h11.Response(status_code=response.status, headers=headers))
        if isinstance(response.body, bytes):
            self._write(h11.Data(data=response.body))
        else:
            self._stream(response.body)
        self._write(h11.EndOfMessage())

    def _stream(self, parts: Iterator[bytes]) -> None:
        try:
            for part in parts:
                if part:
                    self._write(h11.Data(data=part))
                elif self._is_gone():
                    raise BrokenPipeError
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()

    def _is_gone(self) -> bool:
        """Whether the other end has hung up; it has nothing to say while it is answered."""
        # Not MSG_DONTWAIT: with a timeout, Python itself waits for something to come.
        self._socket.settimeout(0)
        try:
            return self._socket.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        finally:
            self._socket.settimeout(_SEND_SECONDS)

    def _drain(self) -> None:
        """Let the answer arrive: closing over what was not read would take it back."""
        self._socket.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + _DRAIN_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            if not self._socket.recv(_PART):
                return

    def _write(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._socket.sendall(data)

    def _within(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds


def _too_large() -> _RefusedError:
    return _RefusedError(
        413, f"The request's body is larger than {_BODY_MOST >> 20} MiB.", "Check the lockfile."
    )


def _turn_away(connection: socket.socket) -> None:
    error = VenvctlError(f"The daemon has {CONNECTIONS} connections already.", hint="Try again.")
    body = json.dumps(envelope.failure("", error)).encode()
    head = f"content-type: {JSON}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    with connection, suppress(OSError):
        connection.settimeout(1)
        connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\n" + head.encode() + body)
