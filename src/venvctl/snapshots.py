"""Snapshots: a selection whose files are all in the store, as a `pylock.toml` anybody can install.

    snapshots/<key>/pylock.toml     PEP 751; each wheel by its path in the store, and its hash
    snapshots/<key>/snapshot.json   what else a generation is made of: target, mount, environments

A snapshot, the store and nothing else are enough to make the generation again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tomli_w
from packaging.pylock import Package, PackageWheel, Pylock, PylockValidationError
from packaging.utils import canonicalize_name
from packaging.version import Version

from venvctl import disk, stamp
from venvctl.errors import IntegrityError, UsageError, VenvctlError
from venvctl.origin import Origin
from venvctl.registration import Registration
from venvctl.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from venvctl.store import Store

LOCK = "pylock.toml"
FACTS = "snapshot.json"
_LOCK_DIGEST = "pylock"  # SHA-256 of the other file
_FAULTS = (
    *(ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError),
    PylockValidationError,
)
_KEY = re.compile(r"[0-9a-f]{32}")
_HINT = (
    "`venvctl verify --repair` writes it anew if a generation of it is left; else "
    "`venvctl snapshot rm {}` forgets it."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """An environment that has, or had, a snapshot's generation as its current one.

    Attributes:
        since: when that last became so (UTC, RFC 3339), or when it was imported for it.
        number: of that generation; 0 as long as it was only imported.
        registration: what the environment's owner asked for then, so that it can be restored when
            nothing else is left of it.
    """

    since: str
    number: int
    registration: Registration

    def order(self) -> tuple[bool, str]:
        """What the latest of an environment's is the greatest by; what was only imported is not."""
        return self.number > 0, self.since


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything a generation is made of.

    Attributes:
        key: names the generation too.
        image: ID of the image whose interpreter it was made for; empty after an import, until an
            image of this host has proved to have that interpreter.
        files: one wheel for each package, in name order; built ones name their sdist.
        environments: name of each environment that has or had it → how.
        bytecode, conflicts: how its generation is laid out.
    """

    key: str
    mount: str
    image: str
    target: Target
    bytecode: str
    conflicts: str
    created: str
    lock_digests: Mapping[str, str]
    files: tuple[Origin, ...]
    environments: Mapping[str, Use]


class SnapshotStore:
    """The snapshots of one root.

    Args:
        root: the root directory.
        store: where their wheels are.
    """

    def __init__(self, root: Path, store: Store) -> None:
        self._root = root
        self._directory = root / "snapshots"
        self._store = store

    def path(self, key: str) -> Path:
        """The directory of a snapshot, whether there or not; raises `UsageError` on a bad key."""
        if not _KEY.fullmatch(key):
            raise UsageError(
                f"{key!r} is not a snapshot's key: 32 digits and lower-case letters a to f.",
                hint="`venvctl history ENV --json` lists the keys of an environment.",
            )
        return self._directory / key

    def __contains__(self, key: str) -> bool:
        """Whether a snapshot is complete."""
        return (self.path(key) / FACTS).exists() and (self.path(key) / LOCK).exists()

    def keys(self) -> list[str]:
        """The keys of all complete snapshots, sorted."""
        if not self._directory.exists():
            return []
        names = sorted(entry.name for entry in self._directory.iterdir())
        return [name for name in names if _KEY.fullmatch(name) and name in self]

    def halves(self) -> dict[str, str]:
        """Keys of those that lost one of their files, or both → what is missing.

        They get their names with all that is in them.
        """
        found = {}
        for path in sorted(self._directory.iterdir()) if self._directory.is_dir() else ():
            if _KEY.fullmatch(path.name) and path.name not in self:
                lost = [name for name in (LOCK, FACTS) if not (path / name).exists()]
                found[path.name] = " and ".join(lost)
        return found

    def readable(self, key: str) -> bool:
        """Whether there is a snapshot of that key which can be read."""
        try:
            return key in self and self.load(key) is not None
        except IntegrityError:
            return False

    def load(self, key: str) -> Snapshot:
        """Read a snapshot.

        Raises:
            UsageError: there is none of that key.
            IntegrityError: it can't be read, or its two files contradict each other.
        """
        directory = self.path(key)
        try:
            facts = stamp.opened((directory / FACTS).read_bytes())
            text = (directory / LOCK).read_bytes()
            lock = Pylock.from_dict(tomllib.loads(text.decode()))
            return _parse(key, facts, lock, text)
        except FileNotFoundError:
            if directory.is_dir():
                lost = self.halves().get(key, LOCK)
                raise IntegrityError(
                    f"Snapshot {key} in {directory} has lost its {lost}.", hint=_HINT.format(key)
                ) from None
            raise UsageError(
                f"There is no snapshot {key}.",
                hint="`venvctl history ENV --json` lists the keys of an environment.",
            ) from None
        except _FAULTS as error:
            raise _unreadable(key, directory, error) from error

    def save(self, snapshot: Snapshot) -> None:
        """Write a snapshot; all of its wheels are in the store."""
        directory = self.path(snapshot.key)
        lock = render_lock(self._entries(snapshot.files, directory))
        texts = {LOCK: lock, FACTS: _facts(snapshot, lock)}
        if not directory.exists():
            disk.make_directory(self._directory)
            with disk.temporary_directory(self._root) as staging:
                for name, text in texts.items():
                    disk.write_file(staging / name, text)
                # Somebody else may have written the same meanwhile.
                with suppress(FileExistsError):
                    disk.publish(staging, directory)
                    return
        for name, text in texts.items():
            disk.write_file(directory / name, text)

    def mark_current(self, key: str, use: Use) -> None:
        """Note that an environment's current generation is this snapshot's, from now on.

        Raises:
            IntegrityError: what is known of the snapshot can't be read.
        """
        self._amend(key, lambda facts: {"environments": {**facts["environments"], **_used(use)}})

    def adopt(self, key: str, image: str) -> None:
        """Note which image of this host an imported snapshot is for, where none is known yet.

        Raises:
            IntegrityError: what is known of the snapshot can't be read.
        """
        self._amend(key, lambda facts: {} if facts["image"] else {"image": image})

    def _amend(self, key: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Change some facts; reads no package lists, which takes longer than all else of it."""
        directory = self.path(key)
        try:
            facts = stamp.opened((directory / FACTS).read_bytes())
            changed = change(facts)
        except _FAULTS as error:
            raise _unreadable(key, directory, error) from error
        if changed:
            disk.write_file(directory / FACTS, stamp.stamped({**facts, **changed}, indent=1))

    def latest(self, environment: str) -> tuple[str, str, int]:
        """Since when, key and generation of the snapshot that was current last; empty if none was.

        Reads no package lists: it is asked by every sync that looks at anything.
        """
        return max(self._uses(environment), default=("", "", 0))

    def last_number(self, environment: str) -> int:
        """The highest number of a generation that an environment is known to have had, else 0."""
        return max((number for _, _, number in self._uses(environment)), default=0)

    def _uses(self, environment: str) -> Iterator[tuple[str, str, int]]:
        """Since when, key and number of each generation that became its current one."""
        name = json.dumps(environment).encode()
        for key in self.keys():
            data = (self.path(key) / FACTS).read_bytes()
            if name not in data:
                continue  # most are others', and parsing them all would take a second (measured)
            try:
                use = stamp.opened(data)["environments"].get(environment)
            except _FAULTS as error:
                raise _unreadable(key, self.path(key), error) from error
            if use and use["number"]:
                yield str(use["since"]), key, int(use["number"])

    def uses(self, key: str) -> dict[str, Use]:
        """Who has, or had, a snapshot; nobody where that can't be read."""
        try:
            return _parse_uses(stamp.opened((self.path(key) / FACTS).read_bytes()))
        except (OSError, VenvctlError, *_FAULTS):
            return {}

    def any_of(self, environment: str) -> bool:
        """Whether an environment has, or had, a snapshot that can be read."""
        return any(environment in self.uses(key) for key in self.keys())

    def of(self, environment: str) -> list[Snapshot]:
        """The snapshots that an environment had, the one that was current last at the end.

        Those that were imported for it and never were current come first.

        Raises:
            IntegrityError: one can't be read, which may be its latest.
        """
        had = [
            snapshot
            for snapshot in map(self.load, [*self.keys(), *self.halves()])
            if environment in snapshot.environments
        ]

        return sorted(had, key=lambda snapshot: snapshot.environments[environment].order())

    def remove(self, key: str) -> None:
        """Forget a snapshot."""
        disk.retire_tree(self.path(key), self._root)

    def _entries(
        self, files: Sequence[Origin], directory: Path
    ) -> Iterator[tuple[Origin, str, int]]:
        for origin in files:
            wheel = self._store.wheel(origin.sha256)
            if wheel is None:
                raise IntegrityError(
                    f"{origin.file} (SHA-256 {origin.sha256}) left the store while its snapshot "
                    "was written.",
                    hint="Sync again.",
                )
            yield origin, os.path.relpath(wheel, directory), wheel.stat().st_size


def render_lock(entries: Iterable[tuple[Origin, str, int]]) -> bytes:
    """A `pylock.toml` (PEP 751) that installs exactly these wheels.

    Args:
        entries: each wheel with its path, as the lock's directory sees it, and its size in bytes.
    """
    packages = [
        Package(
            name=canonicalize_name(origin.name),
            version=Version(origin.version),
            wheels=[
                PackageWheel(
                    name=origin.file, path=path, size=size, hashes={"sha256": origin.sha256}
                )
            ],
        )
        for origin, path, size in entries
    ]
    lock = Pylock(lock_version=Version("1.0"), created_by="venvctl", packages=packages)
    lock.validate()
    return tomli_w.dumps(dict(lock.to_dict())).encode()


def _unreadable(key: str, directory: Path, error: Exception) -> IntegrityError:
    return IntegrityError(
        f"Snapshot {key} in {directory} can't be read: {error}.",
        hint=_HINT.format(key),
    )


def _used(use: Use) -> dict[str, object]:
    return {use.registration.name: _use(use)}


def _use(use: Use) -> dict[str, object]:
    return {
        "since": use.since,
        "number": use.number,
        "registration": use.registration.to_dict(),
    }


def _facts(snapshot: Snapshot, lock: bytes) -> bytes:
    return stamp.stamped(
        {
            "schema": 1,
            "mount": snapshot.mount,
            "image": snapshot.image,
            "target": snapshot.target.to_dict(),
            "bytecode": snapshot.bytecode,
            "conflicts": snapshot.conflicts,
            "created": snapshot.created,
            "locks": dict(snapshot.lock_digests),
            _LOCK_DIGEST: hashlib.sha256(lock).hexdigest(),
            "origins": {
                origin.name: {"source": origin.source, "url": origin.url}
                for origin in snapshot.files
            },
            "environments": {name: _use(use) for name, use in snapshot.environments.items()},
        },
        indent=1,
    )


def _parse(key: str, facts: object, lock: Pylock, text: bytes) -> Snapshot:
    if not isinstance(facts, dict):
        raise TypeError(f"{FACTS} is not an object")
    if facts["schema"] != 1:
        raise ValueError(f"schema {facts['schema']} of {FACTS} is not known")
    digest = hashlib.sha256(text).hexdigest()
    if facts.get(_LOCK_DIGEST, digest) != digest:  # earlier ones had none
        raise ValueError(f"{LOCK} is not what {FACTS} says")
    return Snapshot(
        key=key,
        mount=str(facts["mount"]),
        image=str(facts["image"]),
        target=Target.from_dict(facts["target"]),
        bytecode=str(facts["bytecode"]),
        conflicts=str(facts["conflicts"]),
        created=str(facts["created"]),
        lock_digests={str(name): str(digest) for name, digest in facts["locks"].items()},
        files=tuple(_origin(package, facts["origins"]) for package in lock.packages),
        environments=_parse_uses(facts),
    )


def _parse_uses(facts: Mapping[str, Any]) -> dict[str, Use]:
    return {
        str(name): Use(
            since=str(use["since"]),
            number=int(use["number"]),
            registration=Registration.from_dict(use["registration"], source=FACTS),
        )
        for name, use in facts["environments"].items()
    }


def _origin(package: Package, origins: Mapping[str, Mapping[str, str]]) -> Origin:
    wheel = (package.wheels or ())[0]
    origin = origins[package.name]
    return Origin(
        name=package.name,
        version=str(package.version),
        file=wheel.filename,
        sha256=wheel.hashes["sha256"],
        source=str(origin["source"]),
        url=str(origin["url"]),
    )
