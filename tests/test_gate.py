"""What the gate does without an engine: it holds back wherever anything is not as recorded."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import venvctl
from venvctl import gate, stamp

if TYPE_CHECKING:
    from collections.abc import Iterator


class Engine:
    """A socket that gives one answer to everything, as an engine would over HTTP/1.0."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.status = "200 OK"
        self.body = (
            b'{"Id": "sha256:one", "Driver": "local", "Options": null, "Labels": {"a": "b"}}'
        )
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._server.accept()
            with connection:
                request = connection.recv(4096)
                if not request:
                    return
                connection.sendall(f"HTTP/1.0 {self.status}\r\n\r\n".encode() + self.body)

    def stop(self) -> None:
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(self.path))
        self._thread.join()
        self._server.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path / "engine.sock")
    yield engine
    engine.stop()


@pytest.fixture
def record(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A record that holds."""
    root = tmp_path / "root"
    (root / "answers").mkdir(parents=True)
    monkeypatch.setenv("VENVCTL_ROOT", str(root))
    monkeypatch.chdir(tmp_path)
    lock = tmp_path / "requirements.lock"
    lock.write_text("six==1.17.0\n")
    link = tmp_path / "current"
    link.symlink_to("generations/1")
    return {
        "schema": 1,
        "version": venvctl.__version__,
        "root": str(root),
        "variables": {"names": ["FLAVOUR"], "digest": gate.variables(["FLAVOUR"])},
        "identities": {str(root): gate.identity(str(root))},
        "programs": {str(lock): gate.program(str(lock))},
        "links": {str(link): "generations/1"},
        "registered": [],
        "files": {str(lock): gate.digest(str(lock)), str(tmp_path / "compose.yaml"): ""},
        "engine": {
            "socket": str(engine.path),
            "images": {"shop:1": "sha256:one"},
            "volumes": {"shop_venv": ["local", {}, {"a": "b"}]},
        },
        "then": [],
        "spoken": False,
        "output": "nothing to do\n",
    }


def ask(record: object, *arguments: str) -> int | None:
    """Leave the record, and ask what it answers."""
    path = Path(gate.record_path(os.environ["VENVCTL_ROOT"], arguments))
    path.write_bytes(stamp.stamped(record) if isinstance(record, dict) else str(record).encode())
    return gate.answer(arguments)


def test_a_record_that_holds_is_the_answer(
    record: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(record, "sync") == 0
    assert capsys.readouterr() == ("nothing to do\n", "")


def test_another_question_has_no_answer(record: dict[str, Any]) -> None:
    assert ask(record, "sync") == 0
    assert gate.answer(["sync", "shop_venv"]) is None
    assert gate.answer([]) is None
    assert ask(record, "status") is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("schema", 2),
        ("version", "0.0.0"),
        ("root", "/somewhere"),
        ("variables", {"names": [], "digest": ""}),
        ("identities", {"/": [0, 0, 0, 0]}),
        ("identities", {"/nowhere": [0, 0, 0, 0]}),
        ("programs", {"/bin/sh": [0, 0, 0, 0]}),
        ("links", {"/nowhere": "generations/1"}),
        ("registered", ["shop_venv"]),
        ("files", {"/nowhere": "0" * 64}),
        ("files", {"/etc/passwd": ""}),
        ("files", {"/": ""}),
        ("engine", {"socket": "/nowhere", "images": {"shop:1": "sha256:one"}, "volumes": {}}),
        ("engine", None),
        ("then", None),
        ("output", ...),
    ],
)
def test_one_fact_that_does_not_hold_takes_the_answer_away(
    record: dict[str, Any], name: str, value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    if value is ...:
        del record[name]
    elif name != "then":
        record[name] = value
    else:
        record["then"] = 7

    assert ask(record, "sync") is None
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema": 1}'])
def test_a_torn_record_is_no_record(record: dict[str, Any], text: str) -> None:
    assert record
    assert ask(text, "sync") is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("404 Not Found", b'{"message": "no such image"}'),
        ("200 OK", b"<html>"),
        ("200 OK", b""),
        ("200 OK", b'{"Id": "sha256:two", "Driver": "local"}'),
        ("", b""),
    ],
)
def test_an_engine_that_says_anything_else_takes_the_answer_away(
    record: dict[str, Any], engine: Engine, status: str, body: bytes
) -> None:
    engine.status, engine.body = status, body
    assert ask(record, "sync") is None


def test_a_variable_that_the_answer_rests_on(
    record: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(record, "sync") == 0
    monkeypatch.setenv("UNRELATED", "1")
    assert ask(record, "sync") == 0
    monkeypatch.setenv("FLAVOUR", "sweet")
    assert ask(record, "sync") is None


def test_a_named_pipe_in_place_of_a_lock_does_not_block(
    record: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "requirements.lock").unlink()
    os.mkfifo(tmp_path / "requirements.lock")
    record["programs"] = {}
    assert ask(record, "sync") is None


def test_what_is_run_in_the_end_decides_about_the_answer(
    record: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    record["then"] = ["/bin/sh", "-c", "echo $0 told; exit 0", "compose"]
    assert ask(record, "up") == 0
    assert capfd.readouterr() == ("nothing to do\n", "")

    record["spoken"] = True
    assert ask(record, "up") == 0
    assert capfd.readouterr() == ("compose told\nnothing to do\n", "")

    record["then"] = ["/bin/sh", "-c", "exit 3"]
    assert ask(record, "up") == 1
    assert capfd.readouterr() == ("", "Error: `docker compose up` ended with exit code 3.\n")

    record["spoken"] = False
    assert ask(record, "up") is None


def test_the_version_is_said_as_the_command_line_says_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from venvctl.cli.application import run  # noqa: PLC0415 - what the gate is compared with

    assert gate.answer(["--version"]) == run(["--version"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == second == f"venvctl {venvctl.__version__}"
