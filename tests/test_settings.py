"""The configuration file: which indexes there are, and how they are reached."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from index import Fault, LocalIndex
from venvctl import indexes, settings
from venvctl.errors import ConfigurationError
from venvctl.lockfiles import Index
from venvctl.settings import ConfiguredIndex, Settings
from wheelhouse import make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable

PATH = Path("/etc/venvctl/config.toml")
_HINT = "docs/indexes.md says what can stand in it."


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes the configuration file that counts."""

    def write(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text)
        monkeypatch.setenv("VENVCTL_CONFIG", str(path))
        return path

    return write


def test_all_that_can_stand_in_it(write: Callable[[str], Path], tmp_path: Path) -> None:
    for name in ("ca.pem", "netrc"):
        (tmp_path / name).write_text("")
    path = write("""
[[index]]
name = "corp"
url = "https://pypi.corp.test/simple"
use = "default"

[[index]]
url = "https://torch.test/cpu"

[[index]]
url = "http://cache.lan:8081/simple"
use = "mirror"

[network]
insecure-hosts = ["Cache.lan:8081"]
ca-file = "ca.pem"
netrc = "netrc"
proxy = "http://user:s3cret@proxy.test:3128"
no-proxy = ["corp.test"]
""")
    found = settings.load()
    assert found == Settings(
        files=(path,),
        indexes=(
            ConfiguredIndex(name="corp", url="https://pypi.corp.test/simple", use="default"),
            ConfiguredIndex(url="https://torch.test/cpu"),
            ConfiguredIndex(url="http://cache.lan:8081/simple", use="mirror"),
        ),
        insecure_hosts=("cache.lan:8081",),
        ca_file=tmp_path / "ca.pem",
        netrc=tmp_path / "netrc",
        proxy="http://user:s3cret@proxy.test:3128",
        no_proxy=("corp.test",),
    )
    options = found.options()
    assert (options.url, options.extra) == (
        "https://pypi.corp.test/simple",
        ("https://torch.test/cpu",),
    )
    assert found.mirrors == (
        "https://pypi.corp.test/simple",
        "https://torch.test/cpu",
        "http://cache.lan:8081/simple",
    )
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ("[[indexes]]", "indexes is unknown", "The nearest known one is index."),
        (
            "[[index]]\nurl = 'https://x.test'\nurls = ''",
            "index[0].urls is unknown",
            "The nearest known one is index[0].url.",
        ),
        (
            "[network]\ninsecure_hosts = []",
            "network.insecure_hosts is unknown",
            "The nearest known one is network.insecure-hosts.",
        ),
        ("index = 'https://x.test'", "index is not written as [[index]]", _HINT),
        ("network = 1", "network is not written as [network]", _HINT),
        ("[[index]]\nname = 'corp'", "index[0].url is missing", _HINT),
        ("[[index]]\nurl = ''", "index[0].url is not a text with something in it", _HINT),
        ("[[index]]\nurl = 7", "index[0].url is not a text with something in it", _HINT),
        (
            "[[index]]\nurl = 'ftp://u:s3cret@x.test/'",
            "index[0].url is not a URL that begins with https://",
            _HINT,
        ),
        ("[[index]]\nurl = 'https://u:s3cret@x.test:x/'", "index[0].url is not a URL", _HINT),
        (
            '[[index]]\nurl = "https://x.test/\\u0007"',
            "index[0].url has characters that can't be printed",
            _HINT,
        ),
        (
            "[[index]]\nurl = 'https://x.test'\nuse = 'first'",
            "index[0].use is 'first', and none of extra, default, mirror",
            _HINT,
        ),
        (
            "[[index]]\nurl = 'https://x.test'\nuse = 'default'\n" * 2,
            'more than one index has use = "default"',
            _HINT,
        ),
        (
            "[[index]]\nurl = 'https://x.test'\nname = 'a'\n" * 2,
            "two indexes have the name 'a'",
            _HINT,
        ),
        (
            "[network]\ninsecure-hosts = 'x'",
            "network.insecure-hosts is not a list of texts",
            _HINT,
        ),
        (
            "[network]\ninsecure-hosts = ['http://x']",
            "network.insecure-hosts has 'http://x', which is no host",
            _HINT,
        ),
        (
            "[network]\nca-file = 'gone.pem'",
            "network.ca-file names {directory}/gone.pem, which is no file",
            _HINT,
        ),
        (
            "[network]\nproxy = 'proxy.test:3128'",
            "network.proxy is not a URL that begins with http://",
            _HINT,
        ),
        ("a = ", "it is not TOML: Invalid value (at end of document)", _HINT),
        ("a = " + "[" * 5000, "it is nested too deep", _HINT),
        ("# " + "x" * (1 << 20), "it has more than 1 MB", _HINT),
    ],
)
def test_what_can_not_be_used_is_named_with_its_place(
    write: Callable[[str], Path], text: str, reason: str, hint: str
) -> None:
    path = write(text)
    with pytest.raises(ConfigurationError) as caught:
        settings.load()
    reason = reason.format(directory=path.parent) if "{directory}" in reason else reason
    assert caught.value.message == f"The configuration file {path} can't be used: {reason}."
    assert caught.value.hint == hint


def test_bytes_that_are_no_text_are_named(write: Callable[[str], Path]) -> None:
    path = write("")
    path.write_bytes(b"# \xff\n")
    with pytest.raises(ConfigurationError) as caught:
        settings.load()
    assert caught.value.message == (
        f"The configuration file {path} can't be used: it is not UTF-8 (byte 2)."
    )


def test_a_file_that_the_variable_names_must_be_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VENVCTL_CONFIG", str(tmp_path / "gone.toml"))
    with pytest.raises(ConfigurationError) as caught:
        settings.load()
    assert caught.value.message == (
        f"VENVCTL_CONFIG names {tmp_path}/gone.toml, which does not exist."
    )


def test_a_directory_can_not_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VENVCTL_CONFIG", str(tmp_path))
    with pytest.raises(ConfigurationError) as caught:
        settings.load()
    assert caught.value.message == (
        f"The configuration file {tmp_path} can't be read: Is a directory."
    )


def test_where_it_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VENVCTL_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/home/ada/.config")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert settings.paths() == (PATH,)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert settings.paths() == (PATH, Path("/home/ada/.config/venvctl/config.toml"))
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")  # "must be absolute": to be ignored
    monkeypatch.setenv("HOME", "/home/bob")
    assert settings.paths() == (PATH, Path("/home/bob/.config/venvctl/config.toml"))
    monkeypatch.setenv("VENVCTL_CONFIG", "/srv/own.toml")
    assert settings.paths() == (Path("/srv/own.toml"),)


def test_a_users_file_counts_before_the_systems(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    system, own = tmp_path / "system.toml", tmp_path / "own.toml"
    monkeypatch.setattr(settings, "paths", lambda: (system, own, tmp_path / "none"))
    monkeypatch.delenv("VENVCTL_CONFIG", raising=False)
    assert settings.load() == Settings()
    system.write_text(
        "[[index]]\nurl = 'https://system.test'\nuse = 'default'\n"
        "[[index]]\nurl = 'https://more.test'\n"
        "[network]\ninsecure-hosts = ['a.lan']\nproxy = 'http://system.test:1'\n"
    )
    own.write_text(
        "[[index]]\nurl = 'https://own.test'\nuse = 'default'\n"
        "[network]\ninsecure-hosts = ['b.lan']\nproxy = 'http://own.test:1'\n"
    )
    found = settings.load()
    assert found.files == (system, own)
    assert [index.url for index in found.indexes] == ["https://own.test", "https://more.test"]
    assert (found.insecure_hosts, found.proxy) == (("b.lan", "a.lan"), "http://own.test:1")


def test_a_proxy_of_the_configuration_is_asked_where_no_variable_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    wheel = make_wheel(tmp_path, "six")
    with LocalIndex() as proxy, LocalIndex() as other:
        content = (
            f'<a href="http://nowhere.test/six-1.0-py3-none-any.whl#sha256={wheel.sha256}">x</a>'
        )
        proxy.fault("http://nowhere.test/simple/six/", Fault(content=content.encode()))
        network = Settings(
            indexes=(ConfiguredIndex(url="http://nowhere.test/simple", use="default"),),
            insecure_hosts=("nowhere.test",),
            proxy=f"http://{proxy.host}",
            no_proxy=("127.0.0.1",),
        )
        hosts = (*network.insecure_hosts, "127.0.0.1")
        with closing(network.transport(insecure_hosts=hosts)) as transport:
            source = indexes.effective(Index(), network.options())
            answer = indexes.ask(
                [("six", "1.0")], source, transport=transport, insecure_hosts=hosts
            )
            other.add(wheel.path)
            indexes.ask(
                [("six", "1.0")], Index(url=other.url), transport=transport, insecure_hosts=hosts
            )
    assert answer.files["six", "1"][0].hashes == {"sha256": wheel.sha256}
    assert [request.path for request in proxy.requests] == ["http://nowhere.test/simple/six/"]


def test_uv_is_told_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_INDEX", "UV_DEFAULT_INDEX", "PIP_INDEX_URL", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    (tmp_path / "ca.pem").write_text("OWN")
    network = Settings(
        indexes=(
            ConfiguredIndex(url="https://a.test", use="default"),
            ConfiguredIndex(url="https://b.test"),
        ),
        insecure_hosts=("c.lan",),
        ca_file=tmp_path / "ca.pem",
        netrc=tmp_path / "netrc",
        proxy="http://p.test:1",
        no_proxy=("a.test", "b.test"),
    )
    bundle = tmp_path / "certificates.pem"
    assert network.uv_environment(["https://label.test"], tmp_path) == {
        "NETRC": str(tmp_path / "netrc"),
        "HTTPS_PROXY": "http://p.test:1",
        "HTTP_PROXY": "http://p.test:1",
        "NO_PROXY": "a.test,b.test",
        "UV_INDEX": "https://label.test https://b.test",
        "UV_EXTRA_INDEX_URL": "",
        "UV_INDEX_URL": "",
        "UV_DEFAULT_INDEX": "https://a.test",
        "UV_INSECURE_HOST": "c.lan",
        "SSL_CERT_FILE": str(bundle),
    }
    assert bundle.read_text().endswith("OWN")
