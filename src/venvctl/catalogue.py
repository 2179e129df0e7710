"""What a root has: its environments and its snapshots, as lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from venvctl.errors import IntegrityError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from venvctl.root import Root
    from venvctl.snapshots import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedEnvironment:
    """One registered environment, and how far it is.

    Attributes:
        project: of compose; empty for one of `env add`.
        mount: its path in the containers.
        generation: number of the current one, 0 if there is none.
    """

    environment: str
    project: str
    lock: str
    mount: str
    images: tuple[str, ...]
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSnapshot:
    """One snapshot.

    Attributes:
        environments: name of each that has or had it → when it last became current there.
        problem: why it can't be read; then nothing else is known of it.
    """

    key: str
    created: str
    python: str
    mount: str
    packages: int
    environments: Mapping[str, str]
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotFile:
    """One wheel of a snapshot."""

    name: str
    version: str
    file: str
    sha256: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotContent:
    """One snapshot with its wheels, and where its `pylock.toml` is."""

    snapshot: ListedSnapshot
    pylock: str
    files: tuple[SnapshotFile, ...]


def environments(root: Root) -> tuple[ListedEnvironment, ...]:
    """Every registered environment, by name."""
    return tuple(_listed(name, root) for name in root.registry.names())


def snapshots(root: Root) -> tuple[ListedSnapshot, ...]:
    """Every snapshot, oldest first; those that can't be read come before all others."""
    found = []
    for key in sorted({*root.snapshots.keys(), *root.snapshots.halves()}):
        try:
            found.append(_snapshot(root.snapshots.load(key)))
        except IntegrityError as error:
            found.append(
                ListedSnapshot(
                    key=key,
                    created="",
                    python="",
                    mount="",
                    packages=0,
                    environments={},
                    problem=f"{error.message} {error.hint}",
                )
            )
    return tuple(sorted(found, key=lambda one: one.created))


def snapshot(text: str, root: Root) -> SnapshotContent:
    """The snapshot whose key is, or begins with, a text.

    Raises:
        UsageError: none, or more than one.
    """
    found = root.snapshots.load(find_key(text, root))
    return SnapshotContent(
        snapshot=_snapshot(found),
        pylock=str(root.snapshots.path(found.key) / "pylock.toml"),
        files=tuple(
            SnapshotFile(
                name=origin.name,
                version=origin.version,
                file=origin.file,
                sha256=origin.sha256,
                source=origin.source,
            )
            for origin in found.files
        ),
    )


def find_key(text: str, root: Root) -> str:
    """The key of the snapshot whose key is, or begins with, what a person typed.

    Raises:
        UsageError: none, or more than one.
    """
    return match_key(text, {*root.snapshots.keys(), *root.snapshots.halves()})


def match_key(text: str, keys: Iterable[str]) -> str:
    """The only one of some keys that is, or begins with, what a person typed.

    Raises:
        UsageError: none, or more than one.
    """
    found = [key for key in keys if key.startswith(text)]
    if len(found) == 1:
        return found[0]
    what = "more than one snapshot's key begins" if found else "no snapshot's key begins"
    raise UsageError(
        f"{text!r} names no snapshot: {what} with it.", hint="`venvctl snapshot list` shows them."
    )


def _listed(name: str, root: Root) -> ListedEnvironment:
    registration = root.registry.load(name)
    current = root.environment(name).current()
    return ListedEnvironment(
        environment=name,
        project=registration.project,
        lock=str(registration.specification.lock),
        mount=registration.mount,
        images=tuple(sorted(set(registration.images.values()))),
        generation=current.number if current else 0,
    )


def _snapshot(snapshot: Snapshot) -> ListedSnapshot:
    return ListedSnapshot(
        key=snapshot.key,
        created=snapshot.created,
        python=snapshot.target.version,
        mount=snapshot.mount,
        packages=len(snapshot.files),
        environments={name: use.since for name, use in snapshot.environments.items()},
    )
