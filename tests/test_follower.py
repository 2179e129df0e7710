"""What wakes whoever follows a lock in the foreground."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from venvctl.follower import LockWatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    lock = tmp_path / "project" / "requirements.lock"
    lock.write_text("a")
    return lock


@pytest.fixture
def watcher(lock: Path) -> Iterator[LockWatcher]:
    with LockWatcher() as watcher:
        assert watcher.follow([str(lock)]) == ""
        watcher.wait(0.2)  # what was written before it listened may still be told
        yield watcher


def rename(lock: Path) -> None:
    beside = lock.with_name("beside")
    beside.write_text("b")
    beside.rename(lock)


@pytest.mark.parametrize(
    "change",
    [lambda lock: lock.write_text("b"), rename, lambda lock: lock.unlink()],
    ids=["write", "rename", "delete"],
)
def test_a_change_wakes_at_once(
    change: Callable[[Path], object], lock: Path, watcher: LockWatcher
) -> None:
    threading.Timer(0.05, change, [lock]).start()
    began = time.monotonic()

    watcher.wait(60)

    assert time.monotonic() - began < 30


def test_the_file_that_a_link_leads_to_is_listened_to(tmp_path: Path, lock: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(lock)
    with LockWatcher() as watcher:
        watcher.follow([str(link)])
        watcher.wait(0.2)
        threading.Timer(0.05, lock.write_text, ["b"]).start()
        began = time.monotonic()

        watcher.wait(60)

        assert time.monotonic() - began < 30


def test_reading_wakes_nobody(lock: Path, watcher: LockWatcher) -> None:
    lock.read_text()
    began = time.monotonic()

    watcher.wait(0.3)

    assert time.monotonic() - began >= 0.3


def test_what_is_no_longer_followed_wakes_nobody(
    tmp_path: Path, lock: Path, watcher: LockWatcher
) -> None:
    other = tmp_path / "other.lock"
    watcher.follow([str(other)])
    watcher.wait(0.2)
    lock.write_text("b")
    began = time.monotonic()

    watcher.wait(0.3)

    assert time.monotonic() - began >= 0.3


def test_a_directory_that_is_gone_is_no_reason_to_fail(tmp_path: Path) -> None:
    with LockWatcher() as watcher:
        assert watcher.follow([str(tmp_path / "nowhere" / "lock")]) == ""


def test_a_link_on_the_way_is_listened_to(tmp_path: Path, lock: Path) -> None:
    (tmp_path / "releases").mkdir()
    for number in ("1", "2"):
        (tmp_path / "releases" / number).mkdir()
        (tmp_path / "releases" / number / "requirements.lock").write_text(number)
    current = tmp_path / "current"
    current.symlink_to("releases/1")
    lock.unlink()
    lock.symlink_to("../current/requirements.lock")
    with LockWatcher() as watcher:
        watcher.follow([str(lock)])
        watcher.wait(0.2)

        def switch() -> None:
            new = tmp_path / "new"
            new.symlink_to("releases/2")
            new.rename(current)

        threading.Timer(0.05, switch).start()
        began = time.monotonic()

        watcher.wait(60)

        assert time.monotonic() - began < 30


def test_a_full_watch_limit_is_told(lock: Path) -> None:
    with LockWatcher(limit=0) as watcher:
        assert watcher.follow([str(lock)]) == (
            f"No events from {lock.parent} (inotify watch limit reached): polled instead."
        )
