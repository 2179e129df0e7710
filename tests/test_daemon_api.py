"""The control API over a real socket: what it answers, to whom, and what it survives."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from open_folder import open_folder
from venvctl.client import Client, RemoteError, find
from venvctl.daemon import server as server_module
from venvctl.daemon import streams
from venvctl.daemon.api import ROUTES, Api
from venvctl.daemon.notify import Notifier
from venvctl.daemon.server import Server
from venvctl.daemon.service import Service
from venvctl.daemon.work import SYNC_FIELDS
from venvctl.daemon.worker import Ended
from venvctl.environments import Event
from venvctl.progress import Silent
from venvctl.registration import Registration
from venvctl.remote import Remote
from venvctl.root import Root
from venvctl.specification import EnvironmentSpecification

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOBODY = 65534
SOURCE = Path(__file__).parents[1] / "src"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content_type: str
    document: Any


@dataclass(frozen=True, slots=True)
class Running:
    """A service that answers, and does no work."""

    service: Service
    path: Path

    def ask(self, method: str, path: str, body: bytes | str | None = None) -> Answer:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = self.connect()
        connection.request(method, path, body)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        is_json = response.headers["content-type"] == "application/json"
        return Answer(
            response.status,
            response.headers["content-type"],
            json.loads(content) if is_json else content.decode(),
        )

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(60)
        connection.connect(str(self.path))
        return connection

    def say(self, data: bytes) -> bytes:
        """Everything that is answered to these bytes."""
        with self.connect() as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In place of pytest's own: users besides ours have to get to the socket."""
    with open_folder() as folder:
        yield folder


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    root = Root(tmp_path / "root")
    root.create()
    service = Service(root, Notifier())
    path = tmp_path / "control.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(64)
    path.chmod(0o666)
    server = Server(listener, Api(service, group=os.getgid()).answer)
    server.start()
    yield Running(service, path)
    service.feed.close()
    server.close()
    listener.close()


def registered(running: Running, tmp_path: Path, name: str = "shop_venv") -> Registration:
    registration = Registration(
        specification=EnvironmentSpecification.from_labels(
            name, {"venvctl.lock": "requirements.txt"}, directory=tmp_path, place="the volume"
        ),
        mount="/venv",
        images={"": "python:3.12"},
        labels={},
        project="",
        directory=tmp_path,
    )
    running.service.root.registry.claim(registration)
    return registration


def failure(code: str, message: str, hint: str, command: str = "") -> dict[str, object]:
    return {
        "schema": 1,
        "command": command,
        "ok": False,
        "error": {"code": code, "message": message, "hint": hint},
    }


def test_health_says_which_root_it_is(running: Running) -> None:
    answer = running.ask("GET", "/v1/health")

    assert answer.status == 200
    assert answer.document["data"]["root"] == str(running.service.root.path)
    assert answer.document["data"]["pid"] == os.getpid()
    assert answer.document["ok"] is True


def test_what_there_is_not_is_said_in_the_envelope(running: Running) -> None:
    assert running.ask("GET", "/v1/nothing") == Answer(
        404,
        "application/json",
        failure(
            "usage",
            "There is no /v1/nothing.",
            "GET /v1/openapi.json describes what there is.",
        ),
    )
    assert running.ask("PATCH", "/v1/health") == Answer(
        405,
        "application/json",
        failure("usage", "/v1/health takes GET, not PATCH.", ""),
    )
    assert running.ask("GET", "/v1/environments/shop").document == failure(
        "usage",
        "There is no environment 'shop'.",
        "GET /v1/environments lists those that are registered.",
        command="status",
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "The request's body is no JSON: "),
        ("[" * 100_000, "The request's body is no JSON: "),
        ("[]", "the request is not a JSON object."),
        ('{"force": 1}', "force in the request is not true or false."),
        ('{"files": {"/a": 1}}', "files in the request is not an object of texts."),
        ('{"files": {"/a": "\\ud800"}}', "files in the request has text that stands for no bytes."),
        ('{"registration": {}}', "name is missing in the request."),
        ('{"registration": []}', "the request is not a JSON object."),
        ('{"Force": true}', "Force in the request is no field of it."),
    ],
)
def test_a_body_that_means_nothing_says_where_it_is_wrong(
    running: Running, tmp_path: Path, body: str, message: str
) -> None:
    registered(running, tmp_path)

    answer = running.ask("POST", "/v1/environments/shop_venv/sync", body)

    assert answer.status == 400
    assert answer.document["error"]["code"] == "usage"
    assert message in answer.document["error"]["message"]


def test_a_misspelt_field_is_refused_before_anything_is_done(
    running: Running, tmp_path: Path
) -> None:
    registered(running, tmp_path)

    answer = running.ask("POST", "/v1/environments/shop_venv/rollback", '{"number": 3}')

    assert answer.document == failure(
        "usage", "number in the request is no field of it.", "There is to.", command="rollback"
    )


def test_the_document_has_every_field_of_a_sync(running: Running) -> None:
    document = running.ask("GET", "/v1/openapi.json").document

    described = document["components"]["schemas"]["SyncRequest"]["properties"]

    assert set(described) == set(SYNC_FIELDS)


def test_history_and_list_are_what_the_commands_have(running: Running, tmp_path: Path) -> None:
    registered(running, tmp_path)
    environment = running.service.root.environment("shop_venv")
    environment.record(Event(time="2026-01-01T00:00:00Z", kind="sync", generation=1))

    history = running.ask("GET", "/v1/environments/shop_venv/history").document["data"]
    listed = running.ask("GET", "/v1/environments").document["data"]["environments"]

    assert history["environment"] == "shop_venv"
    assert history["events"][0]["kind"] == "sync"
    assert [each["environment"] for each in listed] == ["shop_venv"]
    assert listed[0]["lock"] == str(tmp_path / "requirements.txt")


def test_metrics_are_prometheus_text(running: Running) -> None:
    running.service.tally.failed("lock-invalid", 0.3)

    answer = running.ask("GET", "/v1/metrics")

    assert answer.content_type.startswith("text/plain; version=0.0.4")
    assert 'venvctl_syncs_total{result="error:lock-invalid"} 1.0' in answer.document
    assert 'venvctl_sync_seconds_bucket{le="0.5"} 1.0' in answer.document
    assert "venvctl_watcher_healthy 1.0" in answer.document


def test_the_document_names_every_route_and_no_other(running: Running) -> None:
    document = running.ask("GET", "/v1/openapi.json").document

    described = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    }
    assert described == {(route.method, route.path) for route in ROUTES}
    text = json.dumps(document)
    schemas = document["components"]["schemas"].keys()
    used = set(re.findall(r"#/components/schemas/(\w+)", text))
    assert used | {"Happening"} == schemas  # which is a line of a stream, not an answer


def test_events_come_as_they_happen_and_end_with_the_daemon(running: Running) -> None:
    running.service.feed.tell("daemon", "before")
    seen: list[str] = []

    def listen() -> None:
        seen.extend(each.text("message") for each in Client(running.path).events(after=0))

    listener = threading.Thread(target=listen)
    listener.start()
    running.service.feed.tell("failed", "after", environment="shop")
    running.service.feed.close()
    listener.join(timeout=60)

    assert seen == ["before", "after"]
    assert running.ask("GET", "/v1/events?after=x").document["error"]["message"] == (
        "after='x' is not an event's number."
    )


def test_a_stream_that_has_nothing_to_tell_goes_on(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Event()

    def is_gone(conversation: Any) -> bool:
        gone: bool = was(conversation)
        looked.set()
        return gone

    was = server_module._Conversation._is_gone
    monkeypatch.setattr(server_module._Conversation, "_is_gone", is_gone)
    monkeypatch.setattr(streams, "_SILENCE", 0.01)
    seen: list[str] = []

    def listen() -> None:
        seen.extend(each.text("message") for each in Client(running.path).events())

    listener = threading.Thread(target=listen)
    listener.start()
    assert looked.wait(timeout=60)
    running.service.feed.tell("daemon", "still here")
    running.service.feed.close()
    listener.join(timeout=60)

    assert seen == ["still here"]


def test_one_connection_serves_many_requests(running: Running) -> None:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = mine = running.connect()
    for _ in range(3):
        connection.request("GET", "/v1/health")
        assert json.loads(connection.getresponse().read())["ok"]
        assert connection.sock is mine
    connection.close()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", b"400"),
        (b"GET /v1/health HTTP/1.1\r\n\r\n", b"400"),  # RFC 9112: a Host must be there
        (b"GET /v1/health HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 10_000 + b"\r\n", b"431"),
        (b"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"\x16\x03\x01" + bytes(range(160, 224)), b"400"),
    ],
)
def test_what_is_no_request_is_refused_and_the_daemon_goes_on(
    running: Running, data: bytes, status: bytes
) -> None:
    answer = running.say(data)

    assert answer.split(b" ", 2)[1] == status
    assert b'"ok": false' in answer
    assert running.ask("GET", "/v1/health").status == 200


def test_a_slow_request_is_ended_and_holds_nobody_up(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_HEADERS_SECONDS", 0.2)
    began = time.monotonic()
    with running.connect() as connection:
        connection.sendall(b"GET /v1/health HT")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert time.monotonic() - began < 9
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"The request took too long to come." in answer


def test_more_connections_than_fit_are_turned_away(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "CONNECTIONS", 1)
    with running.connect() as first:
        first.sendall(b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert first.recv(65536).startswith(b"HTTP/1.1 200 ")

        with running.connect() as second:
            answer = b"".join(iter(lambda: second.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2]) == failure(
            "failed", "The daemon has 1 connections already.", "Try again."
        )


def as_user(uid: int, groups: list[int], running: Running, *arguments: str) -> Answer:
    """What curl gets as another user."""
    done = subprocess.run(
        [
            "curl", "--silent", "--write-out", "\n%{http_code}", "--unix-socket",
            str(running.path), *arguments,
        ],
        user=uid, group=uid, extra_groups=groups, capture_output=True, text=True, check=True,
    )  # fmt: skip
    body, _, status = done.stdout.rpartition("\n")
    return Answer(int(status), "", json.loads(body))


@pytest.fixture
def open_path(running: Running) -> Running:
    """The socket's directory may be entered by anybody; the socket itself decides."""
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    return running


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
def test_members_of_the_group_may_read_and_others_nothing(open_path: Running) -> None:
    url = "http://localhost/v1/health"

    assert as_user(_NOBODY, [], open_path, url) == Answer(
        403,
        "",
        failure(
            "forbidden",
            "nobody may not do this: the daemon takes it from a member of its group alone.",
            "Add the user to the control socket's group (`usermod -aG venvctl USER`), "
            "or ask the owner.",
            command="health",
        ),
    )
    member = as_user(_NOBODY, [os.getgid()], open_path, url)
    assert (member.status, member.document["ok"]) == (200, True)
    reload = as_user(_NOBODY, [os.getgid()], open_path, "-X", "POST", "http://localhost/v1/reload")
    assert reload.document["error"]["message"] == (
        "nobody may not do this: the daemon takes it from the root's owner alone."
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
def test_nobody_learns_of_a_file_what_they_could_not_read(
    open_path: Running, tmp_path: Path
) -> None:
    secret = tmp_path / "requirements.txt"
    secret.write_text("root:x:0:0 is a secret\n")
    secret.chmod(0o600)
    registration = registered(open_path, tmp_path, "theirs")
    url = "http://localhost/v1/environments/theirs/sync"
    orders = threading.Thread(target=_do_orders, args=(open_path.service,), daemon=True)
    orders.start()

    answer = as_user(_NOBODY, [os.getgid()], open_path, "-X", "POST", url)

    assert answer.status == 422
    assert answer.document["error"]["message"] == (
        f"The lockfile {secret} can't be read by nobody."
    )
    assert "root:x" not in json.dumps(answer.document)
    mine = {**registration.to_dict(), "mount": "/elsewhere"}
    changed = as_user(
        _NOBODY, [os.getgid()], open_path, "-X", "POST", url,
        "--data", json.dumps({"registration": mine, "files": {str(secret): "six==1.16.0"}}),
    )  # fmt: skip
    assert (changed.status, changed.document["error"]["message"]) == (
        403,
        "nobody may not change what environment theirs is: it is followed for somebody else.",
    )


def test_an_order_that_nobody_waits_for_any_more_is_not_begun(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_SILENCE", 0.05)
    registered(running, tmp_path)
    with running.connect() as connection:
        connection.sendall(
            b"POST /v1/environments/shop_venv/rollout HTTP/1.1\r\nHost: x\r\n"
            b"Accept: application/x-ndjson\r\nContent-Length: 0\r\n\r\n"
        )
        assert connection.recv(12) == b"HTTP/1.1 200"
    job = running.service._queue.take()
    assert job is not None
    assert job.order is not None
    deadline = time.monotonic() + 30
    while not job.order.abandoned:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    outcome = running.service._work(job)

    assert outcome == Ended()
    assert "ordered" not in [each.kind for each in running.service.feed._kept]


def _do_orders(service: Service) -> None:
    """The part of the work loop that does orders."""
    progress = Silent()
    while True:
        with service._changed:
            while (job := service._queue.take()) is None:
                service._changed.wait(0.05)
        assert job.order is not None
        job.order.run(progress)
        with service._changed:
            service._queue.done(job)


def test_the_client_raises_what_the_daemon_answers(running: Running) -> None:
    with pytest.raises(RemoteError) as caught:
        Remote(Client(running.path)).status("shop")

    assert (caught.value.code, caught.value.exit_code) == ("usage", 2)
    assert caught.value.message == "There is no environment 'shop'."


def test_a_daemon_is_found_where_it_is_and_only_for_its_root(
    running: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VENVCTL_SOCKET", str(tmp_path / "none"))
    assert find() is None
    monkeypatch.setenv("VENVCTL_SOCKET", str(running.path))

    found = find(running.service.root.path)

    assert found is not None
    assert found.path == running.path
    assert find(tmp_path / "another") is None


def test_looking_for_a_daemon_that_is_not_there_costs_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VENVCTL_SOCKET", str(tmp_path / "none"))

    assert find() is None
    code = "import sys, venvctl.client; print('docker' in sys.modules, 'h11' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False False\n"
