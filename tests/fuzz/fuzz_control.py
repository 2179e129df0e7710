"""The control API: all that a client says, and single requests."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

import h11

from fuzzing import BrokenInvariantError, Place, Target
from venvctl.daemon.api import ROUTES, Api
from venvctl.daemon.notify import Notifier
from venvctl.daemon.peers import Peer
from venvctl.daemon.server import Request, _Conversation
from venvctl.daemon.service import Service
from venvctl.errors import UsageError
from venvctl.root import Root

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from venvctl.daemon.orders import Order
    from venvctl.engine.model import Engine


@dataclass(slots=True)
class _Refusing:
    """Takes orders and does none of them."""

    service: Service

    def order(self, name: str, order: Order) -> None:
        order.refuse(UsageError(f"Nothing is done to {name}."))


def _api(folder: Path) -> Api:
    root = Root(folder / "root", engine=cast("Engine", None))
    root.create()
    service = Service(root, Notifier())
    service.feed.close()  # so that following events ends at once
    service.order = _Refusing(service).order  # type: ignore[method-assign] # nothing is worked on
    return Api(service, group=os.getgid())


def _speak(data: bytes, place: Place) -> None:
    """The bytes as all that a client says."""
    api = cast("Api", place.once("control", _api))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(10)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        theirs.sendall(data[: 1 << 16])
        theirs.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            _Conversation(ours, api.answer).hold()
        ours.close()
        answer = b"".join(iter(partial(theirs.recv, 1 << 16), b""))
    _check_answer(answer)


def _check_answer(answer: bytes) -> None:
    if not answer:
        return
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(answer)
    event = client.next_event()
    while isinstance(event, h11.InformationalResponse):
        event = client.next_event()
    if not isinstance(event, h11.Response):
        raise BrokenInvariantError(f"the answer begins with {event!r}")


def _request(data: bytes, place: Place) -> None:
    """A request's line, and behind it its body."""
    api = cast("Api", place.once("control", _api))
    head, _, body = data.partition(b"\n")
    method, _, path = head.decode("latin-1").partition(" ")
    response = api.answer(
        Request(
            peer=Peer(pid=os.getpid(), uid=os.geteuid(), groups=frozenset()),
            method=method,
            path=path,
            query={},
            accept="",
            content_type="",
            body=body,
        )
    )
    content = response.body if isinstance(response.body, bytes) else b"".join(response.body)
    if response.content_type.endswith("/json"):
        json.loads(content)


def _control_seeds() -> Iterator[bytes]:
    for route in ROUTES:
        path = route.path.replace("{name}", "shop_venv")
        yield f"{route.method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    yield (
        b"POST /v1/environments/a/sync HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nGET /v1/health HTTP/1.1\r\n\r\n"
    )
    yield b"GET http://x/v1/events?after=1 HTTP/1.0\r\n\r\n"


REGISTRATION: Mapping[str, object] = {
    "schema": 1,
    "specification": {
        "name": "shop_venv",
        "lock": "/project/requirements.lock",
        "bytecode": "ahead",
    },
    "mount": "/venv",
    "images": {"web": "python"},
    "labels": {},
    "project": "shop",
    "directory": "/project",
}


def _request_seeds() -> Iterator[bytes]:
    for route in ROUTES:
        yield f"{route.method} {route.path.replace('{name}', 'shop_venv')}\n{{}}".encode()
    body = {
        "registration": REGISTRATION,
        "files": {"/project/requirements.lock": "alpha==1.0"},
        "force": True,
        "recreated": ["a"],
    }
    yield b"POST /v1/environments/shop_venv/sync\n" + json.dumps(body).encode()
    yield b'POST /v1/environments/shop_venv/rollback\n{"to": 2}'
    yield b'POST /v1/environments/shop_venv/restore\n{"snapshot": "' + b"a" * 32 + b'"}'
    yield (
        b"PUT /v1/projects/shop\n"
        + json.dumps(
            {"name": "shop", "directory": "/project", "files": ["/project/compose.yaml"]}
        ).encode()
    )


TARGETS = {
    "control": Target(
        run=_speak,
        seeds=_control_seeds,
        words=(
            *(b"//[", b"http://[::1", b"\r\n", b"Transfer-Encoding: chunked", b"%00", b"%2e%2e"),
            *(b"Content-Length: ", b"Upgrade: ", b"Connection: close", b"?after=", b"\xff"),
        ),
    ),
    "request": Target(
        run=_request,
        seeds=_request_seeds,
        words=(
            *(b'"registration"', b'"files"', b'"\\ud800"', b"1e999", b"NaN", b"null", b"[" * 2000),
            *(b"..", b"/", b"%2e", b'"/etc/shadow"', b"\\u0000", b"9" * 5000, b"-1", b"true"),
        ),
    ),
}
