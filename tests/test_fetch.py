"""Downloads against a real index that misbehaves: what arrives is right, or nothing does."""

from __future__ import annotations

import base64
import hashlib
import os
import ssl
import subprocess
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from index import Fault, LocalIndex
from venvctl import disk
from venvctl.errors import (
    ChangedFileError,
    ConfigurationError,
    DiskFullError,
    IntegrityError,
    UnavailableError,
)
from venvctl.fetch import FetchSettings, NamedIndex, fetch
from venvctl.progress import Silent
from venvctl.selection import SelectedFile
from venvctl.settings import Settings
from venvctl.store import Store
from wheelhouse import BuiltWheel, make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BIG = b"content that takes more than one packet " * 25_000  # 1 MB


class Watcher(Silent):
    """Keeps what a progress was told."""

    def __init__(self) -> None:
        super().__init__()
        self.stages: list[tuple[str, int, str]] = []
        self.advanced = 0

    def stage(self, name: str, *, total: int = 0, unit: str = "") -> None:
        self.stages.append((name, total, unit))

    def advance(self, amount: int) -> None:
        self.advanced += amount


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No proxies, credentials or indexes of whoever runs the tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "NETRC"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX", "UV_DEFAULT_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def index() -> Iterator[LocalIndex]:
    with LocalIndex() as index:
        yield index


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "root")


def wheel_of(tmp_path: Path, name: str, *, content: bytes = BIG) -> BuiltWheel:
    return make_wheel(tmp_path / "wheels", name, files={f"{name}.bin": os.urandom(8) + content})


def selected(wheel: BuiltWheel, *urls: str, size: int | None = None) -> SelectedFile:
    return SelectedFile(
        name=wheel.name,
        version=wheel.version,
        file=wheel.file,
        kind="wheel",
        sha256=wheel.sha256,
        urls=urls,
        size=size,
        place="lock.txt:1",
    )


def settings_for(*indexes: LocalIndex, **changes: object) -> FetchSettings:
    quick = FetchSettings(
        insecure_hosts=frozenset(index.host for index in indexes),
        backoff=0.001,
        stall=0.5,
        deadline=20.0,
    )
    return replace(quick, **changes)  # type: ignore[arg-type]  # tests alone name fields by text


def get(store: Store, settings: FetchSettings, *files: SelectedFile) -> None:
    fetch(files, store, settings=settings, progress=Silent())


def assert_nothing_left(store: Store, *there: str) -> None:
    """Nothing lies about in tmp, and the store has these files and is sound."""
    assert list((store.root / "tmp").iterdir()) == []
    assert sorted(file.path.name for file in store.iterate()) == sorted(there)
    assert store.verify(Silent()) == []


def unavailable(store: Store, settings: FetchSettings, *files: SelectedFile) -> str:
    with pytest.raises(UnavailableError) as caught:
        get(store, settings, *files)
    return caught.value.message


def test_fetches_what_is_missing_and_asks_for_nothing_else(
    index: LocalIndex, store: Store, tmp_path: Path
) -> None:
    wheels = [wheel_of(tmp_path, name) for name in ("alpha", "beta", "gamma")]
    files = [selected(wheel, index.add(wheel.path), size=wheel.size) for wheel in wheels]
    store.add(wheels[1].path, file=wheels[1].file, sha256=wheels[1].sha256)
    watcher = Watcher()
    fetch(files, store, settings=settings_for(index), progress=watcher)
    total = wheels[0].size + wheels[2].size
    assert watcher.stages == [("fetching", total, "bytes")]
    assert watcher.advanced == total
    assert sorted(request.path for request in index.requests) == [
        f"/files/{wheels[0].file}",
        f"/files/{wheels[2].file}",
    ]
    assert_nothing_left(store, *(wheel.file for wheel in wheels))
    fetch(files, store, settings=settings_for(offline=True), progress=watcher)


def test_names_every_missing_file_at_once_and_keeps_the_others(
    index: LocalIndex, store: Store, tmp_path: Path
) -> None:
    here, gone, nowhere = (wheel_of(tmp_path, name) for name in ("here", "gone", "nowhere"))
    message = unavailable(
        store,
        settings_for(index),
        selected(nowhere),
        selected(here, index.add(here.path)),
        selected(gone, index.file_url(gone.file)),
    )
    assert message == (
        "2 files can't be had:\n"
        f"  gone 1.0 ({gone.file}): {index.file_url(gone.file)} answers 404 Not Found\n"
        f"  nowhere 1.0 ({nowhere.file}): the lock names no URL, and no index is configured"
    )
    assert len(index.requested(gone.file)) == 1
    assert_nothing_left(store, here.file)


def test_asks_nobody_offline(index: LocalIndex, store: Store, tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    file = selected(wheel, index.add(wheel.path))
    with pytest.raises(UnavailableError) as caught:
        get(store, settings_for(index, offline=True), file)
    assert caught.value.message == (
        f"1 file can't be had:\n  alpha 1.0 ({wheel.file}): it is not in the store, and the "
        "network is off"
    )
    assert caught.value.hint == "Run it again with the network on, without --offline."
    assert index.requests == []


@pytest.mark.parametrize("size", [True, False])
def test_content_of_another_hash_is_refused_at_once(
    index: LocalIndex, store: Store, tmp_path: Path, *, size: bool
) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    url = index.add(wheel.path)
    other = bytes(wheel.size)
    index.fault(wheel.file, Fault(content=other))
    with pytest.raises(IntegrityError) as caught:
        get(store, settings_for(index), selected(wheel, url, size=wheel.size if size else None))
    assert caught.value.message == (
        f"alpha 1.0 ({wheel.file}) has the SHA-256 {_sha256(other)} at {url}, and not "
        f"{wheel.sha256} as locked in lock.txt:1."
    )
    assert len(index.requested(wheel.file)) == 1
    assert_nothing_left(store)


def test_a_file_that_changed_since_it_was_recorded_has_its_own_error(
    index: LocalIndex, store: Store, tmp_path: Path
) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    file = replace(selected(wheel, index.add(wheel.path)), recorded=True)
    index.fault(wheel.file, Fault(content=b"other"))
    with pytest.raises(ChangedFileError) as caught:
        get(store, settings_for(index), file)
    assert caught.value.message.startswith("The index now serves another file as alpha-1.0-py3")


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_size_that_is_not_the_locks_is_refused(
    index: LocalIndex, store: Store, tmp_path: Path, difference: int
) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    file = selected(wheel, index.add(wheel.path), size=wheel.size + difference)
    with pytest.raises(IntegrityError) as caught:
        get(store, settings_for(index), file)
    assert caught.value.message == (
        f"alpha 1.0 ({wheel.file}) has {wheel.size:,} bytes, and not {wheel.size + difference:,} "
        "as locked in lock.txt:1."
    )
    assert_nothing_left(store)


def test_a_size_without_end_is_refused(index: LocalIndex, store: Store, tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    message = unavailable(
        store, settings_for(index, maximum_size=1000), selected(wheel, index.add(wheel.path))
    )
    assert message == f"alpha 1.0 ({wheel.file}) has {wheel.size:,} bytes; 1,000 are allowed."


@pytest.mark.parametrize("ignore_range", [True, False])
def test_goes_on_where_a_download_was_cut(
    index: LocalIndex, store: Store, tmp_path: Path, *, ignore_range: bool
) -> None:
    wheel = wheel_of(tmp_path, "alpha", content=_noise(600_000))
    file = selected(wheel, index.add(wheel.path), size=wheel.size)
    index.fault(wheel.file, Fault(truncate_at=400_000, times=1, ignore_range=ignore_range))
    watcher = Watcher()
    fetch([file], store, settings=settings_for(index), progress=watcher)
    first, second = index.requested(wheel.file)
    assert "range" not in first.headers
    assert second.headers["range"] == "bytes=400000-"
    assert second.headers["if-range"] == f'"{wheel.sha256}"'
    assert watcher.advanced == wheel.size
    assert_nothing_left(store, wheel.file)


def test_takes_a_whole_answer_to_a_range(index: LocalIndex, store: Store, tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path, "alpha", content=_noise(600_000))
    file = selected(wheel, index.add(wheel.path), size=wheel.size)
    index.fault(wheel.file, Fault(truncate_at=400_000, times=1))
    # The first request is cut; every later one is answered as a whole, whatever it asks for.
    done = threading.Event()

    def turn() -> None:
        deadline = time.monotonic() + 60
        while len(index.requested(wheel.file)) < 1 and time.monotonic() < deadline:
            done.wait(0.001)
        index.fault(wheel.file, Fault(ignore_range=True))

    helper = threading.Thread(target=turn)
    helper.start()
    get(store, settings_for(index, backoff=0.2), file)
    helper.join()
    assert_nothing_left(store, wheel.file)


def test_a_range_from_another_offset_is_not_believed(
    index: LocalIndex, store: Store, tmp_path: Path
) -> None:
    wheel = wheel_of(tmp_path, "alpha", content=_noise(600_000))
    file = selected(wheel, index.add(wheel.path), size=wheel.size)
    index.fault(wheel.file, Fault(truncate_at=400_000, wrong_range=300_000, times=2))
    get(store, settings_for(index), file)
    ranges = [request.headers.get("range") for request in index.requested(wheel.file)]
    assert ranges == [None, "bytes=400000-", None]
    assert_nothing_left(store, wheel.file)


def test_gives_up_a_download_that_is_always_cut(
    index: LocalIndex, store: Store, tmp_path: Path
) -> None:
    wheel = wheel_of(tmp_path, "alpha", content=_noise(600_000))
    url = index.add(wheel.path)
    index.fault(wheel.file, Fault(truncate_at=1000))
    message = unavailable(store, settings_for(index, attempts=3), selected(wheel, url))
    assert message == (
        f"1 file can't be had:\n  alpha 1.0 ({wheel.file}): {url} ends after 1,000 of "
        f"{wheel.size:,} bytes, 3 times"
    )
    assert len(index.requested(wheel.file)) == 3
    assert_nothing_left(store)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 408])
def test_asks_again_after_an_answer_that_may_pass(
    index: LocalIndex, store: Store, tmp_path: Path, status: int
) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    index.fault(wheel.file, Fault(status=status, times=3))
    get(store, settings_for(index), selected(wheel, index.add(wheel.path)))
    assert len(index.requested(wheel.file)) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451])
def test_other_refusals_are_final(
    index: LocalIndex, store: Store, tmp_path: Path, status: int
) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    url = index.add(wheel.path)
    index.fault(wheel.file, Fault(status=status))
    assert f": {url} answers {status} " in unavailable(
        store, settings_for(index), selected(wheel, url)
    )
    assert len(index.requested(wheel.file)) == 1


def test_waits_as_long_as_the_index_asks(index: LocalIndex, store: Store, tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    index.fault(wheel.file, Fault(status=429, headers={"Retry-After": "1"}, times=1))
    start = time.monotonic()
    get(store, settings_for(index), selected(wheel, index.add(wheel.path)))
    assert time.monotonic() - start >= 1.0


def test_does_not_wait_beyond_the_deadline(index: LocalIndex, store: Store, tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    url = index.add(wheel.path)
    index.fault(wheel.file, Fault(status=503, headers={"Retry-After": "3600"}))
    start = time.monotonic()
    message = unavailable(store, settings_for(index), selected(wheel, url))
    assert time.monotonic() - start < 15
    assert message == (
        f"1 file can't be had:\n  alpha 1.0 ({wheel.file}): {url} answers 503 Service Unavailable, "
        "and there is no time to wait longer"
    )


@pytest.mark.parametrize("fault", [Fault(stall_headers=True), Fault(stall_after=1000)])
def test_a_silent_index_is_given_up(
    index: LocalIndex, store: Store, tmp_path: Path, fault: Fault
) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    url = index.add(wheel.path)
    index.fault(wheel.file, fault)
    start = time.monotonic()
    message = unavailable(store, settings_for(index, attempts=2), selected(wheel, url))
    assert time.monotonic() - start < 30
    assert message.endswith(", 2 times")
    assert len(index.requested(wheel.file)) == 2
    assert_nothing_left(store)


def test_a_dripping_index_is_given_up(index: LocalIndex, store: Store, tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path, "alpha", content=_noise(100_000))
    url = index.add(wheel.path)
    index.fault(wheel.file, Fault(drip=0.05))
    start = time.monotonic()
    message = unavailable(store, settings_for(index, attempts=1), selected(wheel, url))
    assert time.monotonic() - start < 30
    assert message == (
        f"1 file can't be had:\n  alpha 1.0 ({wheel.file}): {url} sends less than 1024 bytes/s, "
        "1 times"
    )


def test_headers_that_drip_are_given_up(index: LocalIndex, store: Store, tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    url = index.add(wheel.path)
    index.fault(wheel.file, Fault(drip_headers=0.05))
    start = time.monotonic()
    message = unavailable(store, settings_for(index, attempts=1), selected(wheel, url))
    assert time.monotonic() - start < 30
    assert message.startswith(f"1 file can't be had:\n  alpha 1.0 ({wheel.file}): {url} gives no")


def test_nobody_there(store: Store, tmp_path: Path) -> None:
    with LocalIndex() as index:
        wheel = wheel_of(tmp_path, "alpha")
        url = index.add(wheel.path)
    message = unavailable(store, settings_for(index, attempts=2), selected(wheel, url))
    assert message == (
        f"1 file can't be had:\n  alpha 1.0 ({wheel.file}): {url} gives no answer (Connection "
        "refused), 2 times"
    )


def test_plain_http_is_refused_unless_its_host_is_named(
    index: LocalIndex, store: Store, tmp_path: Path
) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    url = index.add(wheel.path)
    assert unavailable(store, settings_for(), selected(wheel, url)) == (
        f"1 file can't be had:\n  alpha 1.0 ({wheel.file}): {url} is plain HTTP, and its host is "
        "not named insecure"
    )
    assert index.requests == []
    get(store, settings_for(insecure_hosts=frozenset({"127.0.0.1"})), selected(wheel, url))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "no-url", "http://["])
def test_other_schemes_are_refused(store: Store, tmp_path: Path, url: str) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    message = unavailable(store, settings_for(), selected(wheel, url))
    assert "is not a URL that can be asked" in message or ": and not https:" in message


def test_takes_the_next_url_when_one_fails(index: LocalIndex, store: Store, tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    url = index.add(wheel.path)
    get(store, settings_for(index), selected(wheel, index.file_url("gone"), url))
    assert_nothing_left(store, wheel.file)


@pytest.mark.parametrize("html_only", [True, False])
def test_finds_a_lost_file_in_a_mirror_by_its_hash(
    index: LocalIndex, store: Store, tmp_path: Path, *, html_only: bool
) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    with LocalIndex(html_only=html_only) as mirror:
        renamed = tmp_path / "alpha-1.0-1-py3-none-any.whl"
        renamed.write_bytes(wheel.path.read_bytes())
        mirror.add(make_wheel(tmp_path / "other", "alpha", "2.0").path)
        mirror.add(renamed)
        settings = settings_for(index, mirror, mirrors=(mirror.url,))
        get(store, settings, selected(wheel, index.file_url(wheel.file)))
        assert [request.path for request in mirror.requests] == [
            "/simple/alpha/",
            f"/files/{renamed.name}",
        ]
    assert_nothing_left(store, wheel.file)


def test_a_host_behind_a_firewall_is_soon_left_for_a_mirror(
    index: LocalIndex, store: Store, tmp_path: Path
) -> None:
    wheels = [wheel_of(tmp_path, name) for name in ("alpha", "beta", "gamma")]
    with LocalIndex() as silent:
        for wheel in wheels:
            index.add(wheel.path)
            silent.fault(wheel.file, Fault(stall_headers=True))
        files = [selected(wheel, silent.file_url(wheel.file)) for wheel in wheels]
        settings = settings_for(index, silent, mirrors=(index.url,), parallel=1)
        get(store, settings, *files)
        # Twice for the first of them, and not at all for the others.
        assert len(silent.requests) == 2
    assert_nothing_left(store, *(wheel.file for wheel in wheels))


def test_a_host_that_was_silent_is_asked_again_when_the_mirrors_have_failed(
    index: LocalIndex, store: Store, tmp_path: Path
) -> None:
    with LocalIndex() as gone:
        pass
    file = selected(wheel_of(tmp_path, "alpha"), gone.file_url("alpha-1.0-py3-none-any.whl"))

    settings = settings_for(index, gone, mirrors=(index.url,))
    assert unavailable(store, settings, file) == (
        "1 file can't be had:\n"
        f"  alpha 1.0 (alpha-1.0-py3-none-any.whl): the index {index.url} answers 404 Not Found; "
        f"{file.urls[0]} gives no answer (Connection refused), 5 times"
    )


def test_says_what_each_mirror_answered(index: LocalIndex, store: Store, tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    with LocalIndex() as empty, LocalIndex() as other:
        other.add(make_wheel(tmp_path / "other", "alpha", "2.0").path)
        settings = settings_for(index, empty, other, mirrors=(empty.url, other.url))
        message = unavailable(store, settings, selected(wheel, index.file_url(wheel.file)))
        assert message == (
            f"1 file can't be had:\n  alpha 1.0 ({wheel.file}): {index.file_url(wheel.file)} "
            f"answers 404 Not Found; the index {empty.url} answers 404 Not Found; the index "
            f"{other.url} has no file of that hash"
        )


def test_follows_a_redirect_without_the_credentials(
    index: LocalIndex, store: Store, tmp_path: Path
) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    with LocalIndex(user="me", password="secret") as private:  # noqa: S106 - a test's
        url = private.add(wheel.path).replace("://", "://me:secret@")
        private.fault(wheel.file, Fault(redirect=index.add(wheel.path)))
        get(store, settings_for(index, private), selected(wheel, url))
        (asked,) = private.requested(wheel.file)
        assert asked.headers["authorization"] == "Basic " + base64.b64encode(b"me:secret").decode()
    (redirected,) = index.requested(wheel.file)
    assert "authorization" not in redirected.headers
    assert_nothing_left(store, wheel.file)


def test_a_redirect_on_the_same_host_keeps_the_credentials(store: Store, tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    with LocalIndex(user="me", password="secret") as private:  # noqa: S106 - a test's
        private.add(wheel.path)
        private.fault("/moved", Fault(redirect=f"/files/{wheel.file}"))
        url = f"http://me:secret@{private.host}/moved"
        get(store, settings_for(private), selected(wheel, url))
    assert_nothing_left(store, wheel.file)


def test_redirects_in_a_circle_end(index: LocalIndex, store: Store, tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    url = index.add(wheel.path)
    index.fault(wheel.file, Fault(redirect=url))
    assert unavailable(store, settings_for(index), selected(wheel, url)).endswith(
        "redirects more than 8 times"
    )


def test_credentials_are_never_shown(index: LocalIndex, store: Store, tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    with LocalIndex(user="me", password="right") as private:  # noqa: S106 - a test's
        url = private.add(wheel.path).replace("://", "://me:secret@") + "?token=secret"
        file = selected(wheel, url)
        settings = settings_for(private, index, mirrors=(private.url_with("me", "secret"),))
        message = unavailable(store, settings, file)
    assert message == (
        f"1 file can't be had:\n  alpha 1.0 ({wheel.file}): {private.file_url(wheel.file)}?… "
        f"answers 401 Unauthorized; the index {private.url} answers 401 Unauthorized"
    )
    assert "secret" not in repr(settings) + repr(file)


def test_uses_the_credentials_of_a_named_index(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    with LocalIndex(user="me", password="secret") as private:  # noqa: S106 - a test's
        monkeypatch.setenv("UV_INDEX_OUR_OWN_USERNAME", "me")
        monkeypatch.setenv("UV_INDEX_OUR_OWN_PASSWORD", "secret")
        indexes = (NamedIndex(name="our-own", url=private.url),)
        get(
            store,
            settings_for(private, indexes=indexes),
            selected(wheel, private.add(wheel.path)),
        )
    assert_nothing_left(store, wheel.file)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A private authority's certificate, and a server's context that it signed."""
    folder = tmp_path_factory.mktemp("authority")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=venvctl test"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", context


def test_trusts_the_authority_that_it_is_told_to(
    authority: tuple[Path, ssl.SSLContext],
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    certificate, context = authority
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    with LocalIndex(context=context) as private:
        file = selected(wheel, url := private.add(wheel.path))
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        assert unavailable(store, settings_for(), file) == (
            f"1 file can't be had:\n  alpha 1.0 ({wheel.file}): {url} can't be trusted: "
            "self-signed certificate. SSL_CERT_FILE can name a file with the authority that "
            "signed it"
        )
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        get(store, settings_for(), file)
    assert_nothing_left(store, wheel.file)


def test_trusts_the_authority_of_the_configuration_beside_the_systems(
    authority: tuple[Path, ssl.SSLContext], store: Store, tmp_path: Path
) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    certificate, context = authority
    network = Settings(ca_file=certificate)
    with LocalIndex(context=context) as private:
        file = selected(wheel, private.add(wheel.path))
        get(store, settings_for(network=network), file)
    assert_nothing_left(store, wheel.file)
    system = ssl.create_default_context().cert_store_stats()["x509_ca"]
    trusted = network.transport()._context.cert_store_stats()["x509_ca"]
    assert (trusted - system) == 1
    damaged = tmp_path / "damaged.pem"
    damaged.write_text("nothing")
    with pytest.raises(ConfigurationError) as caught:
        get(
            store,
            settings_for(network=Settings(ca_file=damaged)),
            selected(wheel_of(tmp_path, "b")),
        )
    assert caught.value.message.startswith(f"The certificates in {damaged} can't be used: ")


def test_https_never_becomes_http(
    authority: tuple[Path, ssl.SSLContext],
    index: LocalIndex,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    certificate, context = authority
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with LocalIndex(context=context) as private:
        url = private.add(wheel.path)
        private.fault(wheel.file, Fault(redirect=index.add(wheel.path)))
        assert unavailable(store, settings_for(index), selected(wheel, url)).endswith(
            f"redirects from HTTPS to {index.file_url(wheel.file)}, which is refused"
        )
    assert index.requests == []


def test_an_authority_that_does_not_exist_is_said(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/does/not/exist.pem")
    with pytest.raises(ConfigurationError) as caught:
        get(store, settings_for(), selected(wheel_of(tmp_path, "alpha"), "https://127.0.0.1/x"))
    assert caught.value.message == "SSL_CERT_FILE names /does/not/exist.pem, which does not exist."


def test_goes_through_a_proxy_unless_told_not_to(
    index: LocalIndex, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = wheel_of(tmp_path, "alpha"), wheel_of(tmp_path, "beta")
    urls = [index.add(wheel.path) for wheel in (one, two)]
    with LocalIndex() as proxy:
        proxy.fault(urls[0], Fault(content=one.path.read_bytes()))
        proxy.fault(f"/files/{urls[0]}", Fault(content=one.path.read_bytes()))
        monkeypatch.setenv("http_proxy", f"http://user:pass@{proxy.host}")
        get(store, settings_for(index), selected(one, urls[0]))
        (asked,) = proxy.requests
        assert asked.path == urls[0]
        assert asked.headers["proxy-authorization"] == (
            "Basic " + base64.b64encode(b"user:pass").decode()
        )
        assert index.requests == []
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        get(store, settings_for(index), selected(two, urls[1]))
        assert len(proxy.requests) == 1
    assert_nothing_left(store, one.file, two.file)


def test_a_local_file_is_copied_and_checked(store: Store, tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    good = replace(selected(wheel), path=str(wheel.path))
    get(store, settings_for(), good)
    assert_nothing_left(store, wheel.file)
    store.remove(wheel.sha256)
    gone = replace(good, path=str(tmp_path / "gone.whl"))
    assert unavailable(store, settings_for(), gone) == (
        f"1 file can't be had:\n  alpha 1.0 ({wheel.file}): {tmp_path / 'gone.whl'} does not exist"
    )
    wheel.path.write_bytes(b"other")
    with pytest.raises(IntegrityError):
        get(store, settings_for(), good)
    assert_nothing_left(store)


def test_a_commit_is_passed_over(store: Store) -> None:
    commit = SelectedFile(
        name="alpha", version="", file="", kind="vcs", sha256="", urls=(), commit="a" * 40
    )
    get(store, settings_for(offline=True), commit)


def test_one_hash_is_fetched_once(index: LocalIndex, store: Store, tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path, "alpha")
    file = selected(wheel, index.add(wheel.path))
    get(store, settings_for(index), file, replace(file, name="alias"))
    assert len(index.requested(wheel.file)) == 1


def test_an_error_ends_the_other_downloads_at_once(
    index: LocalIndex, store: Store, tmp_path: Path
) -> None:
    slow, bad = wheel_of(tmp_path, "slow"), wheel_of(tmp_path, "bad")
    files = [selected(wheel, index.add(wheel.path)) for wheel in (slow, bad)]
    index.fault(slow.file, Fault(stall_after=1000))
    index.fault(bad.file, Fault(content=b"bad"))
    start = time.monotonic()
    with pytest.raises(IntegrityError):
        get(store, settings_for(index, stall=60.0), *files)
    assert time.monotonic() - start < 30
    assert_nothing_left(store)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if os.getuid() != 0:
        pytest.skip("only root can mount a file system")
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", str(path)], check=True)


def test_a_full_disk_says_how_much_is_needed(
    index: LocalIndex, small_disk: Path, tmp_path: Path
) -> None:
    store = Store(small_disk)
    wheels = [wheel_of(tmp_path, name, content=_noise(900_000)) for name in ("alpha", "beta")]
    files = [selected(wheel, index.add(wheel.path), size=wheel.size) for wheel in wheels]
    with pytest.raises(DiskFullError) as caught:
        get(store, settings_for(index), *files)
    needed = sum(wheel.size for wheel in wheels)
    assert f": {needed:,} bytes are needed; " in caught.value.message
    assert len(index.requests) <= 2
    assert list((small_disk / "tmp").iterdir()) == []
    assert store.verify(Silent()) == []
    assert disk.free_bytes(small_disk) > 0


def _noise(size: int) -> bytes:
    return os.urandom(size)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
