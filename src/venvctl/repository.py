"""A git repository as its hooks see it: where things are, and what a commit has at a path."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from venvctl.errors import UsageError, VenvctlError

if TYPE_CHECKING:
    from collections.abc import Sequence

# How files are listed, in the hook's script too; names stand there as they are.
LISTING = ("-c", "core.quotePath=false", "ls-tree", "--full-tree")
# How branches are, where patterns choose them.
BRANCHES = ("for-each-ref", "--format=%(refname)")
_FILE_MODES = frozenset({"100644", "100755"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a commit has at a path.

    Attributes:
        path: from the top of the tree.
        mode: git's, in octal digits.
        object: ID of the content.
    """

    path: str
    mode: str
    object: str

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file: no link, no directory, no submodule."""
        return self.mode in _FILE_MODES


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """One repository, seen from one of its work trees or as a bare one; all paths are absolute.

    Attributes:
        git_directory: what ``$GIT_DIR`` is here; each linked work tree has one of its own.
        common_directory: what all work trees share.
        work_tree: its top; None for a bare repository.
        hooks_directory: where git looks for hooks, `core.hooksPath` taken into account.
    """

    git_directory: Path
    common_directory: Path
    work_tree: Path | None
    hooks_directory: Path

    @classmethod
    def find(cls, directory: Path) -> Repository:
        """The repository that a directory is in.

        Raises:
            UsageError: it is in none.
            VenvctlError: git is missing, or too old.
        """
        place = _ask(directory, "rev-parse", "--is-bare-repository", "--absolute-git-dir")
        if place.returncode != 0:
            raise UsageError(
                f"{directory} is in no git repository: {_last_line(place.stderr)}.",
                hint="Go into a work tree, or into a bare repository.",
            )
        bare, git_directory = place.stdout.decode().splitlines()
        top = Path(git_directory)
        work_tree = None
        if bare != "true":
            shown = _ask(directory, "rev-parse", "--show-toplevel")
            if shown.returncode != 0:
                raise UsageError(
                    f"{directory} is in a git directory, not in its work tree.",
                    hint="Go to the top of the work tree.",
                )
            top = work_tree = Path(os.fsdecode(shown.stdout).rstrip("\n"))
        # A relative core.hooksPath starts where git runs hooks: at the top.
        paths = _told(
            top, "rev-parse", "--path-format=absolute", "--git-common-dir", "--git-path", "hooks"
        )
        common, hooks = os.fsdecode(paths).splitlines()
        return cls(
            git_directory=Path(git_directory),
            common_directory=Path(common),
            work_tree=work_tree,
            hooks_directory=Path(hooks),
        )

    @property
    def top(self) -> Path:
        """Where git runs hooks: the work tree's top, or the bare repository."""
        return self.work_tree or self.git_directory

    @property
    def rebasing(self) -> bool:
        """Whether a rebase is at work, or waits for its user."""
        return any(
            (self.git_directory / name).is_dir() for name in ("rebase-merge", "rebase-apply")
        )

    def entries(self, revision: str, paths: Sequence[str]) -> tuple[Entry, ...]:
        """What a commit has at some paths; nothing where there is no such commit, or no such path.

        Args:
            revision: a commit as git names it, e.g. ``HEAD``.
            paths: from the top of the tree, taken literally.
        """
        if not paths:
            return ()
        done = _ask(self.top, "ls-tree", "--full-tree", "-z", revision, "--", *paths)
        found = []
        for line in os.fsdecode(done.stdout).split("\0")[:-1]:
            words, _, path = line.partition("\t")
            mode, _, name = words.split(" ")
            found.append(Entry(path=path, mode=mode, object=name))
        return tuple(found)

    def listing(self, revision: str, paths: Sequence[str]) -> str:
        """The same as the hook's script sees it: git's own lines."""
        done = _ask(self.top, *LISTING, revision, "--", *paths)
        return os.fsdecode(done.stdout)

    def content(self, entry: Entry) -> bytes:
        """The bytes of a file of a commit."""
        return _told(self.top, "cat-file", "blob", entry.object)

    def commit(self, revision: str) -> str:
        """The ID of a commit; empty where there is none, as before a repository's first one."""
        done = _ask(self.top, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        return done.stdout.decode().strip()

    def references(self, patterns: Sequence[str]) -> list[str]:
        """The references that patterns match (git-for-each-ref(1)), sorted."""
        done = _told(self.top, *BRANCHES, *patterns) if patterns else b""
        return os.fsdecode(done).splitlines()

    def may_be_branch(self, name: str) -> bool:
        """Whether git takes a name for a branch's (git-check-ref-format(1)); no pattern is one."""
        return _ask(self.top, "check-ref-format", f"refs/heads/{name}").returncode == 0

    def tracks(self, path: Path) -> bool:
        """Whether a file of the work tree is under version control."""
        return _ask(self.top, "ls-files", "--error-unmatch", "--", str(path)).returncode == 0

    def hook_directories(self) -> list[Path]:
        """The git directories of all its work trees, this one's among them."""
        return [self.common_directory, *sorted((self.common_directory / "worktrees").glob("*"))]


def _told(directory: Path, *arguments: str) -> bytes:
    done = _ask(directory, *arguments)
    if done.returncode != 0:
        raise VenvctlError(
            f"`git {arguments[0]}` failed in {directory}: {_last_line(done.stderr)}.",
            hint="Git 2.31 or later is needed.",
        )
    return done.stdout


def _ask(directory: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    # Inside a hook these variables would lead to the repository that the hook belongs to.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith(("GIT_CONFIG_", "GIT_TRACE"))
    }
    try:
        return subprocess.run(
            ["git", *arguments],  # noqa: S607 - the user's own git, by their PATH
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise VenvctlError(
            f"git can't be run in {directory}: {error.strerror}.", hint="Install git."
        ) from error


def _last_line(text: bytes) -> str:
    lines = text.decode(errors="replace").strip().splitlines() or ["no reason given"]
    return lines[-1].removeprefix("fatal: ").rstrip(".")
