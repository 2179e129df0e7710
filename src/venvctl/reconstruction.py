"""Writes damaged snapshots anew, from what the seals of their generations say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from venvctl import timestamps
from venvctl.errors import IntegrityError
from venvctl.parcel import Parcel
from venvctl.snapshots import Snapshot, Use

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from venvctl.environments import Environment, Generation
    from venvctl.root import Root
    from venvctl.seal import Seal


def reconstruct(
    key: str, sealed: Sequence[tuple[Environment, Generation, Seal]], root: Root
) -> bool:
    """Write a snapshot anew; whether a seal says what its key means.

    Args:
        key: of the snapshot.
        sealed: every generation of the root that has a seal.
        root: whose; the caller is alone in it.
    """
    mine = [each for each in sealed if each[2].key == key]
    # Whose generation is gone meanwhile is known to the old facts alone.
    uses = {**root.snapshots.uses(key), **dict(_uses(mine, root))}
    for _, _, seal in mine:
        for snapshot in _candidates(seal, uses):
            try:
                Parcel.of(snapshot, [0] * len(snapshot.files))
            except IntegrityError:
                continue
            if not root.store.missing(snapshot.files):
                root.snapshots.save(snapshot)
                return True
    return False


def _candidates(seal: Seal, uses: Mapping[str, Use]) -> Iterator[Snapshot]:
    """What the snapshot may have been: a seal does not say by which rule it was laid out."""
    ahead = {package.bytecode for package in seal.packages} or {True, False}
    wanted = [use.registration.specification.conflicts for use in uses.values()]
    for bytecode in sorted(ahead):
        for conflicts in dict.fromkeys((*wanted, "last", "error")):
            yield Snapshot(
                key=seal.key,
                mount=seal.mount,
                image=seal.image,
                target=seal.target,
                bytecode="ahead" if bytecode else "off",
                conflicts=conflicts,
                created=seal.created,
                lock_digests=seal.lock_digests,
                files=tuple(package.origin for package in seal.packages),
                environments=uses,
            )


def _uses(
    sealed: Sequence[tuple[Environment, Generation, Seal]], root: Root
) -> Iterator[tuple[str, Use]]:
    for environment, generation, seal in sealed:
        registration = root.registry.readable(environment.name)
        if registration is not None:
            times = [
                event.time
                for event in environment.history()
                if event.generation == generation.number
            ]
            since = times[-1] if times else seal.created
            if environment.current_or_none() == generation:
                since = max(since, timestamps.of(environment.switched_at))
            yield (
                environment.name,
                Use(since=since, number=generation.number, registration=registration),
            )
