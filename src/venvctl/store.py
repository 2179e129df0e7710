"""The wheels and source archives that environments are made of, each under its SHA-256."""

from __future__ import annotations

import hashlib
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from venvctl import disk, stamp
from venvctl.errors import IntegrityError, UnavailableError
from venvctl.placement import name_fault

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from venvctl.progress import Progress

_SHA256 = re.compile(r"[0-9a-f]{64}")
_BLOCK = 1 << 20
_NAME_BYTES = 255
_NAME_SHOWN = 200  # bytes of a name that stay when something is set aside


class Hashed(Protocol):
    """Whatever has a SHA-256 by which the store may have it."""

    @property
    def sha256(self) -> str:
        """Lower-case hexadecimal."""
        ...


H = TypeVar("H", bound=Hashed)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One file of the store; `size` is in bytes."""

    sha256: str
    path: Path
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What `verify` found wrong: the path, and why, in words that follow it."""

    path: Path
    reason: str


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, lower-case hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Store:
    """Files by hash below ``root/store``.

    A name in the store is the SHA-256 of the content. A file appears whole or not at all, is never
    written again, and any number of processes may add at once.

    Args:
        root: the root directory (VENVCTL_ROOT); `store` and `tmp` are made in it when needed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.wheels = root / "store" / "wheels"
        self.trees = root / "store" / "trees"
        self._builds = root / "store" / "builds"
        self.quarantined = root / "store" / "quarantine"

    def wheel(self, sha256: str) -> Path | None:
        """The file of that hash, or None. Looks at its name and size, not at its content."""
        found = self._find(sha256)
        return found.path if found else None

    def add(self, source: Path, *, file: str, sha256: str, verified: bool = False) -> Path:
        """Take a file in, durably, as a new inode; one that is there already stays.

        Args:
            source: moved away when it lies below the root's ``tmp``, else copied.
            file: the name it keeps, that of a wheel or source archive.
            sha256: what its content must hash to.
            verified: whether the caller hashed these very bytes while it wrote them.

        Raises:
            IntegrityError: the content has another hash, or the names can't be.
            DiskFullError, RootError: as `disk.translate`; nothing is then left behind.
        """
        if fault := _file_fault(file):
            raise IntegrityError(f"The file {file!a} can't be kept in the store: it {fault}.")
        folder = self._folder(sha256)
        if (found := self._find(sha256)) and found.size == source.stat().st_size:
            if source.is_relative_to(self.root / "tmp"):
                source.unlink()
            return found.path
        if source.is_relative_to(self.root / "tmp"):
            if not verified:
                _expect(source, file, sha256)
            return self._keep(source, folder / file)
        with disk.temporary_directory(self.root) as temporary:
            copy = temporary / "file"
            with disk.translate(copy, needed=source.stat().st_size):
                _copy(source, copy)
            # The copy is what is kept, so the copy is what is hashed.
            _expect(copy, file, sha256)
            return self._keep(copy, folder / file)

    def missing(self, files: Iterable[H]) -> list[H]:
        """Those of the files that the store does not have."""
        return [file for file in files if self._find(file.sha256) is None]

    def get(self, file: Hashed, *, name: str) -> Path:
        """The stored file, which must be there; `name` is for the message.

        Raises:
            UnavailableError: the store does not have it.
        """
        path = self.wheel(file.sha256)
        if path is None:
            raise UnavailableError(
                f"The store does not have {name} (sha256 {file.sha256}).",
                hint="Run `venvctl sync` with the network on.",
            )
        return path

    def quarantine(self, sha256: str) -> None:
        """Set a corrupt file aside; the next `add` of that hash is then a new inode."""
        self.set_aside(self._folder(sha256))

    def set_aside(self, path: Path) -> None:
        """Move what nobody may use any more out of the way, for a person to look at."""
        if not os.path.lexists(path):
            return
        disk.make_directory(self.quarantined)
        name = path.name.encode()[:_NAME_SHOWN].decode(errors="ignore")
        aside = self.quarantined / f"{name}.{time.time_ns()}"
        # Two that find the same corrupt file both want it gone; the second finds nothing.
        with suppress(FileNotFoundError):
            disk.publish(path, aside)

    def iterate(self) -> Iterator[StoredFile]:
        """Every file that the store has, in no particular order."""
        if not self.wheels.is_dir():
            return
        for group in self.wheels.iterdir():
            for folder in group.iterdir() if group.is_dir() else ():
                if _SHA256.fullmatch(folder.name) and (found := self._find(folder.name)):
                    yield found

    def hollow(self) -> Iterator[Path]:
        """Folders that have a hash's name, and no file that could be its."""
        for folder in self.wheels.glob("*/*"):
            if _SHA256.fullmatch(folder.name) and self._find(folder.name) is None:
                yield folder

    def remove(self, sha256: str) -> None:
        """Remove a file; one that is gone already is fine."""
        disk.retire_tree(self._folder(sha256), self.root)

    def size(self) -> int:
        """Bytes of all files together, without trees."""
        return sum(file.size for file in self.iterate())

    def built(self, sdist_sha256: str, fingerprint: str) -> str | None:
        """Hash of the wheel that was built of a source archive for a target, if it is here."""
        try:
            raw = stamp.opened(self._build(sdist_sha256, fingerprint).read_bytes())
            sha256 = str(raw["wheel"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return sha256 if _SHA256.fullmatch(sha256) and self.wheel(sha256) else None

    def record_built(self, sdist_sha256: str, fingerprint: str, wheel_sha256: str) -> None:
        """Remember a built wheel, which the store has, so that a restore never builds."""
        _check(wheel_sha256)
        path = self._build(sdist_sha256, fingerprint)
        disk.make_directory(path.parent)
        disk.write_file(path, stamp.stamped({"schema": 1, "wheel": wheel_sha256}))

    def stale_builds(self, leaving: Collection[str]) -> list[Path]:
        """Records of built wheels that the store does not have, or that are about to leave it."""
        found = []
        for path in sorted(self._builds.iterdir()) if self._builds.is_dir() else ():
            sdist, _, fingerprint = path.stem.partition("-")
            try:
                wheel = self.built(sdist, fingerprint)
            except IntegrityError:
                continue  # nobody's record: its name is none
            if wheel is None or wheel in leaving:
                found.append(path)
        return found

    def verify(self, progress: Progress) -> list[Problem]:
        """Hash every file again; says which are not what their names say. Changes nothing."""
        files = list(self.iterate())
        progress.stage("verifying", total=sum(file.size for file in files), unit="bytes")
        problems = []
        for file in files:
            if file_digest(file.path) != file.sha256:
                problems.append(
                    Problem(path=file.path, reason="does not have the hash it is kept under")
                )
            progress.advance(file.size)
        return problems

    def _folder(self, sha256: str) -> Path:
        _check(sha256)
        return self.wheels / sha256[:2] / sha256

    def _build(self, sdist_sha256: str, fingerprint: str) -> Path:
        _check(sdist_sha256)
        _check(fingerprint)
        return self._builds / f"{sdist_sha256}-{fingerprint}.json"

    def _find(self, sha256: str) -> StoredFile | None:
        try:
            entries = sorted(self._folder(sha256).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return None
        for path in entries:
            # A temporary begins with a dot; an empty file is what a crash of the disk leaves.
            if path.name.startswith(".") or path.is_symlink() or not path.is_file():
                continue
            if size := path.stat().st_size:
                return StoredFile(sha256=sha256, path=path, size=size)
        return None

    def _keep(self, source: Path, target: Path) -> Path:
        disk.make_directory(target.parent)
        with disk.translate(target):
            source.chmod(0o644)
        disk.sync_file(source)
        disk.publish(source, target)
        return target


def _check(sha256: str) -> None:
    """No text becomes a path unchecked: a digest is 64 lower-case hexadecimal digits."""
    if not _SHA256.fullmatch(sha256):
        raise IntegrityError(f"{sha256!a} is not a SHA-256 in lower-case hexadecimal.")


def _file_fault(file: str) -> str:
    if "/" in file:
        return "has a slash in its name"
    if file.startswith("."):
        return "has a name that begins with a dot"
    return name_fault(file, longest=_NAME_BYTES)


def _expect(path: Path, file: str, sha256: str) -> None:
    found = file_digest(path)
    if found != sha256:
        raise IntegrityError(
            f"{file} has the SHA-256 {found} and not {sha256}.",
            hint="The file was changed or damaged since it was locked; get it anew.",
        )


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("xb") as writer:
        while block := reader.read(_BLOCK):
            writer.write(block)
