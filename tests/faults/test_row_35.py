"""FAULTS 35: who stands beside a container that is restarted, and what hangs on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from promises import unharmed

if TYPE_CHECKING:
    from engine_fixtures import MakeProject, Unique
    from world import World

pytestmark = pytest.mark.engine


def test_the_first_three_are_undisturbed_and_the_last_follows(
    settled: World, unique: Unique, compose_project: MakeProject
) -> None:
    web = settled.start(unique("web"))
    name = settled.container(web).name
    sharer = settled.start(unique("a-sharer"), "--network", f"container:{name}")
    sleeper = settled.docker(
        "run", "--detach", "--name", unique("sleeper"), "--network", f"container:{name}",
        settled.image, "python3", "-c", "import signal; signal.pause()",
    )  # fmt: skip
    passing = settled.start(unique("passing"), "--rm")
    shell = settled.start(unique("shell"), "--tty", "--interactive")
    directory = compose_project(
        f"services:\n  job:\n    image: {settled.image}\n    volumes: ['venv:/venv']\n"
        "    command: [/venv/bin/python, -c, 'import signal, alpha; signal.pause()']\n"
        f"volumes:\n  venv:\n    external: true\n    name: {settled.name}\n"
    )
    one_off = settled.docker(
        "compose", "--project-directory", str(directory), "run", "--detach", "job"
    )  # fmt: skip
    for holder in (web, sharer, passing, shell):
        settled.wait_for_line(holder, "start 1.0 1")
    before = {
        one: settled.container(one).started_at
        for one in (web, sharer, sleeper, passing, shell, one_off)
    }
    settled.write_lock(settled.wheel("alpha", "2.0"))

    settled.sync()

    after = {one: settled.container(one).started_at for one in before}
    assert {one for one in before if before[one] != after[one]} == {web, sharer, sleeper}
    assert after[web] < min(after[sharer], after[sleeper])
    for holder in (web, sharer):
        settled.wait_for_line(holder, "start 2.0 2")
    assert all(settled.container(one).running for one in before)
    settled.docker("rm", "--force", one_off)
    assert not unharmed(settled, 2)
