"""When a lock counts as saved, and what wakes whoever waits for it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from venvctl.follower import LockWatcher, Settling, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SAME, MOVING, SETTLED, MISSING = Verdict.SAME, Verdict.MOVING, Verdict.SETTLED, Verdict.MISSING


def looks(settling: Settling, *seen: tuple[float, str]) -> list[Verdict]:
    return [settling.look({"lock": digest}, now) for now, digest in seen]


@pytest.fixture
def settling() -> Settling:
    return Settling({"lock": "a"}, quiet=0.3)


def test_what_was_served_is_no_change(settling: Settling) -> None:
    assert looks(settling, (0, "a"), (9, "a")) == [SAME, SAME]


def test_a_change_counts_once_it_is_at_rest(settling: Settling) -> None:
    assert looks(settling, (1.0, "b"), (1.2, "b"), (1.4, "b")) == [MOVING, MOVING, SETTLED]
    assert settling.changed_at == 1.0


def test_a_file_that_is_still_written_waits_for_the_last_content(settling: Settling) -> None:
    seen = [(1.0, "b"), (1.2, "c"), (1.4, "d"), (1.6, "d"), (1.8, "d")]

    assert looks(settling, *seen) == [MOVING, MOVING, MOVING, MOVING, SETTLED]
    assert settling.changed_at == 1.0


def test_it_is_known_when_to_look_again(settling: Settling) -> None:
    looks(settling, (1.0, "b"), (1.2, "c"))

    assert settling.due == pytest.approx(1.5)


def test_a_change_that_is_taken_back_is_none(settling: Settling) -> None:
    assert looks(settling, (1.0, "b"), (1.1, "a"), (5.0, "a")) == [MOVING, SAME, SAME]
    assert looks(settling, (6.0, "b")) == [MOVING]
    assert settling.changed_at == 6.0


def test_what_was_acted_on_counts_no_more(settling: Settling) -> None:
    looks(settling, (1.0, "b"), (2.0, "b"))
    settling.served({"lock": "b"})

    assert looks(settling, (2.1, "b"), (3.0, "a"), (4.0, "a")) == [SAME, MOVING, SETTLED]


def test_a_save_by_deletion_and_creation_is_no_loss(settling: Settling) -> None:
    assert looks(settling, (1.0, ""), (1.1, "b"), (1.5, "b")) == [MOVING, MOVING, SETTLED]


def test_a_lock_that_is_gone_is_told_once_and_never_acted_on(settling: Settling) -> None:
    seen = [(1.0, ""), (1.4, ""), (2.0, ""), (9.0, "")]

    assert looks(settling, *seen) == [MOVING, MISSING, SAME, SAME]


def test_a_lock_that_comes_back_as_it_was_is_no_change_and_told_again_when_it_goes(
    settling: Settling,
) -> None:
    looks(settling, (1.0, ""), (2.0, ""))

    assert looks(settling, (3.0, "a"), (4.0, ""), (5.0, "")) == [SAME, MOVING, MISSING]


def test_one_missing_file_of_several_keeps_all_waiting() -> None:
    settling = Settling({"lock": "a", "more": "a"}, quiet=0.3)

    assert settling.look({"lock": "b", "more": ""}, 1.0) is MOVING
    assert settling.look({"lock": "b", "more": ""}, 2.0) is MISSING
    assert settling.look({"lock": "b", "more": "a"}, 3.0) is MOVING
    assert settling.look({"lock": "b", "more": "a"}, 4.0) is SETTLED


def test_a_failure_can_be_tried_again_later_though_nothing_changed(settling: Settling) -> None:
    looks(settling, (1.0, "b"), (2.0, "b"))
    settling.served({"lock": "b"})
    settling.retry(30.0)

    assert looks(settling, (29.9, "b"), (30.0, "b"), (30.5, "b")) == [SAME, MOVING, SETTLED]


def test_a_retry_is_not_needed_after_another_change(settling: Settling) -> None:
    settling.retry(30.0)
    looks(settling, (1.0, "c"), (2.0, "c"))
    settling.served({"lock": "c"})

    assert looks(settling, (31.0, "c")) == [SAME]


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

    watcher.wait(10)

    assert time.monotonic() - began < 5


def test_the_file_that_a_link_leads_to_is_listened_to(tmp_path: Path, lock: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(lock)
    with LockWatcher() as watcher:
        watcher.follow([str(link)])
        watcher.wait(0.2)
        threading.Timer(0.05, lock.write_text, ["b"]).start()
        began = time.monotonic()

        watcher.wait(10)

        assert time.monotonic() - began < 5


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


def test_a_full_watch_limit_is_told(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LockWatcher() as watcher:

        def refuse(*_arguments: object) -> None:
            raise OSError(28, "inotify watch limit reached")

        monkeypatch.setattr(watcher._observer, "schedule", refuse)

        assert watcher.follow([str(lock)]) == (
            f"{lock.parent} can't be listened to: inotify watch limit reached."
        )
