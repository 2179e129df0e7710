"""Writes last, and nobody ever sees half of one, whatever goes wrong in the middle."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from venvctl import disk
from venvctl.errors import DiskFullError, RootError, VenvctlError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def told() -> Iterator[list[tuple[str, str]]]:
    """What the disk module says it did: operation and file name."""
    found: list[tuple[str, str]] = []

    def observe(operation: str, path: Path) -> None:
        found.append((operation, path.name))

    disk.observers.append(observe)
    yield found
    disk.observers.remove(observe)


def mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.lstat().st_mode):04o}"


def test_a_file_is_on_disk_before_it_has_its_name(
    tmp_path: Path, told: list[tuple[str, str]]
) -> None:
    disk.write_file(tmp_path / "state", b"new")

    assert told == [
        ("write", "state"),
        ("fsync", "state"),
        ("rename", "state"),
        ("fsync", tmp_path.name),
    ]


def test_a_file_is_replaced_and_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "state"
    disk.write_file(path, b"old")
    with path.open("rb") as held:
        disk.write_file(path, b"new")

        assert held.read() == b"old"
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_modes_are_what_was_asked_for_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    os.umask(umask)

    disk.write_file(tmp_path / "plain", b"")
    disk.write_file(tmp_path / "private", b"", mode=0o600)
    disk.append_line(tmp_path / "history", "line")
    disk.make_directory(tmp_path / "a" / "b", mode=0o750)

    assert {path.name: mode(path) for path in tmp_path.iterdir()} == {
        "plain": "0644",
        "private": "0600",
        "history": "0644",
        "a": "0750",
    }
    assert mode(tmp_path / "a" / "b") == "0750"


@pytest.mark.parametrize("operation", ["write", "fsync", "rename"])
def test_an_interruption_leaves_the_old_file_or_the_new_and_nothing_beside(
    tmp_path: Path, operation: str
) -> None:
    path = tmp_path / "state"
    disk.write_file(path, b"old")

    def interrupt(done: str, where: Path) -> None:
        if done == operation and where == path:
            raise KeyboardInterrupt

    disk.observers.append(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            disk.write_file(path, b"new")
    finally:
        disk.observers.remove(interrupt)

    assert path.read_bytes() == (b"new" if operation == "rename" else b"old")
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]


def test_directories_that_were_made_are_known_to_their_parents(
    tmp_path: Path, told: list[tuple[str, str]]
) -> None:
    disk.make_directory(tmp_path / "a" / "b")
    disk.make_directory(tmp_path / "a" / "b")

    assert told == [("fsync", tmp_path.name), ("fsync", "a")]


def test_a_removal_is_on_disk_when_it_was_done(tmp_path: Path, told: list[tuple[str, str]]) -> None:
    path = tmp_path / "project"
    path.touch()

    disk.remove_file(path)
    disk.remove_file(path)
    disk.remove_file(tmp_path / "nowhere" / "project")

    assert told == [("unlink", "project"), ("fsync", tmp_path.name)]


def test_half_a_line_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that gets full takes what fits and says so with the next write (write(2))."""
    path = tmp_path / "history"
    disk.append_line(path, "one")
    real = os.write

    def write(handle: int, data: bytes) -> int:
        if len(data) < len("two\n"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle, data[:2])

    monkeypatch.setattr(os, "write", write)

    with pytest.raises(DiskFullError, match="4 bytes are needed"):
        disk.append_line(path, "two")

    assert path.read_bytes() == b"one\n"


def test_a_line_is_on_disk_when_it_was_appended(
    tmp_path: Path, told: list[tuple[str, str]]
) -> None:
    path = tmp_path / "history"

    disk.append_line(path, "one")
    disk.append_line(path, "two")

    assert path.read_text() == "one\ntwo\n"
    assert told == [
        ("write", "history"),
        ("fsync", "history"),
        ("fsync", tmp_path.name),
        ("write", "history"),
        ("fsync", "history"),
    ]


def test_a_torn_line_is_closed_off(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_text('one\n{"to')

    disk.append_line(path, "two")

    assert path.read_text() == 'one\n{"to\ntwo\n'


def test_a_link_is_replaced_by_one_rename(tmp_path: Path, told: list[tuple[str, str]]) -> None:
    link = tmp_path / "current"
    for target in ("generations/1", "generations/2"):
        disk.replace_symlink(link, target)

    assert str(link.readlink()) == "generations/2"
    assert [entry.name for entry in tmp_path.iterdir()] == ["current"]
    assert told == [("rename", "current"), ("fsync", tmp_path.name)] * 2


def test_a_link_can_t_take_a_directory_s_place_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "current").mkdir()

    with pytest.raises(IsADirectoryError):
        disk.replace_symlink(tmp_path / "current", "elsewhere")

    assert [entry.name for entry in tmp_path.iterdir()] == ["current"]


def test_a_hard_link_takes_a_file_s_place_as_the_same_inode(tmp_path: Path) -> None:
    source, path = tmp_path / "source", tmp_path / "file"
    source.write_bytes(b"good")
    path.write_bytes(b"bad")
    with path.open("rb") as held:
        disk.replace_link(path, source)
        disk.replace_link(path, source)  # once more: both are the same file already

        assert held.read() == b"bad"
    assert path.stat().st_ino == source.stat().st_ino
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "source"]


def test_a_directory_gets_its_name_once(tmp_path: Path, told: list[tuple[str, str]]) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    disk.publish(tmp_path / "one", tmp_path / "final")

    with pytest.raises(FileExistsError) as caught:
        disk.publish(tmp_path / "two", tmp_path / "final")

    assert caught.value.filename == str(tmp_path / "final")
    assert (tmp_path / "final" / "file").read_text() == "one"
    assert told == [("rename", "final"), ("fsync", tmp_path.name)]


def test_what_is_gone_already_may_be_removed(tmp_path: Path) -> None:
    disk.remove_file(tmp_path / "file")
    disk.remove_tree(tmp_path / "tree")
    disk.retire_tree(tmp_path / "tree", tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_tree_goes_with_its_read_only_parts_and_through_no_link(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_bytes(b"")
    tree = tmp_path / "tree"
    (tree / "closed").mkdir(parents=True)
    (tree / "closed" / "file").write_bytes(b"")
    (tree / "link").symlink_to(kept)
    (tree / "closed").chmod(0o500)
    (tmp_path / "way").symlink_to(kept)

    disk.remove_tree(tree)
    disk.remove_tree(tmp_path / "way")

    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (kept / "file").exists()


def test_a_retired_tree_has_lost_its_name_before_its_files(
    tmp_path: Path, told: list[tuple[str, str]]
) -> None:
    tree = tmp_path / "generations" / "1"
    tree.mkdir(parents=True)
    (tree / "file").write_bytes(b"")

    disk.retire_tree(tree, tmp_path)

    operations = [operation for operation, _ in told]
    assert told.index(("rename", "1")) < operations.index("unlink")
    assert ("fsync", "generations") in told
    assert list((tmp_path / "tmp").iterdir()) == []
    assert list((tmp_path / "generations").iterdir()) == []


def test_a_full_disk_can_be_cleaned_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tmp_path / "tmp").mkdir()

    def refuse(path: Path, *_: object) -> None:
        # As ext4 does when it has not a block left (measured with one of 16 MB).
        number = errno.EEXIST if path.exists() else errno.ENOSPC
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refuse)
    disk.retire_tree(tree, tmp_path)

    assert not tree.exists()


def test_a_temporary_directory_is_gone_whatever_happens(tmp_path: Path) -> None:
    def work() -> None:
        with disk.temporary_directory(tmp_path) as folder:
            (folder / "inner").mkdir()
            assert folder.parent == tmp_path / "tmp"
            assert (mode(folder), mode(folder.parent)) == ("0755", "0700")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()

    assert list((tmp_path / "tmp").iterdir()) == []


def test_temporary_directories_are_kept_apart_where_ext4_can(tmp_path: Path) -> None:
    with disk.temporary_directory(tmp_path) as folder:
        listed = subprocess.run(
            ["lsattr", "-d", folder.parent], capture_output=True, text=True, check=False
        )
        if listed.returncode:
            pytest.skip("another file system, without such attributes")
        kind = subprocess.check_output(
            ["stat", "--file-system", "--format=%T", folder], text=True
        ).strip()

    assert ("T" in listed.stdout.split()[0]) == (kind == "ext2/ext3")


def test_a_full_disk_says_what_is_needed_and_what_is_free(tmp_path: Path) -> None:
    free = disk.free_bytes(tmp_path)

    def write() -> None:
        with disk.translate(tmp_path, needed=1_234_567), Path("/dev/full").open("wb") as full:
            full.write(b"x")

    with pytest.raises(DiskFullError) as caught:
        write()

    words = caught.value.message
    assert words.startswith(f"No space left to write {tmp_path}: 1,234,567 bytes are needed; ")
    told = int(words.partition("needed; ")[2].partition(" bytes")[0].replace(",", ""))
    assert told == pytest.approx(free, rel=0.1)
    assert caught.value.hint == "Free some space, or run `venvctl gc`, and try again."


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (
            errno.EDQUOT,
            DiskFullError,
            "No space left to write {path}: {block:,} bytes are needed; the quota allows no more.",
        ),
        (errno.EROFS, RootError, "Cannot write {path}: Read-only file system."),
        (errno.EIO, RootError, "Cannot write {path}: Input/output error."),
        (errno.EACCES, RootError, "Cannot write {path}: Permission denied."),
    ],
)
def test_what_the_file_system_says_becomes_a_sentence(
    tmp_path: Path, number: int, kind: type[VenvctlError], message: str
) -> None:
    with pytest.raises(kind) as caught, disk.translate(tmp_path):
        raise OSError(number, os.strerror(number), str(tmp_path))

    assert caught.value.message == message.format(
        path=tmp_path, block=os.statvfs(tmp_path).f_frsize
    )
    assert isinstance(caught.value.__cause__, OSError)


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), disk.translate(tmp_path):
        (tmp_path / "missing").read_bytes()


def test_free_space_is_that_of_the_nearest_directory_there_is(tmp_path: Path) -> None:
    free = disk.free_bytes(tmp_path / "not" / "yet" / "there")
    assert free == pytest.approx(disk.free_bytes(tmp_path), rel=0.1)
    assert free > 0


def test_a_whole_file_system_is_flushed_at_once(
    tmp_path: Path, told: list[tuple[str, str]]
) -> None:
    disk.sync_filesystem(tmp_path)

    assert told == [("syncfs", tmp_path.name)]
    with pytest.raises(FileNotFoundError):
        disk.sync_filesystem(tmp_path / "missing")
