"""What the daemon makes of a save: what came to rest is taken up, whatever is saved meanwhile."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from venvctl import interpreters
from venvctl.daemon.feed import Feed
from venvctl.daemon.metrics import Tally
from venvctl.daemon.queue import Job
from venvctl.daemon.roster import Entry
from venvctl.daemon.worker import Again, Ended, Followed, Worker
from venvctl.progress import Silent
from venvctl.settling import QUIET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine_fixtures import Unique
    from venvctl.registration import Registration
    from venvctl.root import Root
    from world import World

pytestmark = pytest.mark.engine


class Visits:
    """Visits the environment of a world as the daemon does, by a clock that a test moves."""

    def __init__(self, world: World) -> None:
        self.now = 0.0
        self._followed = Followed(
            Entry(registration=world.registration, reader=os.geteuid()), world.root
        )
        self.feed = Feed()
        self._worker = Worker(world.root, self.feed, Tally(), clock=lambda: self.now)

    def visit(self, *reasons: str) -> Again | Ended:
        job = Job(name=self._followed.registration.name, reasons=reasons, since=self.now)
        return self._worker.visit(self._followed, job, Silent())


@pytest.mark.parametrize("reason", ["", "the engine was away"])
def test_a_file_that_is_truncated_after_it_came_to_rest_empties_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    visits = Visits(world)
    if not reason:
        world.write_lock(world.wheel("alpha", "2.0"))
        assert visits.visit() == Again(QUIET)
        visits.now += QUIET + 0.01
    saved = world.lock.read_text()
    look = interpreters.images

    def save_again(registration: Registration, root: Root) -> dict[str, str]:
        world.lock.write_text("")
        return look(registration, root)

    with monkeypatch.context() as patch:
        patch.setattr(interpreters, "images", save_again)
        assert visits.visit(*filter(None, [reason])) == Again(QUIET)

    current = world.environment.current()
    assert current is not None
    assert current.number == 1
    assert [event.kind for event in world.environment.history()] == ["sync"]
    assert world.environment.state().error == ""
    world.lock.write_text(saved)
    visits.visit()
    visits.now += QUIET + 0.01
    assert visits.visit(*filter(None, [reason])) == Ended()
    assert world.python("import alpha; print(alpha.VERSION)") == ("1.0" if reason else "2.0")


def test_another_file_in_its_place_is_not_taken_either(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alpha, beta = world.wheel("alpha", "1.0"), world.wheel("beta", "1.0")
    world.write_lock(alpha)
    world.sync()
    visits = Visits(world)
    world.write_lock(alpha, beta)
    visits.visit()
    visits.now += QUIET + 0.01
    select = interpreters.agreed

    def save_again(registration: Registration, root: Root, images: Mapping[str, str]) -> object:
        world.write_lock(beta)
        return select(registration, root, images)

    with monkeypatch.context() as patch:
        patch.setattr(interpreters, "agreed", save_again)
        # It was read before: what came to rest is what is served, and the rest comes next.
        assert visits.visit() == Ended()

    assert world.python("import alpha, beta; print(alpha.VERSION)") == "1.0"
    assert visits.visit() == Again(QUIET)


def test_what_a_sync_came_to_is_told(world: World, unique: Unique) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    world.start(unique("web"))
    visits = Visits(world)
    world.write_lock(world.wheel("alpha", "2.0"))
    visits.visit()
    visits.now += QUIET + 0.01

    assert visits.visit() == Ended()

    visits.feed.close()
    with visits.feed.listening(after=0) as listener:
        told = list(iter(lambda: listener.next(1), None))
    assert told[-1].message == (
        f"{world.name}: generation 2 made and current, in place of 1; alpha 1.0 → 2.0; 1 restarted"
    )
