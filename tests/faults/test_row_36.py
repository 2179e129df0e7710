"""FAULTS 36: neither a follower nor an edited comment brings back a key that was left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from promises import unharmed
from venvctl.errors import RolloutFailedError
from venvctl.plan import Action
from venvctl.rollback import rollback
from wheelhouse import make_wheel
from world import wait_for

if TYPE_CHECKING:
    from engine_fixtures import Unique
    from following import Daemon
    from world import World

pytestmark = pytest.mark.engine


def test_a_rollback_while_a_daemon_follows(settled: World, daemon: Daemon, unique: Unique) -> None:
    web = settled.start(unique("web"))
    settled.wait_for_line(web, "start 1.0 1")
    two = settled.wheel("alpha", "2.0")
    settled.write_lock(two)
    settled.sync()
    daemon.start()

    rollback(settled.name, settled.root, to=None, progress=settled.progress)
    for number in range(3):
        syncs = len(settled.environment.history())
        settled.write_lock(two, comment=f"# comment {number}")
        wait_for(lambda: len(settled.environment.history()) > syncs, "a look", seconds=60)  # noqa: B023 - at once
        assert settled.environment.current() == settled.environment.numbered(1)
    assert settled.said(web) == ["start 1.0 1", "start 2.0 2", "start 1.0 1"]

    settled.write_lock(settled.wheel("alpha", "3.0"))
    wait_for(lambda: settled.said(web)[-1] == "start 3.0 3", "the new one", seconds=60)
    wait_for(lambda: not settled.environment.state().pending, "the end of the rollout", seconds=60)
    assert daemon.stop() == 0
    assert not unharmed(settled, 3)


def test_a_comment_after_a_bad_key(settled: World, unique: Unique) -> None:
    web = settled.start(unique("web"), "--label", "venvctl.grace=4s")
    settled.wait_for_line(web, "start 1.0 1")
    bad = make_wheel(
        settled.folder, "alpha", "6.6", files={"alpha/__init__.py": "raise SystemExit(4)"}
    )
    settled.index.add(bad.path)
    settled.write_lock(bad)
    with pytest.raises(RolloutFailedError):
        settled.sync()
    started = settled.container(web).started_at

    for comment in ("# one", "# two"):
        settled.write_lock(bad, comment=comment)
        assert settled.sync().action is Action.HOLD

    assert settled.container(web).started_at == started
    assert not unharmed(settled, 1)
