"""Files that editors, git and the kernel treat in their own ways, on a real file system."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from venvctl.mounts import file_system
from venvctl.paths import links
from venvctl.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_DEADLINE = 60.0


class Ears:
    """Remembers what was heard."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._heard: list[str] = []

    def __call__(self, paths: Iterable[str]) -> None:
        with self._changed:
            self._heard += paths
            self._changed.notify()

    def wait_for(self, path: Path) -> set[str]:
        """Return what was heard once the path was among it, and forget everything."""
        with self._changed:
            found = self._changed.wait_for(lambda: str(path) in self._heard, _DEADLINE)
            assert found, f"{path} was not heard of, only {self._heard}"
            everything = set(self._heard)
            self._heard.clear()
            return everything

    @property
    def heard(self) -> set[str]:
        with self._changed:
            return set(self._heard)


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
def watcher(ears: Ears) -> Iterator[Watcher]:
    watcher = Watcher(ears)
    yield watcher
    watcher.close()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "project" / "requirements.txt"
    path.parent.mkdir()
    path.write_text("one\n")
    return path


def in_place(path: Path) -> None:
    path.write_text("two\n")


def by_rename(path: Path) -> None:
    temporary = path.with_name(".requirements.txt.swp")
    temporary.write_text("two\n")
    temporary.rename(path)


def truncated_first(path: Path) -> None:
    with path.open("r+") as stream:
        stream.truncate(0)
        stream.flush()
        stream.write("two\n")


def deleted(path: Path) -> None:
    path.unlink()


def mode(path: Path) -> None:
    path.chmod(0o600)


@pytest.mark.parametrize("save", [in_place, by_rename, truncated_first, deleted, mode])
def test_every_way_to_save_is_heard_of(
    watcher: Watcher, ears: Ears, lock: Path, save: Callable[[Path], None]
) -> None:
    watcher.watch([str(lock)])

    save(lock)

    ears.wait_for(lock)


def test_what_is_read_or_lies_beside_it_is_not_heard_of(
    watcher: Watcher, ears: Ears, lock: Path
) -> None:
    watcher.watch([str(lock)])

    lock.read_text()
    lock.with_name("other.txt").write_text("x")
    lock.write_text("two\n")

    assert ears.wait_for(lock) & {str(lock.with_name("other.txt"))} == set()


def test_deleted_and_restored_with_its_directory_by_git(
    watcher: Watcher, ears: Ears, tmp_path: Path
) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)

    lock = tmp_path / "deep" / "requirements.txt"
    git("init", "--quiet", "--initial-branch=main")
    git("commit", "--quiet", "--allow-empty", "--message=none")
    git("checkout", "--quiet", "-b", "with")
    lock.parent.mkdir()
    lock.write_text("one\n")
    git("add", "deep")
    git("commit", "--quiet", "--message=one")
    watcher.watch([str(lock)])

    git("checkout", "--quiet", "main")
    ears.wait_for(lock)
    assert not lock.parent.exists()
    git("checkout", "--quiet", "with")

    # The new directory was not listened to: the poll finds the file, and listens again.
    watcher.poll()
    ears.wait_for(lock)
    lock.write_text("two\n")
    ears.wait_for(lock)


def test_a_directory_that_another_took_the_place_of_is_listened_to_after_a_poll(
    watcher: Watcher, ears: Ears, lock: Path
) -> None:
    watcher.watch([str(lock)])
    lock.parent.rename(lock.parent.with_name("old"))
    lock.parent.mkdir()
    lock.write_text("two\n")
    watcher.poll()
    ears.wait_for(lock)

    lock.write_text("three\n")

    ears.wait_for(lock)


def test_a_link_and_what_it_points_to_are_both_heard_of(
    watcher: Watcher, ears: Ears, lock: Path, tmp_path: Path
) -> None:
    link = tmp_path / "links" / "requirements.txt"
    link.parent.mkdir()
    link.symlink_to(lock)
    watcher.watch([str(link)])

    lock.write_text("two\n")
    ears.wait_for(lock)

    link.unlink()
    ears.wait_for(link)


def test_whatever_comes_or_goes_in_a_listing_is_heard_of(
    watcher: Watcher, ears: Ears, tmp_path: Path
) -> None:
    watcher.watch([], [str(tmp_path)])

    (tmp_path / "new").mkdir()

    ears.wait_for(tmp_path)


def test_the_poll_finds_what_no_event_told(ears: Ears, lock: Path) -> None:
    watcher = Watcher(ears, limit=0)
    watcher.watch([str(lock)])
    assert watcher.health.problem == (
        f"No events from {lock.parent} (inotify watch limit reached): polled instead."
    )
    lock.write_text("longer\n")
    assert ears.heard == set()

    watcher.poll()

    assert ears.heard == {str(lock)}
    assert watcher.interval == 2.0
    watcher.close()


def test_a_refused_directory_is_told_and_others_are_heard_of(
    ears: Ears, lock: Path, tmp_path: Path
) -> None:
    other = tmp_path / "zoo" / "requirements.txt"
    other.parent.mkdir()
    watcher = Watcher(ears, limit=1)
    watcher.watch([str(lock), str(other)])

    assert len(watcher.health.unheard) == 1
    watcher.watch([str(lock)])
    watcher.poll()
    assert watcher.health.problem == ""
    watcher.close()


def test_a_listener_that_died_is_replaced_and_nothing_is_missed(
    watcher: Watcher, ears: Ears, lock: Path
) -> None:
    watcher.watch([str(lock)])
    dead = watcher._inotify
    assert dead is not None
    dead.stop()
    dead.join()
    lock.write_text("two\n")

    watcher.poll()

    ears.wait_for(lock)
    assert watcher.health.deaths == 1
    lock.write_text("three\n")
    ears.wait_for(lock)


def test_a_queue_that_overflows_makes_the_next_poll_look_at_everything(
    tmp_path: Path, lock: Path
) -> None:
    stuck, free = threading.Event(), threading.Event()
    told: set[str] = set()

    def changed(paths: Iterable[str]) -> None:
        told.update(paths)
        stuck.set()
        assert free.wait(60)

    watcher = Watcher(changed)
    other = tmp_path / "other" / "requirements.txt"
    other.parent.mkdir()
    other.write_text("one\n")
    watcher.watch([str(lock), str(other)])
    lock.touch()
    assert stuck.wait(_DEADLINE)
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for _ in range(most):
        # Equal events one after the other would be one.
        os.utime(lock)
        os.utime(lock.parent)
    told.clear()
    free.set()
    deadline = time.monotonic() + 60
    while not watcher.health.overflows:
        assert time.monotonic() < deadline
        time.sleep(0.02)

    watcher.poll(everything=False)

    assert str(other) in told
    assert watcher.health.overflows == 1
    watcher.close()


def test_a_projected_volume_that_swaps_its_data_is_heard_of(
    watcher: Watcher, ears: Ears, tmp_path: Path
) -> None:
    """As Kubernetes mounts a ConfigMap: the file leads to ..data, and that to ..2024."""
    mount = tmp_path / "mount"
    lock = mount / "requirements.txt"
    for data in ("..2024", "..2025"):
        (mount / data).mkdir(parents=True)
        (mount / data / "requirements.txt").write_text(f"{data}\n")
    (mount / "..data").symlink_to("..2024")
    lock.symlink_to("..data/requirements.txt")
    watcher.watch([str(lock)])

    (mount / "..data_tmp").symlink_to("..2025")
    (mount / "..data_tmp").rename(mount / "..data")

    ears.wait_for(mount / "..data")
    assert links(str(lock)) == [
        str(lock),
        str(mount / "..data"),
        str(mount / "..2025" / "requirements.txt"),
    ]


def test_a_directory_that_does_not_exist_yet_is_listened_to_once_it_does(
    watcher: Watcher, ears: Ears, tmp_path: Path
) -> None:
    lock = tmp_path / "to" / "come" / "requirements.txt"
    watcher.watch([str(lock)])
    assert watcher.health.problem == ""
    assert watcher.interval == 2.0
    lock.parent.mkdir(parents=True)
    lock.write_text("one\n")

    watcher.poll(everything=False)
    ears.wait_for(lock)
    lock.write_text("two\n")

    ears.wait_for(lock)


def test_a_parent_that_moved_with_all_that_is_in_it_is_found_by_the_poll(
    watcher: Watcher, ears: Ears, tmp_path: Path
) -> None:
    lock = tmp_path / "project" / "locks" / "requirements.txt"
    lock.parent.mkdir(parents=True)
    lock.write_text("one\n")
    watcher.watch([str(lock)])
    (tmp_path / "project").rename(tmp_path / "old")  # the watched directory is told nothing
    lock.parent.mkdir(parents=True)
    lock.write_text("two\n")

    watcher.poll()
    ears.wait_for(lock)
    lock.write_text("three\n")

    ears.wait_for(lock)


def test_what_lies_on_another_machine_is_looked_at_often(
    ears: Ears, lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No such file system can be mounted here; what is one is told by the kernel's own table.
    monkeypatch.setattr("venvctl.watcher._FOREIGN", {file_system(str(tmp_path))})
    watcher = Watcher(ears)
    watcher.watch([str(lock)])
    watcher.poll()

    assert watcher.interval == 2.0
    assert watcher.health.problem == ""
    watcher.close()


def test_links_that_lead_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    assert set(links(str(tmp_path / "a"))) == {str(tmp_path / "a"), str(tmp_path / "b")}


def test_healthy_files_are_not_polled_more_often_than_it_is_time_for(
    watcher: Watcher, lock: Path, tmp_path: Path
) -> None:
    unheard = tmp_path / "none" / "requirements.txt"
    watcher.watch([str(lock), str(unheard)])
    watcher.poll()
    assert list(watcher._of_unheard()) == [str(unheard)]


def test_a_thousand_directories_need_one_thread(
    watcher: Watcher, ears: Ears, tmp_path: Path
) -> None:
    locks = [tmp_path / str(number) / "requirements.txt" for number in range(1000)]
    for each in locks:
        each.parent.mkdir()
        each.write_text("one\n")
    before = set(threading.enumerate())

    watcher.watch([str(each) for each in locks])

    assert [thread.name for thread in set(threading.enumerate()) - before] == ["inotify"]
    assert watcher.health.directories == 1000
    by_rename(locks[777])
    ears.wait_for(locks[777])
    assert (watcher.interval, watcher._interval) == (5.0, 15.0)


def _open_files() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def test_nothing_is_left_open_when_it_is_closed(ears: Ears, lock: Path) -> None:
    before = _open_files()
    watcher = Watcher(ears)
    watcher.watch([str(lock)])

    watcher.close()

    assert _open_files() == before
