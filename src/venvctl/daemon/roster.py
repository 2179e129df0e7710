"""Which environments are followed, as the root's registrations say; each file is read once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from venvctl import disk, stamp
from venvctl.errors import VenvctlError
from venvctl.registration import READER, REGISTRATION, read_project, read_uid

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from venvctl.registration import Registration
    from venvctl.root import Root

    T = TypeVar("T")

_OWNER = ".owner"  # beside a project's file


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One environment that is to be followed.

    Attributes:
        registration: what its owner asks for.
        reader: the user whose rights its lock is read with.
    """

    registration: Registration
    reader: int


class Roster:
    """The registrations of one root, read again only where a file changed.

    Args:
        root: whose.
    """

    def __init__(self, root: Root) -> None:
        self._root = root
        self._cache: dict[str, tuple[tuple[int, int, int], object]] = {}
        self.problems: dict[str, str] = {}

    @property
    def listings(self) -> tuple[str, str]:
        """The directories in which registrations come and go."""
        return str(self._root.path / "environments"), str(self._root.path / "projects")

    def files(self) -> list[str]:
        """The files that say what is followed, there or not yet; `listings` says of new ones."""
        environments, projects = self.listings
        return [
            *(f"{environments}/{entry.name}/{REGISTRATION}" for entry in _entries(environments)),
            *(entry.path for entry in _entries(projects) if entry.name.endswith(".json")),
        ]

    def read(self) -> dict[str, Entry]:
        """All that are followed, by name: those of `env add`, and of the projects that are up.

        A registration that can't be read is left out, and told in `problems`.
        """
        self.problems = {}
        environments, projects = (Path(path) for path in self.listings)
        followed: dict[str, set[str]] = {}
        for path in sorted(projects.glob("*.json")):
            project = self._cached(path, read_project)
            if project is not None:
                followed[project.name] = {each.specification.name for each in project.environments}
        found = {}
        registry = self._root.registry
        for path in sorted(environments.glob(f"*/{REGISTRATION}")):
            name = path.parent.name
            registration = self._cached(path, lambda path: registry.load(path.parent.name))
            if registration is None:
                continue
            if registration.project and name not in followed.get(registration.project, set()):
                continue
            reader = self._cached(path.with_name(READER), read_uid)
            if str(path.with_name(READER)) in self.problems:
                continue  # ours are not the rights to read it with
            found[name] = Entry(
                registration=registration, reader=os.geteuid() if reader is None else reader
            )
        return found

    def follow_for(self, name: str, uid: int) -> None:
        """Have an environment's lock read with the rights of a user from now on."""
        path = self._root.environment(name).directory / READER
        disk.make_directory(path.parent)
        if uid == os.geteuid():
            disk.remove_file(path)
            return
        disk.write_file(path, stamp.stamped({"uid": uid}))

    def reader(self, name: str) -> int:
        """The user whose rights an environment's lock is read with: ours, where nothing is said."""
        path = self._root.environment(name).directory / READER
        return _uid(path)

    def owner_of_project(self, name: str) -> int | None:
        """The user who had a project followed; None where it is not followed."""
        if not self._project(name, ".json").exists():
            return None
        return _uid(self._project(name, _OWNER))

    def follow_project_for(self, name: str, uid: int) -> None:
        """Remember who had a project followed."""
        path = self._project(name, _OWNER)
        disk.make_directory(path.parent)
        if uid == os.geteuid():
            disk.remove_file(path)
            return
        disk.write_file(path, stamp.stamped({"uid": uid}))

    def _project(self, name: str, suffix: str) -> Path:
        return self._root.path / "projects" / f"{name}{suffix}"

    def _cached(self, path: Path, parse: Callable[[Path], T]) -> T | None:
        """What a file says; None where it is not there, or can't be read."""
        try:
            status = path.stat()
            signature = (status.st_mtime_ns, status.st_size, status.st_ino)
            known = self._cache.get(str(path))
            if known is None or known[0] != signature:
                known = self._cache[str(path)] = (signature, parse(path))
        except FileNotFoundError:
            self._cache.pop(str(path), None)
            return None
        except (VenvctlError, OSError, ValueError, KeyError, TypeError) as error:
            self.problems[str(path)] = getattr(error, "message", str(error))
            return None
        return known[1]  # type: ignore[return-value] # what `parse` gave for this path


def _entries(directory: str) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(directory))
    except FileNotFoundError:
        return []


def _uid(path: Path) -> int:
    """The user that a file names; ours, where there is none. Raises `ConfigurationError`."""
    try:
        return read_uid(path)
    except FileNotFoundError:
        return os.geteuid()
