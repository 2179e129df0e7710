"""Logins are found where pip and uv look for them, and given to nobody else."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from venvctl.credentials import Credentials, Login, NamedIndex, origin, redact, separate

if TYPE_CHECKING:
    from pathlib import Path

HERE = "https://packages.test/files/a.whl"
ME = Login(user="me", password="secret")  # noqa: S106 - a test's
NETRC = "machine packages.test login net password rc\n"


def find(url: str, environment: dict[str, str], *indexes: NamedIndex) -> Login | None:
    return Credentials(indexes, environment=environment).find(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@packages.test/a.whl", "https://packages.test/a.whl"),
        ("https://secret@packages.test:8443/a.whl", "https://packages.test:8443/a.whl"),
        ("https://packages.test/a.whl?sig=secret", "https://packages.test/a.whl?…"),
        ("https://packages.test/a.whl#sha256=0", "https://packages.test/a.whl"),
        ("https://me:sec@ret@packages.test/", "https://packages.test/"),
        ("https://me:secret@[", "a malformed URL"),
        ("https://me:half/other@packages.test/a.whl", "a malformed URL"),
    ],
)
def test_redacts(url: str, shown: str) -> None:
    assert redact(url) == shown


def test_takes_the_login_out_of_a_url() -> None:
    assert separate("https://m%40e:s%2Fx@packages.test/a?b=c#d") == (
        "https://packages.test/a?b=c",
        Login(user="m@e", password="s/x"),  # noqa: S106 - a test's
    )
    assert separate("https://packages.test/") == ("https://packages.test/", None)


def test_a_login_does_not_show_itself() -> None:
    assert repr(ME) == "Login()"
    assert ME.authorization == "Basic bWU6c2VjcmV0"
    assert repr(NamedIndex(name="a", url="https://me:secret@x/")) == "NamedIndex(name='a')"


def test_an_origin_is_scheme_host_and_port() -> None:
    assert origin("HTTPS://Packages.Test/x") == origin("https://packages.test:443/y")
    assert origin("https://packages.test/") != origin("http://packages.test/")


@pytest.mark.parametrize(
    "environment",
    [
        {"UV_INDEX": "other=https://x.test/ own=https://me:secret@packages.test/simple"},
        {"UV_INDEX": "https://me:secret@packages.test/simple/"},
        {"UV_DEFAULT_INDEX": "https://me:secret@packages.test/simple/?x=y"},
        {"PIP_EXTRA_INDEX_URL": "https://a.test/ https://me:secret@packages.test/simple/"},
        {
            "UV_INDEX": "my-own.one=https://packages.test/simple",
            "UV_INDEX_MY_OWN_ONE_USERNAME": "me",
            "UV_INDEX_MY_OWN_ONE_PASSWORD": "secret",
        },
    ],
)
def test_an_index_of_the_environment(environment: dict[str, str]) -> None:
    assert find(HERE, environment) == ME


@pytest.mark.parametrize(
    "url",
    [
        "http://packages.test/a.whl",
        "https://packages.test:8443/a.whl",
        "https://sub.packages.test/a.whl",
        "https://packages.test.evil.test/a.whl",
    ],
)
def test_another_origin_gets_nothing(url: str) -> None:
    assert find(url, {"PIP_INDEX_URL": "https://me:secret@packages.test/simple/"}) is None


def test_the_index_with_the_longest_path_in_common_wins() -> None:
    indexes = (
        NamedIndex(url="https://a:1@packages.test/team-a/simple"),
        NamedIndex(url="https://b:2@packages.test/team-b/simple"),
    )
    found = find("https://packages.test/team-b/files/x.whl", {}, *indexes)
    assert found == Login(user="b", password="2")  # noqa: S106 - a test's


def test_netrc(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text(NETRC)
    (tmp_path / ".netrc").chmod(0o600)
    expected = Login(user="net", password="rc")  # noqa: S106 - a test's
    assert find(HERE, {"HOME": str(tmp_path)}) == expected
    assert find(HERE, {"HOME": "/nowhere", "NETRC": str(tmp_path / ".netrc")}) == expected
    assert find("https://other.test/", {"HOME": str(tmp_path)}) is None
    (tmp_path / ".netrc").write_text("nonsense")
    assert find(HERE, {"HOME": str(tmp_path)}) is None


_KEYRING = """#!{python}
import pathlib, sys
with open({log!r}, "a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
if sys.argv[1:] == {known!r}:
    print({answer!r})
else:
    sys.exit(1)
"""


@pytest.mark.parametrize(
    ("known", "answer", "environment"),
    [
        (["get", "https://packages.test/simple", "me"], "secret", {"UV_INDEX_OWN_USERNAME": "me"}),
        (["--mode", "creds", "get", "packages.test"], "me\nsecret", {}),
    ],
)
def test_a_keyring_is_asked_once(
    tmp_path: Path, known: list[str], answer: str, environment: dict[str, str]
) -> None:
    log = tmp_path / "log"
    program = tmp_path / "keyring"
    program.write_text(
        _KEYRING.format(python=sys.executable, log=str(log), known=known, answer=answer)
    )
    program.chmod(0o755)
    credentials = Credentials(
        [NamedIndex(name="own", url="https://packages.test/simple")],
        environment={**environment, "PATH": str(tmp_path)},
    )
    assert credentials.find(HERE) is None
    assert credentials.ask_keyring(HERE) == ME
    lines = log.read_text().splitlines()
    assert lines[-1] == " ".join(known)
    assert credentials.ask_keyring("https://packages.test/other") == ME
    assert log.read_text().splitlines() == lines


def test_no_keyring_is_no_login(tmp_path: Path) -> None:
    assert shutil.which("keyring", path=str(tmp_path)) is None
    assert Credentials(environment={"PATH": str(tmp_path)}).ask_keyring(HERE) is None
