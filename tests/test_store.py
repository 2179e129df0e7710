"""The store: names are digests, files are whole, and nothing is ever written again."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from venvctl import disk
from venvctl.errors import IntegrityError, UnavailableError
from venvctl.progress import Silent
from venvctl.store import Problem, Store
from wheelhouse import BuiltWheel, make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FINGERPRINT = "f" * 64


@dataclass(frozen=True, kw_only=True)
class Named:
    sha256: str


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "root")


@pytest.fixture
def wheel(tmp_path: Path) -> BuiltWheel:
    return make_wheel(tmp_path / "wheels", "alpha")


@pytest.fixture
def operations() -> Iterator[list[tuple[str, str]]]:
    seen: list[tuple[str, str]] = []

    def observe(operation: str, path: Path) -> None:
        seen.append((operation, path.name))

    disk.observers.append(observe)
    yield seen
    disk.observers.remove(observe)


def add(store: Store, wheel: BuiltWheel) -> Path:
    return store.add(wheel.path, file=wheel.file, sha256=wheel.sha256)


def test_keeps_a_file_under_its_digest_and_name(store: Store, wheel: BuiltWheel) -> None:
    path = add(store, wheel)
    expected = store.root / "store" / "wheels" / wheel.sha256[:2] / wheel.sha256 / wheel.file
    assert path == expected
    assert store.wheel(wheel.sha256) == expected
    assert path.read_bytes() == wheel.path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o644


def test_copies_a_file_from_elsewhere(store: Store, wheel: BuiltWheel) -> None:
    path = add(store, wheel)
    assert path.stat().st_ino != wheel.path.stat().st_ino
    assert wheel.path.exists()


def test_moves_a_file_from_its_own_tmp(store: Store, wheel: BuiltWheel) -> None:
    with disk.temporary_directory(store.root) as temporary:
        source = temporary / "download"
        source.write_bytes(wheel.path.read_bytes())
        inode = source.stat().st_ino
        path = store.add(source, file=wheel.file, sha256=wheel.sha256)
        assert not source.exists()
    assert path.stat().st_ino == inode


def test_is_on_disk_before_it_has_its_name(
    store: Store, wheel: BuiltWheel, operations: list[tuple[str, str]]
) -> None:
    add(store, wheel)
    flushed = operations.index(("fsync", "file"))
    renamed = operations.index(("rename", wheel.file))
    assert flushed < renamed
    assert operations[renamed + 1] == ("fsync", wheel.sha256)


def test_refuses_content_of_another_hash(store: Store, wheel: BuiltWheel) -> None:
    other = "0" * 64
    with pytest.raises(IntegrityError) as caught:
        store.add(wheel.path, file=wheel.file, sha256=other)
    assert caught.value.message == (
        f"alpha-1.0-py3-none-any.whl has the SHA-256 {wheel.sha256} and not {other}."
    )
    assert store.wheel(other) is None
    assert list((store.root / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("../x.whl", "has a slash in its name"),
        (".x.whl", "has a name that begins with a dot"),
        ("x\0.whl", "has a control character in its name"),
        ("", "has no name"),
        ("x" * 256, "has too long a name"),
    ],
)
def test_refuses_a_name_that_is_no_file_name(
    store: Store, wheel: BuiltWheel, file: str, reason: str
) -> None:
    with pytest.raises(IntegrityError) as caught:
        store.add(wheel.path, file=file, sha256=wheel.sha256)
    assert caught.value.message == f"The file {file!a} can't be kept in the store: it {reason}."


@pytest.mark.parametrize("digest", ["", "../../../etc", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_refuses_a_digest_that_is_none(store: Store, digest: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        store.wheel(digest)
    assert caught.value.message == f"{digest!a} is not a SHA-256 in lower-case hexadecimal."


def test_an_empty_file_counts_as_missing_and_is_replaced(store: Store, wheel: BuiltWheel) -> None:
    path = add(store, wheel)
    path.write_bytes(b"")
    assert store.wheel(wheel.sha256) is None
    add(store, wheel)
    assert path.read_bytes() == wheel.path.read_bytes()


def test_says_what_is_missing_in_order(store: Store, wheel: BuiltWheel) -> None:
    add(store, wheel)
    gone, here, lost = Named(sha256="1" * 64), Named(sha256=wheel.sha256), Named(sha256="2" * 64)
    assert store.missing([gone, here, lost]) == [gone, lost]


def test_many_may_add_the_same_file_at_once(store: Store, wheel: BuiltWheel) -> None:
    failures: list[BaseException] = []
    barrier = threading.Barrier(8)

    def work() -> None:
        try:
            barrier.wait()
            add(store, wheel)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is asserted below
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [file.sha256 for file in store.iterate()] == [wheel.sha256]
    assert store.verify(Silent()) == []


def test_a_quarantined_file_comes_back_as_a_new_inode(store: Store, wheel: BuiltWheel) -> None:
    path = add(store, wheel)
    inode = path.stat().st_ino
    path.write_bytes(b"damaged")
    store.quarantine(wheel.sha256)
    assert store.wheel(wheel.sha256) is None
    again = add(store, wheel)
    assert again.stat().st_ino != inode
    (aside,) = (store.root / "store" / "quarantine").iterdir()
    assert (aside / wheel.file).read_bytes() == b"damaged"
    store.quarantine("0" * 64)


def test_verify_names_what_was_changed(store: Store, wheel: BuiltWheel, tmp_path: Path) -> None:
    path = add(store, wheel)
    add(store, make_wheel(tmp_path / "wheels", "beta"))
    path.write_bytes(b"damaged")
    assert store.verify(Silent()) == [
        Problem(path=path, reason="does not have the hash it is kept under")
    ]


def test_removes_and_iterates(store: Store, wheel: BuiltWheel) -> None:
    assert list(store.iterate()) == []
    add(store, wheel)
    assert store.size() == wheel.size
    store.remove(wheel.sha256)
    store.remove(wheel.sha256)
    assert list(store.iterate()) == []
    assert list((store.root / "tmp").iterdir()) == []


def test_get_says_what_is_not_there(store: Store, wheel: BuiltWheel) -> None:
    with pytest.raises(UnavailableError) as caught:
        store.get(wheel, name="alpha 1.0")
    assert caught.value.message == (f"The store does not have alpha 1.0 (sha256 {wheel.sha256}).")
    assert store.get(Named(sha256=add(store, wheel).parent.name), name="alpha") is not None


def test_remembers_what_was_built_of_a_source(store: Store, wheel: BuiltWheel) -> None:
    sdist = "5" * 64
    assert store.built(sdist, FINGERPRINT) is None
    add(store, wheel)
    store.record_built(sdist, FINGERPRINT, wheel.sha256)
    assert store.built(sdist, FINGERPRINT) == wheel.sha256
    assert store.built(sdist, "e" * 64) is None
    store.remove(wheel.sha256)
    assert store.built(sdist, FINGERPRINT) is None


@pytest.mark.parametrize("content", [b"", b"[]", b'{"wheel": "../x"}', b"\xff"])
def test_a_build_record_that_was_damaged_is_none(
    store: Store, wheel: BuiltWheel, content: bytes
) -> None:
    add(store, wheel)
    store.record_built("5" * 64, FINGERPRINT, wheel.sha256)
    (record,) = (store.root / "store" / "builds").iterdir()
    record.write_bytes(content)
    assert store.built("5" * 64, FINGERPRINT) is None
