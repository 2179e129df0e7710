"""What a lock is once it has been read, whatever its format was."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.markers import Marker
    from packaging.pylock import Pylock

    from venvctl.lockfiles.graph import Graph

# The values of `LockOptions.format`, and of the label `venvctl.format`.
FORMATS = ("pylock", "uv", "requirements", "poetry", "pdm", "pipfile")


@dataclass(frozen=True, slots=True, kw_only=True)
class LockOptions:
    """What an environment's specification says about its lock.

    Attributes:
        format: one of `FORMATS`; empty means that the file's name and shape tell it.
        extras: the extras to install, as the user wrote them.
        groups: the dependency groups (Pipfile: categories) to install beside the default ones.
        package: the workspace member whose dependencies are wanted; empty means the root.
        project: the directory that messages name files from, and that local files must be in.
    """

    format: str = ""
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    package: str = ""
    project: Path = field(default_factory=Path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Where a lock says that its packages come from; all empty means that it doesn't say.

    The URLs may carry credentials, so they are never shown.

    Attributes:
        url: the index that replaces the default one.
        extra: further indexes.
        find_links: pages or directories with links to files.
        disabled: no index at all, only `find_links`.
    """

    url: str = field(default="", repr=False)
    extra: tuple[str, ...] = field(default=(), repr=False)
    find_links: tuple[str, ...] = field(default=(), repr=False)
    disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One `name == version` of a lock that doesn't say where the files are.

    Attributes:
        name: normalized (PEP 503).
        version: as the lock writes it.
        place: where the lock says so, e.g. ``requirements.txt:12``.
        marker: on which targets it applies; None means on all.
        hashes: the allowed hashes, as ``sha256:<hex>``; empty means that the lock has none, and the
            pin record is what counts.
        index: where to ask for it.
        no_binary: wheels may not be used. only_binary: the sdist may not be used.
    """

    name: str
    version: str
    place: str
    marker: Marker | None = None
    hashes: tuple[str, ...] = ()
    index: Index = field(default_factory=Index)
    no_binary: bool = False
    only_binary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A lock that has been read.

    Attributes:
        path: the file that was named. format: one of `FORMATS`.
        digests: absolute path → SHA-256 (hex) of every file that was read, in reading order.
        pylock: the packages whose files the lock itself names (PEP 751).
        pins: the packages whose files a pin record must tell.
        graph: which of all these are needed, where the packages themselves don't tell.
        extras: the extras that selection still has to apply. groups: the same of groups; None means
            the lock's default groups. Formats that apply them on reading leave none.
        insecure_hosts: hosts that the lock itself trusts without HTTPS (pip's `--trusted-host`).
        warnings: what the person should know, a sentence each.
    """

    path: Path
    format: str
    digests: Mapping[str, str]
    pylock: Pylock
    pins: tuple[Pin, ...] = ()
    graph: Graph | None = None
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    insecure_hosts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over the content of all files in reading order, wherever they are."""
        return hashlib.sha256("\n".join(self.digests.values()).encode()).hexdigest()
