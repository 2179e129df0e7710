"""Git hooks beside others': what starts them, what they compare, and what is left of them."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

import venvctl
from venvctl import disk, hookfiles, hooklocks, hooks
from venvctl.checks.finding import Finding, ok, warning
from venvctl.doctor import Doctor
from venvctl.errors import UsageError
from venvctl.hookfiles import Placement
from venvctl.registration import Registration
from venvctl.repository import Repository
from venvctl.root import Root
from venvctl.specification import EnvironmentSpecification
from venvctl.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ZERO = "0" * 40
LOCK = "requirements.lock"


@dataclass(slots=True)
class Git:
    """Runs git in one directory."""

    directory: Path

    def __call__(self, *arguments: str, **variables: str) -> str:
        """What it printed, on both streams; it must succeed."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.directory,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stdout}"
        return done.stdout

    def write(self, path: str, text: str) -> None:
        target = self.directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def commit(self, path: str, text: str, **variables: str) -> str:
        """Commit one file with this content."""
        self.write(path, text)
        self("add", path)
        return self("commit", "-m", f"{path}: {text}", **variables)


@dataclass(slots=True)
class Syncs:
    """Stands where `venvctl sync` is run, and remembers what it was asked for."""

    asked: list[list[str]] = field(default_factory=list)
    exit_code: int = 0

    def __call__(self, names: Sequence[str]) -> int:
        self.asked.append(list(names))
        return self.exit_code


@pytest.fixture(autouse=True)
def _own_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Git without this machine's settings, and hooks that find this venvctl."""
    for name in list(os.environ):
        if name.startswith("GIT_"):
            monkeypatch.delenv(name)
    settings = tmp_path / "gitconfig"
    settings.write_text(
        "[user]\n name = Test\n email = test@localhost\n[init]\n defaultBranch = main\n"
        "[advice]\n detachedHead = false\n[commit]\n gpgSign = false\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(venvctl.__file__).parents[1]))


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """A repository with one lockfile and one other file, committed."""
    directory = tmp_path / "shop"
    directory.mkdir()
    git = Git(directory)
    git("init")
    git.write(LOCK, "one\n")
    git.commit("app.py", "1\n")
    git.commit(LOCK, "one\n")
    return git


@pytest.fixture
def root(tmp_path: Path) -> Root:
    root = Root(tmp_path / "unnamed-root")
    root.create()
    return root


def register(root: Root, name: str, lock: Path, *, included: Sequence[Path] = ()) -> None:
    root.registry.claim(
        Registration(
            specification=EnvironmentSpecification(name=name, lock=lock),
            mount="/venv",
            images={"": "image"},
            labels={},
            project="",
            directory=lock.parent,
        )
    )
    inputs = {f"lock {path}": "digest" for path in (lock, *included)}
    root.environment(name).save_state(State(inputs=inputs))


def install(git: Git, root: Root, **arguments: object) -> hooks.Installation:
    return hooks.install(
        Repository.find(git.directory),
        root=root,
        root_path=root.path,
        **arguments,  # type: ignore[arg-type] # each test knows what it passes
    )


def run(git: Git, root: Root, hook: str = "post-commit") -> tuple[hooks.Run, list[list[str]]]:
    syncs = Syncs()
    return hooks.run(Repository.find(git.directory), hook, root=root, sync=syncs), syncs.asked


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.02)


def tree(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Every path below a directory with its mode, and its content or where it leads."""
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.is_symlink():
            content = str(path.readlink()).encode()
        else:
            content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(directory))] = (path.lstat().st_mode, content)
    return found


# What git itself changes when something is committed.
def hooks_tree(git: Git) -> dict[str, tuple[int, bytes]]:
    return {
        path: state
        for path, state in tree(git.directory / ".git").items()
        if path.startswith(("hooks", "venvctl", "config"))
    }


def test_a_commit_without_a_lock_starts_nothing(git: Git, root: Root) -> None:
    install(git, root, locks=[git.directory / LOCK])

    said = git.commit("app.py", "2\n", VENVCTL_HOOK_WAIT="1")

    assert "venvctl" not in said
    assert not (git.directory / ".git/venvctl/log").exists()
    assert not (git.directory / ".git/venvctl/lock").exists()


def test_a_commit_with_a_lock_is_taken_up_in_the_background(git: Git, root: Root) -> None:
    install(git, root, locks=[git.directory / LOCK])
    log = git.directory / ".git/venvctl/log"

    said = git.commit(LOCK, "two\n")

    assert f"venvctl: a lockfile changed; working on it in the background, see {log}\n" in said
    wait_for(lambda: log.exists() and "or `venvctl env add`." in log.read_text(), "a log")
    line, note = log.read_text().splitlines()
    assert line.endswith("Z post-commit: requirements.lock changed")
    assert note == (
        f"  No environment with a lockfile in {git.directory} is registered yet: "
        "`venvctl up`, or `venvctl env add`."
    )


def test_a_commit_can_wait(git: Git, root: Root) -> None:
    install(git, root, locks=[git.directory / LOCK])

    said = git.commit(LOCK, "two\n", VENVCTL_HOOK_WAIT="1")

    assert "post-commit: requirements.lock changed\n" in said
    assert "post-commit" not in git.commit("app.py", "2\n", VENVCTL_HOOK_WAIT="1")


def test_only_the_environments_whose_lock_changed_are_synced(git: Git, root: Root) -> None:
    git.commit("api/uv.lock", "one\n")
    git.commit("base.txt", "one\n")
    register(root, "shop_web", git.directory / LOCK, included=[git.directory / "base.txt"])
    register(root, "shop_api", git.directory / "api/uv.lock")
    register(root, "elsewhere", git.directory.parent / LOCK)

    done = install(git, root)

    assert done.locks == ("api/uv.lock", "base.txt", LOCK)
    assert run(git, root)[1] == []
    git("config", "core.hooksPath", "/dev/null")
    git.commit("api/uv.lock", "two\n")
    assert run(git, root)[1] == [["shop_api"]]
    git.commit("base.txt", "two\n")
    assert run(git, root)[1] == [["shop_web"]]
    assert run(git, root)[1] == []


def test_a_lock_that_a_sync_found_included_is_compared_from_then_on(git: Git, root: Root) -> None:
    git.commit("base.txt", "one\n")
    register(root, "shop_web", git.directory / LOCK)
    assert install(git, root).locks == (LOCK,)
    git("config", "core.hooksPath", "/dev/null")
    git.commit(LOCK, "-r base.txt\n")

    def sync(_names: Sequence[str]) -> int:
        lock, base = git.directory / LOCK, git.directory / "base.txt"
        register(root, "shop_web", lock, included=[base])
        return 0

    hooks.run(Repository.find(git.directory), "post-commit", root=root, sync=sync)

    assert run(git, root)[1] == []
    git.commit("base.txt", "two\n")
    assert run(git, root)[0].changed == ("base.txt",)
    assert "base.txt" in (git.directory / ".git/venvctl/hook").read_text()


def test_a_failed_sync_is_told_and_not_tried_again(git: Git, root: Root) -> None:
    register(root, "shop_web", git.directory / LOCK)
    install(git, root)
    git("config", "core.hooksPath", "/dev/null")
    git.commit(LOCK, "two\n")

    done = hooks.run(
        Repository.find(git.directory), "post-commit", root=root, sync=Syncs(exit_code=5)
    )

    assert (done.changed, done.environments, done.exit_code) == ((LOCK,), ("shop_web",), 5)
    assert run(git, root)[1] == []


def test_merge_checkout_and_rebase_are_taken_up_once_each(git: Git, root: Root) -> None:
    log = git.directory / ".git/venvctl/log"

    def taken() -> list[str]:
        """The hooks that found something, in the words of the log."""
        said = log.read_text().splitlines() if log.exists() else []
        return [line.split()[1] for line in said if line.endswith(f"{LOCK} changed")]

    install(git, root, locks=[git.directory / LOCK], wait=True)
    # Waiting hooks speak to git's own output: here they shall speak to the log.
    script = git.directory / ".git/venvctl/hook"
    script.write_text(script.read_text().replace("</dev/null >&2", '</dev/null >>"$here/log" 2>&1'))

    def keep_script() -> None:
        text = script.read_text()
        script.write_text(text.replace("</dev/null >&2", '</dev/null >>"$here/log" 2>&1'))

    git("checkout", "-q", "-b", "feature")
    git.commit(LOCK, "two\n")
    assert taken() == ["post-commit:"]
    keep_script()
    git("checkout", "-q", "main")
    assert taken()[1:] == ["post-checkout:"]
    keep_script()
    git("merge", "-q", "--no-ff", "--no-edit", "feature")
    assert taken()[2:] == ["post-merge:"]
    keep_script()
    git("reset", "-q", "--hard", "HEAD~1")
    git.commit("app.py", "2\n")
    assert taken()[3:] == ["post-commit:"], "a reset has no hook; the next commit notices"
    keep_script()
    git("rebase", "-q", "main", "feature")
    assert taken()[4:] == ["post-rewrite:"], "nothing in the middle of a rebase counts"


def test_switching_to_a_branch_and_back_is_two_changes(git: Git, root: Root) -> None:
    register(root, "shop_web", git.directory / LOCK)
    install(git, root)
    git("config", "core.hooksPath", "/dev/null")
    git("checkout", "-q", "-b", "feature")
    git.commit(LOCK, "two\n")
    run(git, root)

    git("checkout", "-q", "main")
    assert run(git, root, "post-checkout")[1] == [["shop_web"]]
    git("checkout", "-q", "feature")
    assert run(git, root, "post-checkout")[1] == [["shop_web"]]


def test_a_rebase_that_waits_for_its_user_is_left_alone(
    git: Git, root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "_REBASE_PATIENCE", 0.2)
    register(root, "shop_web", git.directory / LOCK)
    install(git, root)
    git("config", "core.hooksPath", "/dev/null")
    git("checkout", "-q", "-b", "feature")
    git.commit(LOCK, "two\n")
    git("checkout", "-q", "main")
    git.commit(LOCK, "three\n")
    with pytest.raises(AssertionError, match="CONFLICT"):
        git("rebase", "main", "feature")

    done, asked = run(git, root, "post-checkout")

    assert (done.notes, asked) == (("A rebase is at work; its end is taken up.",), [])
    git("rebase", "--abort")
    assert run(git, root)[1] == [["shop_web"]]


THEIRS = {
    "a script that ends itself": '#!/bin/sh\necho ran "$@" >>"{witness}"\nexit 0\n',
    "a strict script": '#!/usr/bin/env -S bash -eu\nset -o pipefail\necho ran "$@" >>"{witness}"\n',
    "another interpreter": "#!/usr/bin/env python3\nimport sys\n"
    'open("{witness}", "a").write(" ".join(["ran", *sys.argv[1:]]) + "\\n")\n',
    "no first line": 'echo ran "$@" >>"{witness}"\n',
    "no line end": "#!/bin/sh",
}


def test_a_hook_is_kept_where_it_can_t_be_linked(
    git: Git, root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = git.directory / ".git/hooks/post-commit"
    hook.write_text("#!/usr/bin/env python3\n")
    hook.chmod(0o750)
    before = hooks_tree(git)
    with monkeypatch.context() as patch:
        patch.setattr("os.link", refuse)
        install(git, root, locks=[git.directory / LOCK])
    kept = hook.parent / hookfiles.KEPT / "post-commit"

    assert kept.read_text() == "#!/usr/bin/env python3\n"
    assert kept.stat().st_mode & 0o777 == 0o750
    hooks.uninstall(Repository.find(git.directory))
    assert hooks_tree(git) == before


def refuse(*_: object, **__: object) -> None:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.mark.parametrize("kind", THEIRS)
def test_a_hook_that_was_there_runs_on_and_is_left_as_it_was(
    git: Git, root: Root, tmp_path: Path, kind: str
) -> None:
    witness = tmp_path / "witness"
    hook = git.directory / ".git/hooks/post-checkout"
    hook.write_text(THEIRS[kind].format(witness=witness))
    hook.chmod(0o750)
    before = hooks_tree(git)
    runs = kind != "no line end"  # that one is a first line and nothing more

    install(git, root, locks=[git.directory / LOCK])
    install(git, root, locks=[git.directory / LOCK])
    head = git("rev-parse", "HEAD").strip()
    git("checkout", "-q", "-b", "feature")

    assert witness.exists() == runs
    if runs:
        assert witness.read_text() == f"ran {head} {head} 1\n"
    said = git.commit(LOCK, "two\n", VENVCTL_HOOK_WAIT="1")
    assert f"post-commit: {LOCK} changed" in said
    said = git("checkout", "main", VENVCTL_HOOK_WAIT="1")
    assert f"post-checkout: {LOCK} changed" in said
    hooks.uninstall(Repository.find(git.directory))
    assert hooks_tree(git) == before


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_hook_that_was_there_is_never_away(git: Git, root: Root, kind: str) -> None:
    """Whenever venvctl is killed, git still runs what its user had."""
    theirs = "#!/usr/bin/env python3\nprint('theirs')\n"
    hook = git.directory / ".git/hooks/post-commit"
    (git.directory / "theirs").write_text(theirs)
    (git.directory / "theirs").chmod(0o755)
    if kind == "link":
        hook.symlink_to("../../theirs")
    else:
        shutil.copy(git.directory / "theirs", hook)
    kept = hook.parent / hookfiles.KEPT / "post-commit"
    moments = []

    def look(_: str, __: Path) -> None:
        called = hook if hook.read_text() == theirs else kept
        moments.append(called.read_text() == theirs and os.access(called, os.X_OK))

    disk.observers.append(look)
    try:
        install(git, root, locks=[git.directory / LOCK])
        hooks.uninstall(Repository.find(git.directory))
    finally:
        disk.observers.remove(look)

    assert len(moments) > 5
    assert all(moments)


def test_a_link_to_a_hook_in_the_work_tree_still_leads_there(git: Git, root: Root) -> None:
    git.write("scripts/hook.sh", "#!/bin/sh\necho theirs\n")
    (git.directory / "scripts/hook.sh").chmod(0o755)
    (git.directory / ".git/hooks/post-commit").symlink_to("../../scripts/hook.sh")
    before = hooks_tree(git)

    done = install(git, root, locks=[git.directory / LOCK])

    assert done.hooks["post-commit"] is Placement.WRAPPED
    said = git.commit(LOCK, "two\n", VENVCTL_HOOK_WAIT="1")
    assert "theirs" in said
    assert f"post-commit: {LOCK} changed" in said
    assert (git.directory / "scripts/hook.sh").read_text() == "#!/bin/sh\necho theirs\n"
    hooks.uninstall(Repository.find(git.directory))
    assert hooks_tree(git) == before


def test_a_program_is_called_with_its_exit_code(git: Git, root: Root) -> None:
    program = shutil.which("false")
    assert program is not None
    hook = git.directory / ".git/hooks/post-checkout"
    shutil.copy(program, hook)
    before = hooks_tree(git)

    install(git, root, locks=[git.directory / LOCK])

    with pytest.raises(AssertionError, match="checkout"):
        git("checkout", "-b", "feature")
    hooks.uninstall(Repository.find(git.directory))
    assert hooks_tree(git) == before


def test_a_hook_that_git_does_not_run_is_not_brought_to_life(git: Git, root: Root) -> None:
    hook = git.directory / ".git/hooks/post-commit"
    hook.write_text("#!/bin/sh\necho theirs\n")
    hook.chmod(0o644)
    before = hooks_tree(git)

    install(git, root, locks=[git.directory / LOCK])

    assert "theirs" not in git.commit(LOCK, "two\n", VENVCTL_HOOK_WAIT="1")
    hooks.uninstall(Repository.find(git.directory))
    assert hooks_tree(git) == before


def test_lines_that_were_added_to_our_hook_since_stay(git: Git, root: Root) -> None:
    install(git, root, locks=[git.directory / LOCK])
    hook = git.directory / ".git/hooks/post-commit"
    hook.write_text(hook.read_text() + "echo later\n")

    hooks.uninstall(Repository.find(git.directory))

    assert hook.read_text() == "#!/bin/sh\necho later\n"
    assert not (git.directory / ".git/hooks/post-merge").exists()


def test_a_missing_directory_of_hooks_is_made_and_removed(git: Git, root: Root) -> None:
    shutil.rmtree(git.directory / ".git/hooks")

    install(git, root, locks=[git.directory / LOCK])
    install(git, root, locks=[git.directory / LOCK])
    assert f"post-commit: {LOCK} changed" in git.commit(LOCK, "two\n", VENVCTL_HOOK_WAIT="1")
    hooks.uninstall(Repository.find(git.directory))

    assert not (git.directory / ".git/hooks").exists()


def test_a_venvctl_that_is_gone_does_not_fail_a_commit(git: Git, root: Root) -> None:
    install(git, root, locks=[git.directory / LOCK])
    script = git.directory / ".git/venvctl/hook"
    [program] = [
        line.removeprefix("program=")
        for line in script.read_text().splitlines()
        if line.startswith("program=")
    ]
    script.write_text(script.read_text().replace(program, "/gone/venvctl"))

    said = git.commit(LOCK, "two\n")

    assert (
        "venvctl: a lockfile changed, and /gone/venvctl is gone: install it again and run "
        "`venvctl hook install`, or `venvctl hook uninstall`\n" in said
    )


def test_each_work_tree_compares_its_own_locks(git: Git, root: Root, tmp_path: Path) -> None:
    before = hooks_tree(git)
    git("worktree", "add", "-q", "-b", "feature", str(tmp_path / "linked"))
    linked = Git(tmp_path / "linked")
    register(root, "main_web", git.directory / LOCK)
    register(root, "linked_web", linked.directory / LOCK)

    install(linked, root, wait=True)
    assert "venvctl" not in git.commit(LOCK, "two\n")
    said = linked.commit(LOCK, "three\n")
    assert f"post-commit: {LOCK} changed" in said
    assert "linked_web" in said
    assert "main_web" not in said

    install(git, root)
    done = hooks.uninstall(Repository.find(linked.directory))
    assert done.hooks == ()
    assert done.notes == (
        f"The hooks stay for another work tree of this repository ({git.directory / '.git'}).",
    )
    assert "venvctl" in git.commit(LOCK, "four\n")
    assert hooks.uninstall(Repository.find(git.directory)).hooks == hooks.WORK_TREE_HOOKS
    assert hooks_tree(git) == before


def test_hooks_that_repositories_share_are_not_touched(
    git: Git, root: Root, tmp_path: Path
) -> None:
    shared = tmp_path / "shared-hooks"
    shared.mkdir()
    git("config", "core.hooksPath", str(shared))

    done = install(git, root, locks=[git.directory / LOCK])

    assert list(shared.iterdir()) == []
    assert done.hooks == {}
    [note] = done.notes
    assert note == (
        f"Git runs the hooks of {shared} (core.hooksPath), which other repositories may share, so "
        "they were not touched. Each of post-commit, post-merge, post-checkout, post-rewrite there "
        "takes these lines, with its own name in them:\n"
        f"{hookfiles.lines('post-commit')}"
        "Or give this repository hooks of its own: "
        f"`git config core.hooksPath {git.directory}/.git/hooks`."
    )
    # What it says is enough.
    (shared / "post-commit").write_text("#!/bin/sh\n" + hookfiles.lines("post-commit"))
    (shared / "post-commit").chmod(0o755)
    assert f"post-commit: {LOCK} changed" in git.commit(LOCK, "two\n", VENVCTL_HOOK_WAIT="1")
    repository = Repository.find(git.directory)
    assert hooks.absent(repository) == ("post-merge", "post-checkout", "post-rewrite")
    [note] = hooks.uninstall(repository).notes
    assert note == (
        f"The hooks of {shared} (core.hooksPath), which other repositories may share, were not "
        "touched: venvctl's lines there do nothing here any more."
    )


def test_hooks_in_the_work_tree_are_changed_and_named(git: Git, root: Root) -> None:
    git.write(".githooks/post-commit", "#!/bin/sh\necho theirs\n")
    (git.directory / ".githooks/post-commit").chmod(0o755)
    git("config", "core.hooksPath", ".githooks")
    before = tree(git.directory / ".githooks")

    done = install(git, root, locks=[git.directory / LOCK])

    assert done.hooks["post-commit"] is Placement.INSERTED
    [note] = done.notes
    assert note == (
        f"Git runs the hooks of {git.directory}/.githooks, which are part of the work tree: "
        "commit them or not, they do nothing where `venvctl hook install` was not run."
    )
    said = git.commit(LOCK, "two\n", VENVCTL_HOOK_WAIT="1")
    assert "theirs" in said
    assert f"post-commit: {LOCK} changed" in said
    hooks.uninstall(Repository.find(git.directory))
    assert tree(git.directory / ".githooks") == before


def test_husky_calls_the_hooks_that_it_does_not_make_itself(git: Git, root: Root) -> None:
    # What husky 9.1 writes, without its messages.
    git.write(
        ".husky/_/h",
        '#!/usr/bin/env sh\nn=$(basename "$0")\ns=$(dirname "$(dirname "$0")")/$n\n'
        '[ ! -f "$s" ] && exit 0\nsh -e "$s" "$@"\nc=$?\nexit $c\n',
    )
    for name in hooks.WORK_TREE_HOOKS:
        git.write(f".husky/_/{name}", '#!/usr/bin/env sh\n. "$(dirname "$0")/h"\n')
        (git.directory / ".husky/_" / name).chmod(0o755)
    # Husky runs what it does not have to be able to run by itself.
    git.write(".husky/post-commit", "echo theirs\n")
    git("config", "core.hooksPath", ".husky/_")
    before = tree(git.directory / ".husky")

    done = install(git, root, locks=[git.directory / LOCK])

    assert done.hooks_directory == git.directory / ".husky"
    assert tree(git.directory / ".husky/_") == {
        path.removeprefix("_/"): state for path, state in before.items() if path.startswith("_/")
    }
    said = git.commit(LOCK, "two\n", VENVCTL_HOOK_WAIT="1")
    assert "theirs\n" in said
    assert f"post-commit: {LOCK} changed" in said
    hooks.uninstall(Repository.find(git.directory))
    assert tree(git.directory / ".husky") == before


def test_a_hook_that_another_manager_made_anew_is_noticed(git: Git, root: Root) -> None:
    install(git, root, locks=[git.directory / LOCK])
    repository = Repository.find(git.directory)
    assert hooks.absent(repository) == ()

    git.write(".git/hooks/post-commit", "#!/bin/sh\necho theirs\n")

    assert hooks.absent(repository) == ("post-commit",)


@pytest.fixture
def bare(git: Git, tmp_path: Path) -> Git:
    """A bare repository that `git` pushes to as `origin`."""
    directory = tmp_path / "shop.git"
    git("clone", "-q", "--bare", str(git.directory), str(directory))
    git("remote", "add", "origin", str(directory))
    return Git(directory)


def test_a_push_writes_the_lock_of_the_pushed_commit(git: Git, bare: Git, root: Root) -> None:
    theirs = bare.directory / "hooks/post-receive"
    theirs.write_text('#!/bin/sh\nwhile read -r old new ref; do echo "theirs: $ref"; done\n')
    theirs.chmod(0o755)
    before = tree(bare.directory / "hooks")
    done = install(bare, root, locks=[bare.directory / LOCK], branches=["main"], wait=True)
    lock = done.received["main"] / LOCK
    assert lock.read_text() == "one\n"
    register(root, "shop_web", lock)

    git.commit(LOCK, "-r base/deep.txt\n")
    git.commit("base/deep.txt", "six==1.17.0\n")
    said = git("push", "origin", "main")

    assert "remote: theirs: refs/heads/main" in said
    assert f"post-receive: main:{LOCK} changed" in said
    assert lock.read_text() == "-r base/deep.txt\n"
    assert (done.received["main"] / "base/deep.txt").read_text() == "six==1.17.0\n"

    git.commit("base/deep.txt", "six==1.16.0\n")
    said = git("push", "origin", "main")
    assert "post-receive: main:base/deep.txt changed" in said
    assert (done.received["main"] / "base/deep.txt").read_text() == "six==1.16.0\n"

    hooks.uninstall(Repository.find(bare.directory))
    assert tree(bare.directory / "hooks") == before
    assert not (bare.directory / "venvctl").exists()


def test_a_push_to_another_branch_starts_nothing(git: Git, bare: Git, root: Root) -> None:
    install(bare, root, locks=[bare.directory / LOCK], branches=["main", "release/1"], wait=True)
    git("checkout", "-q", "-b", "feature")
    git.commit(LOCK, "two\n")

    assert "venvctl" not in git("push", "origin", "feature")
    said = git("push", "origin", "feature:release/1")

    assert f"post-receive: release/1:{LOCK} changed" in said
    written = bare.directory / "venvctl/received/release%2F1" / LOCK
    assert written.read_text() == "two\n"
    assert (bare.directory / "venvctl/received/main" / LOCK).read_text() == "one\n"


def test_a_push_to_a_branch_like_a_pattern_is_taken_up(git: Git, bare: Git, root: Root) -> None:
    done = install(
        bare, root, locks=[bare.directory / LOCK], branches=["main", "release/*"], wait=True
    )
    assert (list(done.received), done.patterns) == (["main"], ("release/*",))
    git.commit(LOCK, "two\n")

    said = git("push", "origin", "main:release/2")

    assert f"post-receive: release/2:{LOCK} changed" in said
    lock = bare.directory / "venvctl/received/release%2F2" / LOCK
    assert lock.read_text() == "two\n"
    assert (
        f"No environment is made of {lock} yet: `venvctl env add NAME --lock {lock} --image IMAGE`."
    ) in " ".join(said.replace("remote:", "").split())
    git.commit("app.py", "3\n")
    assert "venvctl" not in git("push", "origin", "main:release/2")
    assert f"post-receive: main:{LOCK} changed" in git("push", "origin", "main")


@pytest.mark.parametrize("branch", ["release/2/x", "releases", "next/x", "feature"])
def test_a_push_to_a_branch_that_a_pattern_does_not_match_starts_nothing(
    git: Git, bare: Git, root: Root, branch: str
) -> None:
    install(bare, root, locks=[bare.directory / LOCK], branches=["next", "release/*"], wait=True)
    git.commit(LOCK, "two\n")

    assert "venvctl" not in git("push", "origin", f"main:{branch}")

    assert not (bare.directory / "venvctl/received").exists()


def test_an_environment_of_a_branch_like_a_pattern_is_synced(
    git: Git, bare: Git, root: Root
) -> None:
    git("push", "-q", "origin", "main:release/1", "main:release/2")
    done = install(bare, root, locks=[bare.directory / LOCK], branches=["release/*"])
    register(root, "shop_one", done.received["release/1"] / LOCK)
    register(root, "shop_two", done.received["release/2"] / LOCK)
    bare("config", "core.hooksPath", "/dev/null")
    git.commit(LOCK, "two\n")
    git("push", "-q", "origin", "main:release/2")

    assert run(bare, root, "post-receive")[1] == [["shop_two"]]


def test_a_branch_like_a_pattern_that_is_gone_stays_as_it_was(
    git: Git, bare: Git, root: Root
) -> None:
    git("push", "-q", "origin", "main:release/1")
    done = install(bare, root, locks=[bare.directory / LOCK], branches=["release/*"])
    register(root, "shop_one", done.received["release/1"] / LOCK)
    bare("config", "core.hooksPath", "/dev/null")
    git("push", "-q", "origin", ":release/1")

    result, asked = run(bare, root, "post-receive")

    assert result.notes == (
        f"Branch release/1: The lockfile {LOCK} does not exist. What was received before stays.",
    )
    assert asked == []
    assert (done.received["release/1"] / LOCK).read_text() == "one\n"
    assert run(bare, root, "post-receive")[0].changed == ()


def test_a_branch_may_be_called_anything_that_git_allows(git: Git, bare: Git, root: Root) -> None:
    install(bare, root, locks=[bare.directory / LOCK], branches=["*"], wait=True)
    git.commit(LOCK, "two\n")
    names = ["$(touch${IFS}x)", "a;touch${IFS}x;'\"&|`", "%2F", "ü" * 50]

    said = git("push", "origin", *(f"main:refs/heads/{name}" for name in names))

    received = bare.directory / "venvctl/received"
    for name in names[:-1]:
        assert (received / quote(name, safe="") / LOCK).read_text() == "two\n"
    assert f"Branch {names[-1]}: its name is too long for a directory's." in said
    assert not (bare.directory / "x").exists()


def test_only_environments_of_the_pushed_branch_are_synced(git: Git, bare: Git, root: Root) -> None:
    done = install(bare, root, locks=[bare.directory / LOCK], branches=["main", "next"])
    register(root, "shop_main", done.received["main"] / LOCK)
    register(root, "shop_next", done.received["next"] / LOCK)
    bare("config", "core.hooksPath", "/dev/null")
    git.commit(LOCK, "two\n")
    git("push", "-q", "origin", "main")

    assert run(bare, root, "post-receive")[1] == [["shop_main"]]
    git("push", "-q", "origin", "main:next")
    assert run(bare, root, "post-receive")[1] == [["shop_next"]]


@pytest.mark.parametrize("kind", ["removed", "link", "directory"])
def test_a_lock_that_is_gone_from_a_branch_stays_as_it_was(
    git: Git, bare: Git, root: Root, kind: str
) -> None:
    done = install(bare, root, locks=[bare.directory / LOCK], branches=["main"])
    bare("config", "core.hooksPath", "/dev/null")
    (git.directory / LOCK).unlink()
    if kind == "link":
        (git.directory / LOCK).symlink_to("/etc/passwd")
    elif kind == "directory":
        git.write(f"{LOCK}/file", "x\n")
    git("add", "-A")
    git("commit", "-qm", kind)
    git("push", "-q", "origin", "main")

    result, _ = run(bare, root, "post-receive")

    reason = "does not exist" if kind == "removed" else "is not a file"
    assert result.notes[0] == (
        f"Branch main: The lockfile {LOCK} {reason}. What was received before stays."
    )
    assert (done.received["main"] / LOCK).read_text() == "one\n"


def test_a_pushed_lock_can_not_name_files_outside_of_the_repository(
    git: Git, bare: Git, root: Root
) -> None:
    outside = bare.directory / "secret.txt"
    outside.write_text("six==1.17.0\n")
    done = install(bare, root, locks=[bare.directory / LOCK], branches=["main"])
    bare("config", "core.hooksPath", "/dev/null")
    git.commit(LOCK, "-r ../../../secret.txt\n")
    git("push", "-q", "origin", "main")

    run(bare, root, "post-receive")

    assert sorted(tree(done.received["main"])) == [LOCK]


def test_a_root_of_another_user_leaves_the_file_to_its_daemon(
    git: Git, bare: Git, root: Root
) -> None:
    install(bare, root, locks=[bare.directory / LOCK], branches=["main"])
    bare("config", "core.hooksPath", "/dev/null")
    git.commit(LOCK, "two\n")
    git("push", "-q", "origin", "main")

    done = hooks.run(Repository.find(bare.directory), "post-receive", root=None, sync=Syncs())

    assert done.notes == (
        "The root belongs to another user: the daemon that follows the file takes it up.",
    )
    assert (bare.directory / "venvctl/received/main" / LOCK).read_text() == "two\n"


def test_what_can_not_be_installed_says_what_to_type(
    git: Git, bare: Git, root: Root, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        install(git, root)
    assert caught.value.message == f"No environment has its lockfile in {git.directory}."
    assert caught.value.hint == (
        "Run `venvctl up` in the project first, or name the lockfile: "
        "`venvctl hook install --lock requirements.lock`."
    )
    with pytest.raises(UsageError) as caught:
        install(git, root, branches=["main"])
    assert caught.value.message == (
        f"{git.directory} is a work tree, which has one branch at a time."
    )
    with pytest.raises(UsageError) as caught:
        install(bare, root, locks=[bare.directory / LOCK])
    assert caught.value.message == f"{bare.directory} is a bare repository, and no branch was said."
    with pytest.raises(UsageError) as caught:
        install(bare, root, locks=[bare.directory / LOCK], branches=["main", "release/[1"])
    assert caught.value.message == (
        "'release/[1' can't be the name of a branch, or a pattern for some."
    )
    assert caught.value.hint == (
        "Say --branch once for each: main, or 'release/*' in quotes, where * stands for anything "
        "without a slash."
    )
    with pytest.raises(UsageError) as caught:
        install(git, root, locks=[git.directory / "../other.lock"])
    assert caught.value.message == (
        f"The lockfile {git.directory.parent}/other.lock is not in {git.directory}."
    )
    with pytest.raises(UsageError) as caught:
        Repository.find(tmp_path)
    assert caught.value.message == (
        f"{tmp_path} is in no git repository: not a git repository "
        "(or any of the parent directories): .git."
    )
    assert not (git.directory / ".git/venvctl").exists()


def test_a_lock_that_git_does_not_track_is_told(git: Git, root: Root) -> None:
    git.write("local.lock", "x\n")

    done = install(git, root, locks=[git.directory / "local.lock"])

    assert done.notes == ("local.lock is not under version control: no hook will see it change.",)


@pytest.mark.parametrize("name", ["with space.lock", "it's.lock", "ünï $(touch x).lock"])
def test_any_file_name_is_compared(git: Git, root: Root, name: str) -> None:
    git.commit(name, "one\n")
    install(git, root, locks=[git.directory / name])

    assert "venvctl" not in git.commit("app.py", "2\n")
    said = git.commit(name, "two\n", VENVCTL_HOOK_WAIT="1")

    assert f"post-commit: {name} changed" in said
    assert "venvctl" not in git.commit("app.py", "3\n")
    assert not (git.directory / "x").exists()


def test_a_manager_of_hooks_may_run_it_without_an_installation(git: Git, root: Root) -> None:
    register(root, "shop_web", git.directory / LOCK)

    _, asked = run(git, root)

    assert asked == [["shop_web"]]
    assert not (git.directory / ".git/venvctl").exists()


def test_received_files_of_two_branches_never_share_a_path(bare: Git) -> None:
    repository = Repository.find(bare.directory)

    assert hooklocks.received_directory(repository, "a/b").name == "a%2Fb"
    assert hooklocks.received_directory(repository, "a/b").parent == (
        hooklocks.received_directory(repository, "a").parent
    )


def test_doctor_says_when_a_lock_is_not_compared(git: Git, root: Root) -> None:
    register(root, "shop_web", git.directory / LOCK)
    install(git, root)

    def told() -> list[Finding]:
        doctor = Doctor(root.path, cwd=git.directory, load=lambda: None, offline=True)
        return [finding for finding in doctor.examine() if finding.name == "hooks"]

    assert told() == [
        ok("hooks", f"The git hooks of {git.directory} compare every lockfile there.")
    ]
    register(root, "shop_api", git.directory / "api/uv.lock")
    assert told() == [
        warning(
            "hooks",
            f"The git hooks of {git.directory} do not compare api/uv.lock.",
            "`venvctl hook install` again.",
        )
    ]
