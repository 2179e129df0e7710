"""FAULTS 32: a control request that is malformed, huge, slow, or from a user who may not."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from promises import unharmed

if TYPE_CHECKING:
    from following import Daemon
    from world import World

pytestmark = pytest.mark.engine
NOBODY = 65534


def _answer(daemon: Daemon, request: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(str(daemon.socket))
        try:
            client.sendall(request)
            return client.recv(65536)
        except (BrokenPipeError, ConnectionResetError):
            return b"closed"


def test_the_daemon_goes_on(settled: World, daemon: Daemon) -> None:
    daemon.start()
    slow = socket.socket(socket.AF_UNIX)
    slow.connect(str(daemon.socket))
    slow.sendall(b"POST /v1/sync HTTP/1.1\r\nHost: x\r\nContent-Le")  # and no more

    for request in (
        b"\r\n\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10,
        b"GET " + b"/" * (2 << 20) + b" HTTP/1.1\r\n\r\n",
        b"GET /v1/health HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 100_000 + b"\r\n",
        b"POST /v1/sync HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{",
        b"POST /v1/sync HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{}",
        b"POST /v1/sync HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        answer = _answer(daemon, request)
        assert answer in {b"", b"closed"} or answer.split()[1][:1] == b"4", answer[:200]
        assert daemon.client.root() == settled.root.path

    slow.close()
    assert daemon.stop() == 0
    assert not unharmed(settled, 1)


def test_nobody_else_gets_in(settled: World, daemon: Daemon) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    daemon.start()
    settled.folder.chmod(0o755)
    code = (
        "import os, socket, sys\n"
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "with socket.socket(socket.AF_UNIX) as client:\n"
        "    try: client.connect(sys.argv[1])\n"
        "    except PermissionError: print('refused')\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(daemon.socket)], capture_output=True, text=True, check=True
    )

    assert done.stdout == "refused\n"
    assert daemon.stop() == 0
