"""The engine behind a socket that can be cut, and that can hold a request up."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Relay:
    """A Unix socket that leads to the engine's, until it is cut.

    Args:
        path: of the socket. target: URL of the engine's.
        held: what is part of the first line of each request that does not get on.

    Attributes:
        holding: set when one is held. go: has those go on, whether who asked is there or not.
    """

    def __init__(self, path: Path, target: str, *, held: str = "") -> None:
        self.endpoint = f"unix://{path}"
        self.holding = threading.Event()
        self.go = threading.Event()
        self._held = held.encode()
        self._target = target.removeprefix("unix://")
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._spawn(self._accept)

    def cut(self) -> None:
        """Close the socket and every connection through it."""
        self.go.set()
        for one in (self._listener, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in (self._listener, *self._open):
            one.close()

    def _spawn(self, target: Callable[..., None], *arguments: socket.socket) -> None:
        self._threads.append(threading.Thread(target=target, args=arguments))
        self._threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._target)
                self._open += [near, far]
                self._spawn(self._pump, near, far)
                self._spawn(self._pump, far, near)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if self._held and self._held in data.partition(b"\r\n")[0]:
                    data += _rest(source, data)
                    self.holding.set()
                    self.go.wait()
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def _rest(source: socket.socket, data: bytes) -> bytes:
    """What a request still lacks: its body comes after its head."""
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: *([0-9]+)", head)
    missing = (int(found[1]) if found else 0) - len(body)
    return source.recv(missing, socket.MSG_WAITALL) if missing > 0 else b""
