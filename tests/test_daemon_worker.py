"""When a visit begins a sync, and when it waits, told by a clock that a test moves."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from venvctl.daemon.feed import Feed
from venvctl.daemon.metrics import Tally
from venvctl.daemon.queue import Job
from venvctl.daemon.roster import Entry
from venvctl.daemon.worker import Again, Ended, Followed, Worker
from venvctl.errors import EngineUnreachableError
from venvctl.progress import Silent
from venvctl.registration import Registration
from venvctl.root import Root
from venvctl.settling import PATIENCE, QUIET
from venvctl.specification import EnvironmentSpecification

if TYPE_CHECKING:
    from pathlib import Path

GOOD = f"six==1.16.0 --hash=sha256:{'0' * 64}\n"


class Visits:
    """Visits one environment whose engine is away: an attempt to sync ends in that error."""

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.lock = folder / "requirements.txt"
        root = Root(folder / "root")
        root.create()
        specification = EnvironmentSpecification.from_labels(
            "shop", {"venvctl.lock": "requirements.txt"}, directory=folder, place="the volume"
        )
        registration = Registration(
            specification=specification,
            mount="/venv",
            images={"": "python:3.12"},
            labels={},
            project="",
            directory=folder,
        )
        self.feed = Feed()
        self.followed = Followed(Entry(registration=registration, reader=os.geteuid()), root)
        self._worker = Worker(root, self.feed, Tally(), clock=lambda: self.now)

    def visit(self, *reasons: str) -> Again | Ended:
        job = Job(name="shop", reasons=reasons, since=self.now)
        return self._worker.visit(self.followed, job, Silent())

    def tried(self) -> bool:
        """Whether this visit tries to sync."""
        outcome = self.visit()
        return isinstance(outcome, Ended) and isinstance(outcome.error, EngineUnreachableError)


@pytest.fixture
def visits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Visits:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    return Visits(tmp_path)


def test_a_save_is_acted_on_once_it_has_come_to_rest(visits: Visits) -> None:
    visits.lock.write_text(GOOD)

    assert visits.visit() == Again(QUIET)
    visits.now += QUIET + 0.01
    assert visits.tried()
    assert visits.visit() == Ended()


def test_a_file_that_is_rewritten_all_the_time_is_waited_for(visits: Visits) -> None:
    for number in range(20):
        visits.lock.write_text(f"# {number}\n{GOOD}")
        assert isinstance(visits.visit(), Again)
        visits.now += 0.7 * QUIET
    assert isinstance(visits.visit(), Again)
    visits.now += QUIET
    assert visits.tried()


def test_half_a_file_is_waited_for_and_then_said_to_be_wrong(visits: Visits) -> None:
    visits.lock.write_text("six==1.16.0 --hash=sha2")
    visits.visit()
    visits.now += 0.5
    assert visits.visit() == Again(1.5)

    visits.now += 1.5
    assert visits.tried()


@pytest.mark.parametrize("content", ["", "\n", "# the first line of more to come\n"])
def test_a_lock_without_any_package_is_waited_for_longer_before_it_empties_anything(
    visits: Visits, content: str
) -> None:
    visits.lock.write_text(content)
    visits.visit()
    visits.now += 2.5
    assert visits.visit() == Again(7.5)

    visits.now += 7.5
    assert visits.tried()


def test_how_long_half_a_file_is_waited_for_counts_from_its_own_save(visits: Visits) -> None:
    for number in range(20):
        visits.lock.write_text(f"# {number}\n{GOOD}")
        visits.visit()
        visits.now += 0.7 * QUIET
    visits.lock.write_text("six==1.16.0 --hash=sha2")
    visits.visit()
    visits.now += 0.5

    assert visits.visit() == Again(1.5)


def test_the_rest_of_a_half_written_file_is_what_counts(visits: Visits) -> None:
    visits.lock.write_text("six==1.16.0 --hash=sha2")
    visits.visit()
    visits.now += 0.5
    visits.visit()
    visits.lock.write_text(GOOD)
    visits.visit()
    visits.now += QUIET + 0.01

    assert visits.tried()


def test_touching_it_or_saving_the_same_again_is_nothing(visits: Visits) -> None:
    visits.lock.write_text(GOOD)
    visits.visit()
    visits.now += 1
    assert visits.tried()

    visits.lock.touch()
    visits.lock.write_text(GOOD)

    assert visits.visit() == Ended()
    visits.now += 1
    assert visits.visit() == Ended()


def test_a_lock_that_is_gone_is_said_once_and_a_reason_does_not_change_that(
    visits: Visits,
) -> None:
    visits.lock.write_text(GOOD)
    visits.visit()
    visits.now += 1
    assert visits.tried()
    visits.lock.unlink()
    with visits.feed.listening() as listener:
        visits.visit()
        visits.now += 1
        assert visits.visit() == Ended()
        assert visits.visit("the engine was away") == Ended()
        told = listener.next(0)
        assert told is not None
        assert (told.kind, told.message) == (
            "missing",
            f"The lockfile {visits.lock} does not exist; the environment stays as it is.",
        )
    visits.lock.write_text(GOOD)
    assert visits.visit() == Ended()
    assert visits.followed.problem == ""


def test_why_a_lock_that_is_there_can_t_be_had_is_said(visits: Visits) -> None:
    visits.lock.write_text(GOOD)
    visits.visit()
    visits.now += 1
    assert visits.tried()
    visits.lock.unlink()
    visits.lock.mkdir()
    visits.visit()
    visits.now += 1

    assert visits.visit() == Ended()

    assert visits.followed.problem == (
        f"The lockfile {visits.lock} is not a file; the environment stays as it is."
    )


def test_a_lock_that_goes_while_it_is_synced_and_comes_back_as_it_was_is_synced_then(
    visits: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    visits.lock.write_text(GOOD)
    visits.visit()
    visits.now += 1

    def gone_meanwhile(*arguments: Any) -> None:
        visits.lock.unlink()
        options = arguments[2]
        options.read_bytes(visits.lock)

    with monkeypatch.context() as patch:
        patch.setattr("venvctl.daemon.worker.sync", gone_meanwhile)
        assert visits.visit() == Again(QUIET)
    visits.lock.write_text(GOOD)

    assert visits.tried()


def test_a_reason_of_the_daemons_own_is_acted_on_without_a_change(visits: Visits) -> None:
    visits.lock.write_text(GOOD)
    visits.visit()
    visits.now += 1
    assert visits.tried()

    outcome = visits.visit("its volume was removed")

    assert isinstance(outcome, Ended)
    assert isinstance(outcome.error, EngineUnreachableError)


def include(*names: str) -> str:
    return "".join(f"-r {name}\n" for name in names) + GOOD


def test_a_file_that_the_lock_begins_to_include_has_to_be_at_rest_too(visits: Visits) -> None:
    other = visits.lock.with_name("other.txt")
    visits.lock.write_text(include("other.txt"))
    other.write_text("# the first line of more to come\n")
    visits.visit()
    visits.now += QUIET + 0.01

    assert visits.visit() == Again(QUIET)
    assert visits.followed.paths == (str(visits.lock), str(other))

    for number in range(5):
        visits.now += 0.7 * QUIET
        other.write_text(f"# {number}\n")
        assert isinstance(visits.visit(), Again)
    visits.now += QUIET + 0.01
    assert visits.tried()


def test_a_file_that_is_included_and_is_not_there_is_said_to_be_wrong(visits: Visits) -> None:
    other = visits.lock.with_name("other.txt")
    visits.lock.write_text(include("other.txt"))
    visits.visit()
    visits.now += PATIENCE + 0.01
    assert visits.tried()

    other.write_text("")

    assert isinstance(visits.visit(), Again)
    visits.now += QUIET + 0.01
    assert visits.tried()


def test_a_file_that_is_not_included_any_more_is_not_missed(visits: Visits) -> None:
    other = visits.lock.with_name("other.txt")
    other.write_text("")
    visits.lock.write_text(include("other.txt"))
    visits.visit()
    visits.now += QUIET + 0.01
    assert visits.visit() == Again(QUIET)
    visits.visit()
    visits.now += QUIET + 0.01
    assert visits.tried()

    visits.lock.write_text(GOOD)
    other.unlink()
    visits.visit()
    visits.now += QUIET + 0.01

    assert visits.visit() == Again(QUIET)
    assert visits.followed.paths == (str(visits.lock),)
    visits.visit()
    visits.now += QUIET + 0.01
    assert visits.tried()
