"""Asks a container many times a second which version it serves."""

from __future__ import annotations

import http.client
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE = 120.0  # seconds
# Says which version it serves, to its port and to a socket in a folder that it shares with the
# host; ends at once when it is told to.
#
# The socket is what is asked: whoever asks a port while its container is away may be put off for a
# second by the kernel, which then waits so long for the answer to where that address is (ARP).
SERVER = """
import http.server, importlib.metadata, os, pathlib, signal, socket, socketserver, threading
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(importlib.metadata.version("idna").encode())
    def log_message(self, *_):
        pass
class Beside(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
port = http.server.ThreadingHTTPServer(("", 8000), Page)
threading.Thread(target=port.serve_forever, daemon=True).start()
pathlib.Path("/seen/socket").unlink(missing_ok=True)
Beside("/seen/socket", Page).serve_forever()
"""
SHARED = "./seen:/seen"


class Watching:
    """Asks a service many times a second for the version that it serves.

    Args:
        directory: of its compose project.
        awaited: ``name==version`` that is waited for, or only the version.

    Attributes:
        away: the longest time without an answer, in seconds.
        seconds: how long it took until the awaited version was served.
    """

    def __init__(self, directory: Path, awaited: str = "") -> None:
        self.away = 0.0
        self.seconds = 0.0
        self._awaited = awaited.rpartition("=")[2]
        self._directory = directory
        self._done = threading.Event()
        self._seen = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def wait(self) -> None:
        """Return when the awaited version is served."""
        if not self._seen.wait(DEADLINE):
            raise TimeoutError(f"version {self._awaited} is not served")

    def _watch(self) -> None:
        begin = last = time.perf_counter()
        while not self._done.wait(0.004):
            if found := version(self._directory):
                now = time.perf_counter()
                self.away = max(self.away, now - last)
                if found == self._awaited and not self.seconds:
                    self.seconds = now - begin
                    self._seen.set()
                last = now


def version(directory: Path) -> str:
    """What a project's service serves; empty while it does not."""
    connection = _Connection(directory / "seen")
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


class _Connection(http.client.HTTPConnection):
    """One to the socket in a folder, however long its path is: an address has 108 bytes."""

    def __init__(self, folder: Path) -> None:
        super().__init__("localhost", timeout=1.0)
        self._folder = folder

    def connect(self) -> None:
        folder = os.open(self._folder, os.O_PATH)
        try:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(self.timeout)
            self.sock.connect(f"/proc/self/fd/{folder}/socket")
        finally:
            os.close(folder)
