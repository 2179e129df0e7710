"""Git hooks with the real engine: a commit is served, and a branch and back costs a flip."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import venvctl
from venvctl import hooks
from venvctl.repository import Repository

if TYPE_CHECKING:
    from world import World

pytestmark = pytest.mark.engine


def test_a_branch_and_back_reuses_what_is_there(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in list(os.environ):
        if name.startswith("GIT_"):
            monkeypatch.delenv(name)
    settings = tmp_path / "gitconfig"
    settings.write_text("[user]\n name = Test\n email = test@localhost\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(venvctl.__file__).parents[1]))
    monkeypatch.setenv("VENVCTL_ROOT", str(world.root.path))
    monkeypatch.setenv("VENVCTL_SOCKET", str(tmp_path / "no-daemon.sock"))
    monkeypatch.setenv("VENVCTL_HOOK_WAIT", "1")

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(world.folder), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def current() -> int:
        generation = world.environment.current()
        assert generation is not None
        return generation.number

    world.write_lock(world.wheel("alpha", "1.0"))
    git("init", "-q", "-b", "main")
    git("add", world.lock.name)
    git("commit", "-qm", "one")
    world.sync()
    world.root.registry.claim(world.registration)
    hooks.install(Repository.find(world.folder), root=world.root, root_path=world.root.path)

    git("checkout", "-q", "-b", "feature")
    world.write_lock(world.wheel("alpha", "2.0"))
    said = git("commit", "-qam", "two")

    assert "post-commit: requirements.lock changed" in said
    assert (current(), world.python("import alpha; print(alpha.VERSION)")) == (2, "2.0")
    git("checkout", "-q", "main")
    assert (current(), world.python("import alpha; print(alpha.VERSION)")) == (1, "1.0")
    git("checkout", "-q", "feature")
    assert (current(), world.python("import alpha; print(alpha.VERSION)")) == (2, "2.0")
    assert [each.number for each in world.environment.generations()] == [1, 2]
