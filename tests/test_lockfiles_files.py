"""The files of a lock: read once, within bounds, known by their digests."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from venvctl import lockfiles
from venvctl.errors import LockChangedError, LockError
from venvctl.lockfiles.files import LIMIT, Files, read_file

if TYPE_CHECKING:
    from pathlib import Path


def test_a_missing_lock_says_so(tmp_path: Path) -> None:
    with pytest.raises(LockError) as caught:
        read_file(tmp_path / "uv.lock")
    assert caught.value.message == f"The lockfile {tmp_path}/uv.lock does not exist."
    assert caught.value.hint == (
        "Check `venvctl.lock`, or bring the file back; the environment stays as it is until then."
    )


def test_a_directory_is_no_lock(tmp_path: Path) -> None:
    with pytest.raises(LockError) as caught:
        read_file(tmp_path)
    assert caught.value.message == f"The lockfile {tmp_path} is not a file."


def test_a_pipe_is_no_lock_and_blocks_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LockError) as caught:
        read_file(tmp_path / "pipe")
    assert caught.value.message == f"The lockfile {tmp_path}/pipe is not a file."


def test_a_lock_of_100_megabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "uv.lock"
    with path.open("wb") as stream:
        stream.truncate(100 << 20)
    with pytest.raises(LockError) as caught:
        read_file(path)
    assert caught.value.message == f"The lockfile {path} is larger than 32 MiB."


def test_the_largest_lock_is_read(tmp_path: Path) -> None:
    path = tmp_path / "uv.lock"
    with path.open("wb") as stream:
        stream.truncate(LIMIT)
    assert len(read_file(path)) == LIMIT


def test_digests_of_what_is_gone_are_empty(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    assert lockfiles.digests([tmp_path / "a", str(tmp_path / "b")]) == {
        str(tmp_path / "a"): hashlib.sha256(b"x").hexdigest(),
        str(tmp_path / "b"): "",
    }


def test_asking_for_digests_imports_no_library() -> None:
    code = (
        "import sys; from venvctl import lockfiles; lockfiles.digests([]);"
        "print([name for name in ('packaging', 'uv', 'subprocess', 'tomllib', 'optparse')"
        " if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_a_file_is_read_once_by_whatever_name(tmp_path: Path) -> None:
    count: list[Path] = []

    def reading(path: Path) -> bytes:
        count.append(path)
        return b"x"

    files = Files(tmp_path, reading)
    files.read(tmp_path / "a")
    files.read(tmp_path / "sub/../a")
    assert count == [tmp_path / "a"]
    assert list(files.digests) == [str(tmp_path / "a")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\xfe\n", "x.lock:2: This is not UTF-8: byte 0xfe at offset 3."),
        ("a\nb".encode("utf-16"), "x.lock:1: This is not UTF-8: byte 0xff at offset 0."),
        (b"a\n\nb\0c", "x.lock:3: There is a NUL character."),
    ],
)
def test_text_that_is_none_says_where(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.lock").write_bytes(content)
    with pytest.raises(LockError) as caught:
        Files(tmp_path).text(tmp_path / "x.lock")
    assert caught.value.message == message


def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "x.lock").write_bytes(b"\xef\xbb\xbfa\r\n")
    assert Files(tmp_path).text(tmp_path / "x.lock") == "a\r\n"


def test_what_came_to_rest_is_read_and_what_was_saved_since_is_not(tmp_path: Path) -> None:
    lock, other = tmp_path / "requirements.txt", tmp_path / "other.txt"
    lock.write_text("six==1.17.0\n")
    other.write_text("new\n")
    expected = lockfiles.digests([lock])
    read = lockfiles.settled(lockfiles.read_file, expected)

    assert (read(lock), read(other)) == (b"six==1.17.0\n", b"new\n")
    lock.write_text("")

    for ask in (lambda: read(lock), lambda: lockfiles.digests([lock], read)):
        with pytest.raises(LockChangedError) as caught:
            ask()
        assert caught.value.message == f"The lockfile {lock} was changed while it was taken up."
