"""Indexes: one page asked for each name, and every file of a version told."""

from __future__ import annotations

import dataclasses
import gzip
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from index import Fault, LocalIndex
from venvctl import indexes, listing
from venvctl.credentials import NamedIndex
from venvctl.errors import LockError, UnavailableError
from venvctl.indexes import Answer, IndexOptions
from venvctl.lockfiles import Index
from venvctl.settings import Settings
from wheelhouse import make_sdist, make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCAL = ("127.0.0.1",)


@pytest.fixture
def index() -> Iterator[LocalIndex]:
    with LocalIndex() as running:
        yield running


def ask(pins: list[tuple[str, str]], source: Index, hosts: tuple[str, ...] = LOCAL) -> Answer:
    urls = [NamedIndex(url=url) for url in (source.url, *source.extra) if url]
    with closing(Settings().transport(urls, hosts)) as transport:
        return indexes.ask(pins, source, transport=transport, insecure_hosts=hosts)


def pages(index: LocalIndex) -> list[str]:
    return sorted(request.path for request in index.requests)


def test_every_file_of_a_version_is_listed(index: LocalIndex, tmp_path: Path) -> None:
    wheels = [
        make_wheel(tmp_path, "six", tag=tag)
        for tag in ("py3-none-any", "cp311-cp311-win_amd64", "cp313-cp313-macosx_11_0_arm64")
    ]
    for wheel in wheels:
        index.add(wheel.path)
    index.add(make_sdist(tmp_path, "six"))
    index.add(make_wheel(tmp_path, "six", "2.0").path)
    source = Index(url=index.url)
    answer = ask([("six", "1.0")], source)
    files = answer.files["six", "1"]
    assert [file.name for file in files] == [
        "six-1.0-cp311-cp311-win_amd64.whl",
        "six-1.0-cp313-cp313-macosx_11_0_arm64.whl",
        "six-1.0-py3-none-any.whl",
        "six-1.0.tar.gz",
    ]
    assert files[2] == indexes.IndexFile(
        name=wheels[0].file,
        url=index.file_url(wheels[0].file),
        hashes={"sha256": wheels[0].sha256},
        size=wheels[0].size,
    )
    assert answer.reasons == {}
    assert pages(index) == ["/simple/six/"]


def test_nothing_is_built_to_ask(index: LocalIndex, tmp_path: Path) -> None:
    witness = tmp_path / "built"
    index.add(make_sdist(tmp_path, "evil", backend=f"open({str(witness)!r}, 'w')\n"))
    source = Index(url=index.url)
    answer = ask([("evil", "1.0")], source)
    assert [file.name for file in answer.files["evil", "1"]] == ["evil-1.0.tar.gz"]
    assert not witness.exists()
    assert pages(index) == ["/simple/evil/"]


def test_every_pin_that_the_index_lacks_is_found(index: LocalIndex, tmp_path: Path) -> None:
    for name in ("a1", "b2", "c3", "d4"):
        index.add(make_wheel(tmp_path, name).path)
    pins = [("a1", "1.0"), ("b2", "7.0"), ("c3", "1.0"), ("nobody", "1.0"), ("d4", "1.0")]
    answer = ask(pins, Index(url=index.url))
    assert sorted(answer.files) == [("a1", "1"), ("c3", "1"), ("d4", "1")]
    assert answer.reasons == {
        ("b2", "7"): "it has no version 7.0 of b2",
        ("nobody", "1"): "it has no project nobody",
    }


def test_an_index_that_is_down_is_named() -> None:
    with LocalIndex() as index:
        url = index.url_with("user", "s3cret")
    with pytest.raises(UnavailableError) as caught:
        ask([(f"p{number}", "1.0") for number in range(7)], Index(url=url))
    assert caught.value.message == (
        f"The index {index.url} can't be asked for p0, p1, p2, p3, p4 and 2 more: it gives no"
        " answer (Connection refused)."
    )


def test_credentials_are_used_and_kept_nowhere(tmp_path: Path) -> None:
    with LocalIndex(user="user", password="s3cret") as index:  # noqa: S106 - made up
        index.add(make_wheel(tmp_path, "six").path)
        url = index.url_with("user", "s3cret")
        source = Index(url=url)
        answer = ask([("six", "1.0")], source)
        (file,) = answer.files["six", "1"]
        assert file.url == index.file_url("six-1.0-py3-none-any.whl")
        with pytest.raises(UnavailableError) as caught:
            ask([("six", "1.0")], Index(url=index.url))
    assert caught.value.message == (
        f"The index {index.url} can't be asked for six: it answers 401 Unauthorized."
    )
    assert caught.value.hint == (
        "Give it a login: in netrc, in UV_INDEX_NAME_USERNAME and _PASSWORD, or in a keyring"
        " (docs/indexes.md)."
    )


def test_all_indexes_count_alike(index: LocalIndex, tmp_path: Path) -> None:
    index.add(make_wheel(tmp_path, "six").path)
    with LocalIndex() as extra:
        extra.add(make_wheel(tmp_path, "six", "0.5").path)
        extra.add(make_wheel(tmp_path, "idna").path)
        source = Index(url=index.url, extra=(extra.url,))
        pins = [("six", "1.0"), ("idna", "1.0")]
        answer = ask(pins, source)
    assert sorted(answer.files) == [("idna", "1"), ("six", "1")]


def test_legacy_sdists_are_left_out_beside_wheels(index: LocalIndex, tmp_path: Path) -> None:
    index.add(make_wheel(tmp_path, "six").path)
    index.add(make_sdist(tmp_path, "six").rename(tmp_path / "six-1.0.tar.bz2"))
    source = Index(url=index.url)
    answer = ask([("six", "1.0")], source)
    assert [file.name for file in answer.files["six", "1"]] == ["six-1.0-py3-none-any.whl"]


def test_links_alone(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "wheels", "six")
    source = Index(disabled=True, find_links=(str(tmp_path / "wheels"),))
    (file,) = ask([("six", "1.0")], source, ()).files["six", "1"]
    assert file == indexes.IndexFile(
        name=wheel.file, url="", path=str(wheel.path), hashes={"sha256": wheel.sha256}
    )


@pytest.mark.parametrize(
    "source",
    [Index(url="http://u:s3cret@x.test/simple"), Index(extra=("http://u:s3cret@x.test/simple",))],
)
def test_an_index_must_be_secure(source: Index) -> None:
    with pytest.raises(LockError) as caught:
        ask([("six", "1.0")], source, ())
    assert caught.value.message == (
        "The index: 'http://x.test/simple' is not secure: it is plain HTTP."
    )


def test_a_failing_index_is_not_an_answer(index: LocalIndex, tmp_path: Path) -> None:
    index.add(make_wheel(tmp_path, "six").path)
    index.fault("/simple/six/", Fault(status=500))
    with pytest.raises(UnavailableError) as caught:
        ask([("six", "1.0")], Index(url=index.url))
    assert caught.value.message == (
        f"The index {index.url} can't be asked for six: it answers 500 Internal Server Error."
    )
    assert pages(index) == ["/simple/six/"] * 3


def test_what_an_index_forbids_it_does_not_have(index: LocalIndex, tmp_path: Path) -> None:
    index.add(make_wheel(tmp_path, "six").path)
    with LocalIndex() as extra:
        extra.add(make_wheel(tmp_path, "six").path)
        extra.fault("/simple/six/", Fault(status=403))
        answer = ask([("six", "1.0")], Index(url=index.url, extra=(extra.url,)))
    assert [file.name for file in answer.files["six", "1"]] == ["six-1.0-py3-none-any.whl"]


def test_one_of_several_indexes_that_is_down_is_an_error(index: LocalIndex, tmp_path: Path) -> None:
    index.add(make_wheel(tmp_path, "six").path)
    with LocalIndex() as extra:
        pass
    with pytest.raises(UnavailableError) as caught:
        ask([("six", "1.0")], Index(url=index.url, extra=(extra.url,)))
    assert caught.value.message == (
        f"The index {extra.url} can't be asked for six: it gives no answer (Connection refused)."
    )


def test_a_file_without_a_hash_is_refused(index: LocalIndex, tmp_path: Path) -> None:
    index.add(make_wheel(tmp_path, "six").path)
    index.hashes = False
    for index.html_only in (False, True):
        answer = ask([("six", "1.0")], Index(url=index.url))
        assert answer.reasons == {
            ("six", "1"): "it tells no hash of six-1.0-py3-none-any.whl, so nothing vouches for the"
            " file"
        }


@pytest.mark.parametrize("html_only", [True, False])
def test_half_a_page_is_no_page(index: LocalIndex, tmp_path: Path, *, html_only: bool) -> None:
    index.html_only = html_only
    for build in range(20):
        index.add(make_wheel(tmp_path, "six", build=f"{build}").path)
    whole = [("six", "1.0")]
    index.fault("/simple/six/", Fault(truncate_at=100, times=1))
    assert len(ask(whole, Index(url=index.url)).files["six", "1"]) == 20  # it came at the second
    index.fault("/simple/six/", Fault(truncate_at=100))
    with pytest.raises(UnavailableError) as caught:
        ask(whole, Index(url=index.url))
    start = f"The index {index.url} can't be asked for six: it ends after 100 of "
    assert caught.value.message.startswith(start)


def test_a_page_that_drips_is_given_up(
    index: LocalIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_SECONDS", 0.2)
    index.add(make_wheel(tmp_path, "six").path)
    index.fault("/simple/six/", Fault(drip=0.01))
    with pytest.raises(UnavailableError) as caught:
        ask([("six", "1.0")], Index(url=index.url))
    assert caught.value.message == (
        f"The index {index.url} can't be asked for six: it did not end within 0.2 seconds."
    )


def test_a_page_that_is_a_bomb_is_refused(
    index: LocalIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_PAGE_SIZE", 1 << 20)
    bomb = gzip.compress(b" " * (64 << 20))
    index.fault("/simple/six/", Fault(content=bomb, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(UnavailableError) as caught:
        ask([("six", "1.0")], Index(url=index.url))
    assert "can't be asked for six: it is a page of more than " in caught.value.message


def test_an_index_that_says_when_to_come_back_is_waited_for(
    index: LocalIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("venvctl.listing.time.sleep", waits.append)
    index.add(make_wheel(tmp_path, "six").path)
    later = {"Retry-After": "7"}
    index.fault("/simple/six/", Fault(status=429, headers=later, times=2))
    assert ("six", "1") in ask([("six", "1.0")], Index(url=index.url)).files
    assert waits == [7.0, 7.0]
    index.fault("/simple/six/", Fault(status=429, headers={"Retry-After": "3600"}))
    index.requests.clear()
    with pytest.raises(UnavailableError) as caught:
        ask([("six", "1.0")], Index(url=index.url))
    assert caught.value.message == (
        f"The index {index.url} can't be asked for six: it answers 429 Too Many Requests."
    )
    assert pages(index) == ["/simple/six/"]


def test_no_page_but_rubbish(index: LocalIndex) -> None:
    index.fault("/simple/six/", Fault(content=b"{"))
    with pytest.raises(UnavailableError) as caught:
        ask([("six", "1.0")], Index(url=index.url))
    assert caught.value.message == (
        f"The index {index.url} can't be asked for six: it is not a page of the simple repository"
        " API."
    )


def test_the_lock_names_indexes_before_the_configuration_and_that_before_uv(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"):
        monkeypatch.delenv(name, raising=False)
    assert indexes.effective(Index(), IndexOptions()) == Index()
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.test/")
    monkeypatch.setenv("UV_INDEX", "https://uv-1.test/ https://uv-2.test/")
    assert indexes.effective(Index(), IndexOptions()) == Index(
        url="https://uv.test/", extra=("https://uv-1.test/", "https://uv-2.test/")
    )
    configured = IndexOptions(url="https://own.test/", extra=("https://own-1.test/",))
    assert indexes.effective(Index(), configured) == Index(
        url="https://own.test/",
        extra=("https://own-1.test/", "https://uv-1.test/", "https://uv-2.test/"),
    )
    named = Index(url="https://lock.test/", extra=("https://lock-1.test/",))
    assert indexes.effective(named, dataclasses.replace(configured, extra=())) == Index(
        url="https://lock.test/",
        extra=("https://lock-1.test/", "https://uv-1.test/", "https://uv-2.test/"),
    )
    alone = Index(disabled=True, find_links=("/wheels",))
    assert indexes.effective(alone, configured) == alone
