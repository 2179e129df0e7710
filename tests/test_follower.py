"""What wakes whoever follows a lock in the foreground, and what then has to be at rest."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from venvctl.follower import Goal, LockWatcher, follow
from venvctl.lockfiles import digests
from venvctl.plan import Action
from venvctl.progress import Progress, Silent
from venvctl.registration import Registration
from venvctl.specification import EnvironmentSpecification
from venvctl.sync import SyncOptions, SyncResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
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


class Rewriting:
    """A backend in whose first sync an included file is saved once more, before it is read."""

    def __init__(self, *files: Path) -> None:
        self._files = files
        self.read: list[str] = []
        self.syncs = 0

    def served(self, _registration: Registration) -> Mapping[str, str]:
        return {str(self._files[0]): ""} if not self.read else digests(self._files)

    def sync(
        self, name: str, _registration: Registration, options: SyncOptions, _: Progress
    ) -> SyncResult:
        self.syncs += 1
        if self.syncs == 1:
            self._files[1].write_text("# the rest\n")
        self.read = [options.read_bytes(path).decode() for path in self._files]
        return SyncResult(environment=name, action=Action.BUILD, because="", generation=1)


def test_a_file_that_the_lock_begins_to_include_has_to_be_at_rest_too(lock: Path) -> None:
    other = lock.with_name("other.txt")
    other.write_text("# a beginning\n")
    pin = f"six==1.16.0 --hash=sha256:{'0' * 64}\n"
    lock.write_text(f"-r other.txt\n{pin}")
    specification = EnvironmentSpecification.from_labels(
        "shop", {"venvctl.lock": lock.name}, directory=lock.parent, place="the volume"
    )
    registration = Registration(
        specification=specification,
        mount="/venv",
        images={"": "python:3.12"},
        labels={},
        project="",
        directory=lock.parent,
    )
    backend: Any = Rewriting(lock, other)
    goal = Goal(registration=registration, backend=backend, generation=0)

    served = next(follow([goal], offline=False, progress=Silent()))

    assert served.result is not None
    assert backend.syncs == 2  # what had changed was not taken, until it was at rest again
    assert backend.read == [f"-r other.txt\n{pin}", "# the rest\n"]
