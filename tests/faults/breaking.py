"""A way to the engine that breaks in the middle of a request, as when the engine goes away."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class BreakingSocket:
    """A Unix socket that passes everything on to the engine's, until a certain request comes.

    Args:
        path: where it listens.
        engine: the engine's own socket.
        request: start of the request's first line that breaks it.
        deliver: whether the engine still gets that request, and carries it out unseen.
    """

    def __init__(self, path: Path, engine: str, *, request: bytes, deliver: bool) -> None:
        self.path = path
        self.broken = threading.Event()
        self._engine = engine
        self._request = request
        self._deliver = deliver
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self.path))
        self._server.listen()
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._break()
        self._thread.join()

    def _accept(self) -> None:
        pumps = []
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                engine = socket.socket(socket.AF_UNIX)
                engine.connect(self._engine)
                self._open += [client, engine]
                for source, target in ((client, engine), (engine, client)):
                    pumps.append(threading.Thread(target=self._pump, args=(source, target)))
                    pumps[-1].start()
        for pump in pumps:
            pump.join()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                breaks = data.startswith(b"POST ") and self._request in data.partition(b"\r\n")[0]
                if breaks and not self._deliver:
                    self._break()
                    return
                target.sendall(data)
                if breaks:
                    self._break(but=target)
                    return
            target.shutdown(socket.SHUT_WR)

    def _break(self, but: socket.socket | None = None) -> None:
        """From now on nobody answers."""
        self.broken.set()
        self.path.unlink(missing_ok=True)
        for each in (self._server, *self._open):
            # The engine's end stays open: it may take a caller that left for one that gave up.
            if each is not but:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                if each is self._server or but is None:
                    each.close()
