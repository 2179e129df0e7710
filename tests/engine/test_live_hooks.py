"""Git hooks with the real engine: a commit is served, and a branch and back costs a flip."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

import venvctl
from venvctl import hooks
from venvctl.repository import Repository

if TYPE_CHECKING:
    from world import World

pytestmark = pytest.mark.engine


class Git(Protocol):
    """Runs git in a world's folder; it must end with that code."""

    def __call__(self, *arguments: str, code: int = 0) -> str: ...


def _git(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Git:
    """Git without this machine's settings, and hooks that find this venvctl and its root."""
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

    def git(*arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            ["git", "-C", str(world.folder), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    return git


def test_a_branch_and_back_reuses_what_is_there(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    git = _git(world, monkeypatch, tmp_path)

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

    head, _, rest = said.partition("post-commit: requirements.lock changed\n")
    assert "made and current" in rest  # what it is about is said first
    assert "made and current" not in head
    assert (current(), world.python("import alpha; print(alpha.VERSION)")) == (2, "2.0")
    git("checkout", "-q", "main")
    assert (current(), world.python("import alpha; print(alpha.VERSION)")) == (1, "1.0")
    git("checkout", "-q", "feature")
    assert (current(), world.python("import alpha; print(alpha.VERSION)")) == (2, "2.0")
    assert [each.number for each in world.environment.generations()] == [1, 2]


def test_the_pre_commit_framework_syncs_after_a_commit_and_refuses_a_lock_that_is_no_use(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The framework itself, with the hooks that this repository offers."""
    git = _git(world, monkeypatch, tmp_path)
    offered = tmp_path / "offered"
    offered.mkdir()
    shutil.copy(Path(__file__).parents[2] / ".pre-commit-hooks.yaml", offered)
    subprocess.run(["git", "init", "-q"], cwd=offered, check=True)
    subprocess.run(["git", "add", "."], cwd=offered, check=True)
    subprocess.run(["git", "commit", "-qm", "offered"], cwd=offered, check=True)
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=offered, check=True, capture_output=True, text=True
    )
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "pre-commit"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    world.folder = tmp_path / "shop"
    world.folder.mkdir()
    # JSON is YAML
    (world.folder / ".pre-commit-config.yaml").write_text(
        json.dumps(
            {
                "repos": [
                    {
                        "repo": str(offered),
                        "rev": done.stdout.strip(),
                        "hooks": [{"id": "venvctl"}, {"id": "venvctl-check"}],
                    }
                ]
            }
        )
    )
    git("init", "-q", "-b", "main")
    stages = ("pre-commit", "post-commit", "post-merge", "post-checkout", "post-rewrite")
    subprocess.run(
        ["pre-commit", "install", *(f"--hook-type={stage}" for stage in stages)],
        cwd=world.folder,
        check=True,
    )
    world.write_lock(world.wheel("alpha", "1.0"))
    git("add", ".")

    # Nobody has brought anything up here yet: that is no fault of the lock.
    git("commit", "-m", "one")
    world.root.create()
    world.root.registry.claim(world.registration)
    world.sync()
    world.write_lock(world.wheel("alpha", "2.0"))
    said = git("commit", "-am", "two")

    assert "venvctl hook check" in said
    current = world.environment.current()
    assert current is not None
    assert current.number == 2
    world.lock.write_text("alpha==3.0 --hash=sha256:abc\n")
    refused = git("commit", "-am", "three", code=1)
    assert "requirements.lock:1: The hash 'sha256:abc' is malformed" in refused
