"""The source of one commit, had with the git command."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from venvctl import disk
from venvctl.credentials import origin, separate
from venvctl.errors import UnavailableError
from venvctl.lockfiles.locations import redact

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# How a commit may come. The others can read this host's files (file) or run programs (ext).
_PROTOCOLS = "https:ssh"
_SECONDS = 1800
_SHA256_DIGITS = 64
_SETTINGS = {
    # A repository can't bring hooks of its own; this keeps those of the user's templates away too.
    "core.hooksPath": "/dev/null",
    "protocol.ext.allow": "never",
    "transfer.fsckObjects": "true",
    "advice.detachedHead": "false",
    "gc.auto": "0",
    "log.showSignature": "false",
}
# Set where a hook of git runs venvctl: they would lead to that repository
# (`git rev-parse --local-env-vars`).
_LOCAL = frozenset(
    f"GIT_{name}"
    for name in (
        *("DIR", "WORK_TREE", "INDEX_FILE", "OBJECT_DIRECTORY", "COMMON_DIR", "PREFIX"),
        *("ALTERNATE_OBJECT_DIRECTORIES", "NAMESPACE", "QUARANTINE_PATH", "GRAFT_FILE"),
        *("SHALLOW_FILE", "IMPLICIT_WORK_TREE", "CONFIG", "CONFIG_PARAMETERS", "TEMPLATE_DIR"),
    )
)


def checkout(url: str, commit: str, *, into: Path, title: str) -> str:
    """Have the files of a commit, with those of its submodules.

    The whole history comes with it: build backends take the version from its tags.

    Args:
        url: of the repository, HTTPS or SSH; it may carry credentials, which git sends and does
            not keep.
        commit: the full hash.
        into: a directory to make.
        title: of the package, for messages.

    Returns:
        What git writes into a ``.git_archival.txt``, for a build where there is no git.

    Raises:
        UnavailableError: it can't be had; the message has git's own words.
        DiskFullError, RootError: as `disk.translate`.
    """
    try:
        repository = _Repository(into, url, title)
    except ValueError as error:
        raise UnavailableError(f"{title} can't be had: its URL is malformed ({error}).") from error
    with disk.translate(into):
        into.mkdir()
    kind = "sha256" if len(commit) == _SHA256_DIGITS else "sha1"
    repository.run("init", "--quiet", "--template=", f"--object-format={kind}")
    repository.run("remote", "add", "origin", repository.url)
    repository.run("fetch", "--quiet", "--tags", "--no-recurse-submodules", "origin")
    if not repository.has(commit):
        # No branch leads to it any more; some servers give it all the same.
        repository.run("fetch", "--quiet", "--no-recurse-submodules", "origin", commit)
    repository.run("checkout", "--quiet", "--detach", commit)
    found = repository.run("rev-parse", "HEAD").strip()
    if found != commit:
        raise UnavailableError(f"{title}: git checked out {found} and not the commit {commit}.")
    if (into / ".gitmodules").is_file():
        # Each is pinned by the commit itself.
        repository.run("submodule", "--quiet", "update", "--init", "--recursive")
    form = "node: %H%nnode-date: %cI%ndescribe-name: %(describe:tags=true,match=*[0-9]*)"
    return repository.run("log", "-1", f"--format={form}")


class _Repository:
    """Runs git in one directory, and nothing that this host's user would not expect."""

    def __init__(self, directory: Path, url: str, title: str) -> None:
        self._directory = directory
        self._title = title
        self.url = url
        settings = dict(_SETTINGS)
        if url.startswith("https://"):
            self.url, login = separate(url)
            scheme, host, port = origin(url)
            if login:
                # Not in the URL: it would be in git's arguments, which every user can see.
                key = f"http.{scheme}://{host}:{port}/.extraHeader"
                settings[key] = f"Authorization: {login.authorization}"
        self._environment = _environment(settings)

    def run(self, *arguments: str) -> str:
        """What git printed; it must succeed."""
        done = self._call(arguments)
        if done.returncode == 0:
            return done.stdout
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        # The first of these is the cause; what follows are git's own callers.
        fatal = [line for line in said if line.startswith("fatal: ")]
        reason = redact((*fatal, *said[-1:], "it said nothing")[0].removeprefix("fatal: "))
        raise UnavailableError(
            f"{self._title} can't be had from {redact(self.url)}:"
            f" `git {arguments[0]}` ended with exit code {done.returncode}: {reason.rstrip('.')}.",
            hint="Check the commit, the network, and what git on this host may read"
            " without asking for a password.",
        )

    def has(self, commit: str) -> bool:
        """Whether the commit has come."""
        return self._call(("cat-file", "-e", f"{commit}^{{commit}}")).returncode == 0

    def _call(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                ["git", *arguments],  # noqa: S607 - the user's git, wherever it is
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                umask=0o022,
                check=False,
            )
        except FileNotFoundError as error:
            raise UnavailableError(
                f"{self._title} comes from git, and this host has no git.",
                hint="Install git, or take the package from an index.",
            ) from error
        except subprocess.TimeoutExpired as error:
            raise UnavailableError(
                f"{self._title} can't be had from {redact(self.url)}:"
                f" `git {arguments[0]}` took longer than {_SECONDS // 60} minutes.",
                hint="Check the network and run it again.",
            ) from error


def _environment(settings: dict[str, str]) -> dict[str, str]:
    """The user's own variables without those that lead git to another repository."""
    variables = {name: value for name, value in os.environ.items() if name not in _LOCAL}
    # The user's own GIT_CONFIG_COUNT stays: ours come after it.
    first = int(variables.get("GIT_CONFIG_COUNT", "0") or "0")
    for number, (key, value) in enumerate(settings.items(), first):
        variables[f"GIT_CONFIG_KEY_{number}"] = key
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return {
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
        **variables,
        "GIT_CONFIG_COUNT": str(first + len(settings)),
        "GIT_ALLOW_PROTOCOL": _PROTOCOLS,
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }
