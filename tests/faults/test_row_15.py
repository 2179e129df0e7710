"""FAULTS 15: a lock that is half-written, saved by rename, or rewritten many times a second."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from promises import unharmed
from world import wait_for

if TYPE_CHECKING:
    from engine_fixtures import Unique
    from following import Daemon
    from world import World

pytestmark = pytest.mark.engine


def test_the_last_content_wins_with_one_sync_and_one_restart(
    settled: World, daemon: Daemon, unique: Unique
) -> None:
    web = settled.start(unique("web"))
    settled.wait_for_line(web, "start 1.0 1")
    daemon.start()
    texts = []
    for version in ("2.0", "3.0"):
        settled.write_lock(settled.wheel("alpha", version))
        texts.append(settled.lock.read_bytes())
    settled.write_lock(settled.wheel("alpha", "1.0"))
    two, three = texts
    aside = settled.lock.with_name("requirements.new")

    for number in range(100):
        match number % 3:
            case 0:
                settled.lock.write_bytes(two[: len(two) - 40])
            case 1:
                aside.write_bytes(two + b"# %d\n" % number)
                os.replace(aside, settled.lock)  # noqa: PTH105 - as editors do
            case _:
                with settled.lock.open("r+b") as stream:
                    stream.truncate(10)
        time.sleep(0.01)  # a hundred times a second
    settled.lock.write_bytes(three)

    wait_for(lambda: settled.said(web)[-1].startswith("start 3.0"), "the last content", seconds=60)
    wait_for(lambda: not settled.environment.state().pending, "the end of the rollout", seconds=60)
    history = settled.environment.history()
    assert [event for event in history if event.kind == "failure"] == []
    # Where the machine stood still for so long that a save in between came to rest, there is one
    # sync and one restart for that too, and never more than one for each.
    changes = [event.changes for event in history if event.kind == "sync" and event.changes]
    assert changes[-1][0].endswith(" → 3.0")
    assert len(settled.said(web)) == len(changes) <= 3
    number = settled.environment.generations()[-1].number
    assert daemon.stop() == 0
    assert not unharmed(settled, number)
