"""What has to be done and why: pure functions from what was and what is to actions with reasons."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from venvctl.generations import LAYOUT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from venvctl.origin import Origin
    from venvctl.selection import Selection
    from venvctl.specification import EnvironmentSpecification
    from venvctl.target import Target

KEY_LENGTH = 32
# What an input is called in `State.inputs`, and how a changed one is told to a person.
_LOCK = "lock "
_IMAGE = "image of "


class Action(StrEnum):
    """What happens to an environment.

    Attributes:
        NOTHING: every input is what it was.
        KEEP: inputs changed, but the current generation is what they mean.
        HOLD: they mean a generation that was rolled back, or found bad.
        REUSE: a generation that is there already becomes current.
        BUILD: a new generation is made and becomes current.
    """

    NOTHING = "nothing"
    KEEP = "keep"
    HOLD = "hold"
    REUSE = "reuse"
    BUILD = "build"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """An action, and the sentence that says why it is this one."""

    action: Action
    because: str


def inputs(
    specification: EnvironmentSpecification,
    *,
    mount: str,
    locks: Mapping[str, str],
    images: Mapping[str, str],
) -> dict[str, str]:
    """Everything that decides what an environment should be, by the name a person knows it by.

    Args:
        specification: what the user asks for.
        mount: path in the containers.
        locks: digest by path of every file of the lock.
        images: image ID by service.
    """
    labels = specification.to_labels()
    del labels["venvctl.lock"]
    # These two say what is thrown away, not what is made.
    labels.pop("venvctl.keep", None)
    labels.pop("venvctl.keep-snapshots", None)
    return {
        **{f"{_LOCK}{path}": digest for path, digest in locks.items()},
        **{f"{_IMAGE}{service}": image for service, image in images.items()},
        **{f"label {name}": value for name, value in labels.items()},
        "lockfile": str(specification.lock),
        "mount path": mount,
    }


def lock_paths(before: Mapping[str, str]) -> list[str]:
    """The files that the lock was read from at the last sync."""
    return list(lock_digests(before))


def with_locks(before: Mapping[str, str], locks: Mapping[str, str]) -> dict[str, str]:
    """The inputs of a sync, but for other digests of its lock's files."""
    return {**before, **{f"{_LOCK}{path}": digest for path, digest in locks.items()}}


def lock_digests(before: Mapping[str, str]) -> dict[str, str]:
    """The digest of each of those files, as the last sync read it."""
    return {
        name.removeprefix(_LOCK): digest
        for name, digest in before.items()
        if name.startswith(_LOCK)
    }


def image_ids(before: Mapping[str, str]) -> set[str]:
    """The IDs of the images that the last sync was for."""
    return {image for name, image in before.items() if name.startswith(_IMAGE)}


def service_images(before: Mapping[str, str]) -> dict[str, str]:
    """The ID of each service's image, as the last sync saw it."""
    return {
        name.removeprefix(_IMAGE): image
        for name, image in before.items()
        if name.startswith(_IMAGE)
    }


def reasons(
    before: Mapping[str, str],
    now: Mapping[str, str],
    *,
    conditions: Iterable[str] = (),
) -> tuple[str, ...]:
    """Every reason for a sync, not only the first; none means that there is nothing to do.

    Args:
        before: the inputs of the last sync; empty if there was none.
        now: the inputs of this one.
        conditions: further reasons that have nothing to do with inputs.
    """
    if not before:
        return ("it was never synced", *conditions)
    found = []
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) == now.get(name):
            continue
        if name.startswith(_LOCK):
            path = name.removeprefix(_LOCK)
            verb = "is new" if name not in before else "is gone" if name not in now else "changed"
            found.append(f"{path} {verb}")
        elif name.startswith(_IMAGE):
            service = name.removeprefix(_IMAGE)
            if name not in now:
                found.append(f"service {service} no longer mounts it")
            else:
                verb = "changed" if name in before else "is new"
                found.append(f"the {_IMAGE}{service} {verb}")
        else:
            old, new = (side.get(name, "") or "nothing" for side in (before, now))
            found.append(f"the {name} changed from {old} to {new}")
    return (*found, *conditions)


def key(
    selection: Selection, target: Target, *, mount: str, specification: EnvironmentSpecification
) -> str:
    """What a generation is named after: equal keys mean equal content.

    Bytecode and the rule for conflicts decide about files too, so they are part of it.
    """
    return key_of(
        selection.digest,
        target,
        mount=mount,
        bytecode=specification.bytecode,
        conflicts=specification.conflicts,
    )


def key_of(
    digest: str,
    target: Target,
    *,
    mount: str,
    bytecode: str,
    conflicts: str,
    layout: int = LAYOUT_VERSION,
) -> str:
    """The same from a selection's digest, also for what a venvctl with another layout made."""
    text = json.dumps([layout, digest, target.fingerprint, mount, bytecode, conflicts])
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def decide(
    wanted: str,
    *,
    current: str,
    present: Iterable[str],
    held: Mapping[str, str],
    force: bool,
) -> Decision:
    """What to do about the key that the lock means.

    Args:
        wanted: that key.
        current: key of the current generation; empty if there is none.
        present: keys of all complete generations.
        held: keys that are not to be switched to → why.
        force: the user overrules `held`.
    """
    if wanted == current:
        return Decision(action=Action.KEEP, because="it selects the same files for this target")
    if wanted in held and not force:
        return Decision(action=Action.HOLD, because=held[wanted])
    if wanted in set(present):
        return Decision(action=Action.REUSE, because="a generation of the same files is there")
    return Decision(action=Action.BUILD, because="no generation has these files")


def differences(before: Sequence[Origin], after: Sequence[Origin]) -> tuple[str, ...]:
    """What changed between two generations, a package each: ``flask 3.0.0 → 3.0.1``.

    Returns:
        Changed, added (``+ six 1.17.0``) and removed (``- six 1.16.0``) ones, by name.
    """
    old = {origin.name: origin for origin in before}
    new = {origin.name: origin for origin in after}
    lines = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            lines.append(f"+ {name} {new[name].version}")
        elif name not in new:
            lines.append(f"- {name} {old[name].version}")
        elif old[name].version != new[name].version:
            lines.append(f"{name} {old[name].version} → {new[name].version}")
        elif (old[name].source or old[name].sha256) != (new[name].source or new[name].sha256):
            lines.append(f"{name} {new[name].version}: {old[name].file} → {new[name].file}")
    return tuple(lines)


def relative(path: str, directory: Path) -> str:
    """A path as a person in the project directory knows it."""
    prefix = f"{directory}/"
    return path.removeprefix(prefix)
