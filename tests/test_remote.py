"""What a root's daemon tells is, field by field, what is read in the root itself."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

import venvctl
from standing import NAME, Standing, two_generations
from venvctl import client as client_module
from venvctl import lockfiles, surroundings
from venvctl import remote as remote_module
from venvctl.backend import Here
from venvctl.client import Client, RemoteError
from venvctl.daemon import streams
from venvctl.daemon.api import Api
from venvctl.daemon.notify import Notifier
from venvctl.daemon.server import Server
from venvctl.daemon.service import Service
from venvctl.document import Document
from venvctl.errors import (
    ConfigurationError,
    DaemonUnreachableError,
    LockChangedError,
    StoppedError,
    VenvctlError,
)
from venvctl.plan import Action
from venvctl.progress import Silent
from venvctl.records import revive
from venvctl.remote import Remote
from venvctl.rollout import Outcome, StepResult
from venvctl.sync import SyncOptions, SyncResult

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Both:
    """One root, seen from here and by its daemon."""

    standing: Standing
    service: Service
    socket: Path

    @property
    def here(self) -> Here:
        return Here(self.standing.root)

    @property
    def remote(self) -> Remote:
        return Remote(Client(self.socket))


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    path = tmp_path / "control.sock"
    monkeypatch.setenv("VENVCTL_SOCKET", str(path))
    standing = two_generations(tmp_path)
    service = Service(standing.root, Notifier())
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(64)
    server = Server(listener, Api(service, group=os.getgid()).answer)
    server.start()
    yield Both(standing, service, path)
    service.feed.close()
    server.close()
    listener.close()


def test_what_is_read_is_the_same_from_both(both: Both) -> None:
    here, remote = both.here, both.remote

    assert remote.path == here.path
    assert remote.names() == here.names() == [NAME]
    assert remote.environments() == here.environments()
    assert remote.status(NAME) == here.status(NAME)
    assert remote.history(NAME) == here.history(NAME)
    assert len(remote.history(NAME)) == 2
    assert remote.site_packages(NAME) == here.site_packages(NAME)
    assert remote.snapshots() == here.snapshots()
    assert remote.snapshot("a") == here.snapshot("a")
    assert remote.has_snapshots(NAME)
    assert not remote.has_snapshots("another")
    assert remote.working() == here.working() == {}
    for before, after in ((None, None), (1, None), (2, 1)):
        found = remote.compare(NAME, before=before, after=after)
        assert found == here.compare(NAME, before=before, after=after)
        assert found.changes


@pytest.mark.parametrize(
    "ask",
    [
        lambda backend: backend.compare(NAME, before=None, after=7),
        lambda backend: backend.compare(NAME, before=7, after=None),
        lambda backend: backend.snapshot("c"),
        lambda backend: backend.snapshot(""),
        lambda backend: backend.snapshot("a/../b"),
        lambda backend: backend.rollback("..", to=None, progress=_Deaf()),
    ],
)
def test_what_can_not_be_answered_is_the_same_error(both: Both, ask: object) -> None:
    assert callable(ask)
    errors = []
    for backend in (both.here, both.remote):
        with pytest.raises(VenvctlError) as caught:
            ask(backend)
        errors.append((caught.value.message, caught.value.hint, caught.value.exit_code))

    assert errors[0] == errors[1]


def test_a_daemon_is_asked_where_it_would_do_the_same(both: Both) -> None:
    warnings: list[str] = []

    assert remote_module.of_own(both.standing.root.path, warnings.append) is not None
    assert remote_module.of_own(both.standing.folder, warnings.append) is None
    assert warnings == []


def test_a_daemon_that_was_told_of_another_index_is_not_asked(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = surroundings.digest()
    monkeypatch.setattr(surroundings, "digest", lambda: f"another {mine}")
    found = Client(both.socket)
    found._health = Document.parse({**found.health.fields, "surroundings": mine}, "a daemon")
    monkeypatch.setattr(client_module, "find", lambda _root: found)

    assert remote_module.of_own(both.standing.root.path, print) is None


def test_a_daemon_of_another_version_is_told_of_and_not_asked(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Client(both.socket)
    found._health = Document.parse({**found.health.fields, "version": "0.0.1"}, "a daemon")
    monkeypatch.setattr(client_module, "find", lambda _root: found)
    warnings: list[str] = []

    assert remote_module.of_own(both.standing.root.path, warnings.append) is None
    (warning,) = warnings
    assert warning == (
        f"The daemon on {both.socket} is 0.0.1, and this is {venvctl.__version__}: it is not "
        "asked. Have it started again (`systemctl restart venvctl`)."
    )


def test_a_request_that_an_older_daemon_does_not_know_says_so(both: Both) -> None:
    with pytest.raises(DaemonUnreachableError) as caught:
        Client(both.socket).ask("GET", "/v1/tomorrow")

    assert caught.value.message == (
        f"The daemon on {both.socket} does not know this request: it is {venvctl.__version__}, "
        f"and this is {venvctl.__version__}."
    )
    assert caught.value.hint == "Have it started again: `systemctl restart venvctl`."


def test_a_daemon_that_is_being_stopped_is_none_that_failed(both: Both) -> None:
    both.service.stop()

    with pytest.raises(StoppedError) as caught:
        both.remote.roll_out(NAME, _Deaf())

    assert (caught.value.message, caught.value.exit_code) == ("The daemon is being stopped.", 3)


def test_a_lock_that_is_being_saved_is_not_handed_over(both: Both) -> None:
    registration = both.standing.root.registry.load(NAME)
    lock = registration.specification.lock
    lock.write_text("")
    at_rest = {str(lock): "0" * 64}
    options = SyncOptions(read_bytes=lockfiles.settled(lockfiles.read_file, at_rest))

    with pytest.raises(LockChangedError):
        both.remote.sync(NAME, registration, options, Silent())


def test_a_daemon_that_hangs_is_not_waited_for(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_WORK_SECONDS", 0.3)

    with pytest.raises(DaemonUnreachableError) as caught:
        both.remote.roll_out(NAME, _Deaf())  # nobody does the work here

    assert caught.value.message == f"The daemon on {both.socket} went away: timed out."


def test_a_daemon_that_works_for_long_says_that_it_is_there(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_WORK_SECONDS", 5.0)
    monkeypatch.setattr(streams, "_SILENCE", 0.02)
    advances: list[int] = []

    class Watching(_Deaf):
        def advance(self, amount: int) -> None:
            advances.append(amount)
            if len(advances) == 3:
                both.service.stop()
                job = both.service._queue.take()
                assert job is not None
                assert job.order is not None
                job.order.refuse(StoppedError("It was long enough."))

    with pytest.raises(StoppedError):
        both.remote.roll_out(NAME, Watching())

    assert advances[:3] == [0, 0, 0]


class _Deaf:
    def stage(self, name: str, *, total: int = 0, unit: str = "") -> None: ...
    def advance(self, amount: int) -> None: ...
    def warn(self, message: str) -> None: ...


def test_what_only_its_owner_may_is_told_to_nobody_else() -> None:
    error = RemoteError("no", hint="", code="forbidden")

    assert error.exit_code == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    name: str
    later: tuple[str, ...] = ()
    more: dict[str, str] = field(default_factory=dict)


def test_records_are_revived_with_the_defaults_of_what_is_not_there() -> None:
    document = Document.parse({"name": "a", "new": 1}, "an answer")

    assert revive(_Known, document) == _Known(name="a")
    with pytest.raises(ConfigurationError) as caught:
        revive(_Known, Document.parse({"later": []}, "an answer"))
    assert caught.value.message == "name is missing in an answer."


def test_parts_of_records_are_revived_too() -> None:
    step = {"name": "web", "action": "restart", "outcome": "done", "because": "", "seconds": 1}
    document = Document.parse(
        {
            "environment": "e",
            "action": "build",
            "because": "x",
            "steps": [step],
            "seconds": {"lock": 0.5},
        },
        "an answer",
    )

    def parts(each: Document) -> StepResult:
        return revive(StepResult, each, outcome=Outcome)

    assert revive(SyncResult, document, action=Action, steps=parts) == SyncResult(
        environment="e",
        action=Action.BUILD,
        because="x",
        steps=(
            StepResult(name="web", action="restart", outcome=Outcome.DONE, because="", seconds=1.0),
        ),
        seconds={"lock": 0.5},
    )
    wrong = Document.parse({**document.fields, "action": "dance"}, "an answer")
    with pytest.raises(ConfigurationError) as caught:
        revive(SyncResult, wrong, action=Action, steps=parts)
    assert caught.value.message == "action in an answer is not a word that is known here."
