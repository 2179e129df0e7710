"""File names, URLs and local paths that a lock names: none is used before it is checked here."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from venvctl.errors import LockError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_LONGEST_NAME = 255  # NAME_MAX of every Linux file system that can hold a store
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
# What is before the @ of the authority; and where no port follows the colon, before the last @.
_LOGIN = re.compile(r"(?<=://)(?:[^/?#\s]*@|[^/?#@\s]*:(?!\d*(?:[/?#]|$))\S*@)")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def check_file_name(name: str, place: str) -> str:
    """Return a file name that is safe as one component of a path.

    Raises:
        LockError: it is empty, hidden or too long, or has a separator, `..` or a control character.
    """
    if (
        not name
        or name.startswith((".", "-"))
        or len(os.fsencode(name)) > _LONGEST_NAME
        or not name.isprintable()
        or re.search(r"[/\\]", name)
    ):
        raise LockError(
            f"{place}: {name!r} can't be a file name.",
            hint="The lock is damaged or hostile; make it again from a trusted source.",
        )
    return name


def check_url(url: str, place: str, insecure_hosts: Collection[str]) -> str:
    """Return a URL that may be fetched.

    Args:
        url: as the lock has it; it may carry credentials.
        place: where the lock has it, for the message.
        insecure_hosts: hosts, with or without a port, that may be spoken to without HTTPS.

    Raises:
        LockError: it is malformed, local, or neither HTTPS nor of an insecure host.
    """
    parts = split_url(url, place)
    shown = redact(url)
    if parts.scheme == "file":
        raise LockError(
            f"{place}: {shown!r} is a `file:` URL.",
            hint="Name a file in the project by its `path`, or take the package from an index.",
        )
    if parts.scheme not in {"https", "http"} or not parts.hostname or _CONTROL.search(url):
        raise LockError(
            f"{place}: {shown!r} can't be fetched: it is not an HTTPS URL.",
            hint="Take the package from an index.",
        )
    if parts.scheme == "http" and not is_trusted(parts, insecure_hosts):
        raise LockError(
            f"{place}: {shown!r} is not secure: it is plain HTTP.",
            hint=f"Use HTTPS, or name {parts.netloc.rpartition('@')[2]!r} on purpose: with "
            "--trusted-host in the lock, or in insecure-hosts (docs/indexes.md).",
        )
    return url


def is_trusted(parts: SplitResult, insecure_hosts: Collection[str]) -> bool:
    """Whether a URL's host is among those that may be spoken to without HTTPS."""
    host = parts.hostname or ""
    return host in insecure_hosts or f"{host}:{parts.port or 80}" in insecure_hosts


def file_name(url: str) -> str:
    """The last part of a URL's path, unquoted; empty where the URL can't be split."""
    try:
        return unquote(urlsplit(url).path.rpartition("/")[2])
    except ValueError:
        return ""  # `split_url` says it, to whoever is to fetch it


def split_url(url: str, place: str) -> SplitResult:
    """Split a URL.

    Raises:
        LockError: it can't be split: a malformed port, host or IPv6 address.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # a property that checks
    except ValueError:
        # What the error says may have a password in it: one with a slash is taken for a port.
        raise LockError(
            f"{place}: {redact(url)!r} is not a URL: its host or port is malformed.",
            hint="Correct the URL; in a password / is written %2F, # %23, ? %3F and @ %40.",
        ) from None
    return parts


def check_commit(commit: str, url: str, place: str) -> str:
    """Return a commit that is a full hash.

    Raises:
        LockError: it is a branch, a tag, or a shortened hash.
    """
    if not _COMMIT.fullmatch(commit):
        raise LockError(
            f"{place}: {redact(url)!r} is not pinned to a commit.",
            hint="End the URL in `@` and the commit's full hash; a branch or tag can move.",
        )
    return commit


def redact(url: str) -> str:
    """A URL as it may be shown: without user name and password, also one with a bare slash."""
    return _LOGIN.sub("", url)


def inside(text: str, directory: Path, project: Path, place: str) -> Path:
    """The absolute path of a local file that is below the lock's directory or the project's.

    Args:
        text: the path as the lock has it.
        directory: of the lock; a relative path starts there.
        project: of the environment.
        place: where the lock has it, for the message.

    Raises:
        LockError: it is somewhere else.
    """
    path = absolute(directory / text)
    if path.is_relative_to(absolute(directory)) or path.is_relative_to(absolute(project)):
        return path
    raise LockError(
        f"{place}: {text!r} is not in the project's directory.",
        hint="Move the file into the project, or take the package from an index.",
    )


def absolute(path: Path) -> Path:
    """An absolute path without `..`; links are kept, since a lock names what the user sees."""
    return type(path)(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
