"""Two replicas behind a real proxy under steady load: an update loses no request."""

from __future__ import annotations

import http.client
import os
import threading
from typing import TYPE_CHECKING

import pytest

from world import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from world import World

pytestmark = pytest.mark.engine

# More for a longer run: REPLICA_UPDATES=10 make test ARGS="-k replicas"
_UPDATES = int(os.environ.get("REPLICA_UPDATES", "2"))
_PROXY = "venvctl-test/haproxy"

# Ends as a server should: answers what it was asked, then leaves.
_SERVER = """
import alpha, http.server, signal, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = alpha.VERSION.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False
server = Server(("", 8000), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print("start", alpha.VERSION, flush=True)
server.serve_forever()
server.server_close()
"""

_CONFIGURATION = """
defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 10s
    option redispatch 1
    retries 5
    retry-on all-retryable-errors
frontend page
    bind :80
    default_backend replicas
backend replicas
    option httpchk GET /
    default-server check inter 200ms fall 1 rise 1
    server one one:8000
    server two two:8000
"""


class Load(threading.Thread):
    """Steady requests, one after the other, until it is told to end."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.answers: list[str] = []
        self.failures: list[str] = []
        self.ending = threading.Event()

    def run(self) -> None:
        while not self.ending.wait(0.005):
            try:
                self.answers.append(ask(self.port))
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{type(error).__name__}: {error}")


def ask(port: int) -> str:
    """The version that whichever replica answers runs on."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise http.client.HTTPException(f"status {answer.status}")
        return answer.read().decode()
    finally:
        connection.close()


def _answers(port: int) -> bool:
    try:
        return bool(ask(port))
    except (OSError, http.client.HTTPException):
        return False


def _start_behind_a_proxy(world: World, tmp_path: Path) -> int:
    network = f"{world.name}-network"
    world.docker("network", "create", network)
    for alias in ("one", "two"):
        container = world.start(
            f"{world.name}-{alias}", "--network", network, "--network-alias", alias,
            "--health-interval", "0.3s", "--health-retries", "2", "--health-cmd",
            "/venv/bin/python -c 'import urllib.request as r; r.urlopen(\"http://127.0.0.1:8000\")'",
            code=_SERVER,
        )  # fmt: skip
        world.wait_for_line(container, "start 1")
    (tmp_path / "haproxy.cfg").write_text(_CONFIGURATION)
    proxy = world.docker(
        "run", "--detach", "--name", f"{world.name}-proxy", "--network", network,
        "--publish", "127.0.0.1::80",
        "--volume", f"{tmp_path / 'haproxy.cfg'}:/etc/haproxy/haproxy.cfg:ro",
        _PROXY, "haproxy", "-f", "/etc/haproxy/haproxy.cfg",
    )  # fmt: skip
    port = int(world.docker("port", proxy, "80/tcp").splitlines()[0].rpartition(":")[2])
    wait_for(lambda: _answers(port), "the first answer through the proxy")
    return port


def test_updates_of_two_replicas_lose_no_request(world: World, tmp_path: Path) -> None:
    if world.root.engine.image(_PROXY) is None:
        pytest.fail(f"the image {_PROXY} is missing: run `make test`, which makes it")
    world.write_lock(world.wheel("alpha", "1"))
    world.sync()
    load = Load(_start_behind_a_proxy(world, tmp_path))
    load.start()

    for update in range(2, 2 + _UPDATES):
        world.write_lock(world.wheel("alpha", str(update)))
        assert world.sync().generation == update
        answered = len(load.answers)
        wait_for(lambda: len(load.answers) > answered + 20, "twenty more answers")  # noqa: B023 - at once
        assert set(load.answers[-10:]) == {str(update)}
    load.ending.set()
    load.join(timeout=60)

    assert load.failures == []
    assert {str(update) for update in range(1, 2 + _UPDATES)} == set(load.answers)
