"""The example projects do what their READMEs say, on the real engine."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from world import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine_fixtures import Docker, Unique

pytestmark = pytest.mark.engine

_COMPOSE = Path(__file__).parents[2] / "compose"


class Visitor(threading.Thread):
    """Asks a page again and again, and counts what went wrong."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.answers = 0
        self.failures: list[str] = []
        self.leaving = threading.Event()

    def run(self) -> None:
        while not self.leaving.is_set():
            try:
                ask(self.port)
                self.answers += 1
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.failures.append(f"{type(error).__name__}: {error}")

    def leave(self) -> None:
        self.leaving.set()
        self.join(timeout=60)


def ask(port: int) -> dict[str, str]:
    """The versions that the application says it runs on."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/versions")
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise ValueError(f"status {answer.status}")
        versions: dict[str, str] = json.loads(answer.read())["versions"]
    finally:
        connection.close()
    return versions


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def venvctl(directory: Path, *arguments: str) -> str:
    """Run the command as a user does, and require that it does it."""
    done = subprocess.run(
        [sys.executable, "-m", "venvctl", *arguments],
        cwd=directory, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def reload_port(
    tmp_path: Path, image_311: str, unique: Unique, monkeypatch: pytest.MonkeyPatch
) -> Iterator[int]:
    """The reload example runs here, from a copy, and answers on this port."""
    port = free_port()
    for name in ("demo", "reload"):
        shutil.copytree(_COMPOSE / name, tmp_path / name)
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", unique("reload").lower())
    monkeypatch.setenv("PYTHON_IMAGE", image_311)
    monkeypatch.setenv("RELOAD_PORT", str(port))
    venvctl(tmp_path / "reload", "up")
    yield port
    venvctl(tmp_path / "reload", "down", "--", "--volumes")


def test_gunicorn_takes_a_generation_in_place_without_losing_a_request(
    reload_port: int, tmp_path: Path, docker: Docker
) -> None:
    wait_for(lambda: _answers(reload_port), "the first answer")
    old = ask(reload_port)["humanize"]
    container = docker(
        "compose", "--project-directory", str(tmp_path / "reload"), "ps", "-q", "web"
    )
    started = docker("inspect", "--format", "{{.State.StartedAt}}", container)
    visitor = Visitor(reload_port)
    visitor.start()
    wait_for(lambda: visitor.answers > 10, "ten answers")

    shutil.copy(tmp_path / "demo/requirements.update.lock", tmp_path / "reload/requirements.lock")
    said = venvctl(tmp_path / "reload", "sync")
    wait_for(lambda: ask(reload_port)["humanize"] != old, "the new version")
    visitor.leave()

    assert "signal:SIGHUP, done" in said
    assert visitor.failures == []
    assert docker("inspect", "--format", "{{.State.StartedAt}}", container) == started


def _answers(port: int) -> bool:
    try:
        return bool(ask(port))
    except (OSError, http.client.HTTPException, ValueError):
        return False
