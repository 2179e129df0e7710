"""Where the engine is, by the Docker command line's own settings."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from venvctl.engine.endpoint import client_settings, endpoint
from venvctl.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


def make_context(settings: Path, name: str, host: str) -> Path:
    folder = settings / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    document = {"Name": name, "Endpoints": {"docker": {"Host": host}}}
    (folder / "meta.json").write_text(json.dumps(document))
    return folder / "meta.json"


def test_without_settings_it_is_the_default_socket() -> None:
    assert endpoint() == "unix:///var/run/docker.sock"


def test_the_home_directory_has_the_settings_by_default(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_CONFIG")
    monkeypatch.setenv("HOME", str(settings))
    (settings / ".docker").mkdir()
    (settings / ".docker" / "config.json").write_text('{"currentContext": "mine"}')
    assert client_settings().directory == settings / ".docker"
    assert client_settings().context == "mine"


def test_docker_host_comes_first(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_context(settings, "mine", "unix:///run/mine.sock")
    monkeypatch.setenv("DOCKER_CONTEXT", "mine")
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/other.sock")
    assert endpoint() == "unix:///run/other.sock"


def test_then_the_context_of_the_environment_then_that_of_the_settings(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_context(settings, "mine", "unix:///run/mine.sock")
    make_context(settings, "other", "unix:///run/other.sock")
    (settings / "config.json").write_text('{"currentContext": "mine"}')
    assert endpoint() == "unix:///run/mine.sock"
    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    assert endpoint() == "unix:///run/other.sock"
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert endpoint() == "unix:///var/run/docker.sock"


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:2375", "ssh://root@host.invalid"])
def test_a_remote_engine_is_refused(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(EngineError) as caught:
        endpoint()
    assert caught.value.message == (
        f"The Docker Engine at {host} (from DOCKER_HOST) is not on a Unix socket of this host,"
        " and remote engines are not supported yet."
    )
    assert caught.value.hint == "Unset DOCKER_HOST to use this host's engine."


def test_a_remote_context_is_refused(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_context(settings, "far", "ssh://root@host.invalid")
    monkeypatch.setenv("DOCKER_CONTEXT", "far")
    with pytest.raises(EngineError) as caught:
        endpoint()
    assert caught.value.message == (
        "The Docker Engine at ssh://root@host.invalid (from the Docker context 'far') is not on a"
        " Unix socket of this host, and remote engines are not supported yet."
    )
    assert caught.value.hint == "Run `docker context use default` to use this host's engine."


def test_an_unknown_context(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "gone")
    folder = hashlib.sha256(b"gone").hexdigest()
    with pytest.raises(EngineError) as caught:
        endpoint()
    assert caught.value.message == (
        f"The Docker context 'gone' does not exist: no {settings}/contexts/meta/{folder}/meta.json."
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [("[]", "not a JSON object"), ("{", "Expecting property name enclosed in double quotes")],
)
def test_settings_that_are_broken(settings: Path, text: str, reason: str) -> None:
    (settings / "config.json").write_text(text)
    with pytest.raises(EngineError) as caught:
        endpoint()
    assert caught.value.message.startswith(
        f"The Docker settings {settings}/config.json can't be read: {reason}"
    )
