"""Holds seals against their snapshots, and manifests against the wheels that trees were made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from venvctl import wheels
from venvctl.checksums import Finding
from venvctl.errors import HostileWheelError
from venvctl.extraction import is_replaced

if TYPE_CHECKING:
    from pathlib import Path

    from venvctl.seal import Seal
    from venvctl.snapshots import Snapshot
    from venvctl.trees import Tree


def contradiction(seal: Seal, snapshot: Snapshot) -> str:
    """What a seal and its snapshot say differently: a package, or a fact; empty if nothing."""
    sealed = {each.origin.name: (each.origin.sha256, each.origin.source) for each in seal.packages}
    listed = {each.name: (each.sha256, each.source) for each in snapshot.files}
    names = sorted(name for name, _ in sealed.items() ^ listed.items())
    if names:
        return names[0]
    if seal.mount != snapshot.mount:
        return "the mount"
    return "" if seal.target == snapshot.target else "the interpreter"


def of_manifest(tree: Tree, wheel: Path, *, library: str) -> Finding | None:
    """The first thing that a tree's manifest does not say as the RECORD of its wheel does.

    Args:
        tree: with the manifest.
        wheel: what it was made of; its hash is right.
        library: name of the interpreter's library, e.g. ``python3.12``.

    Returns:
        What is wrong with the manifest, or with the wheel, where that is refused by now.
    """
    try:
        read = wheels.read(wheel, library=library)
    except HostileWheelError as error:
        return Finding(str(wheel), f"is refused: {error.message}")
    manifest = tree.manifest
    stated = {file.path: file.sha256 for file in (*manifest.files, *manifest.raw_scripts)}
    for member in read.members:
        if is_replaced(member.name, read.layout) or member.algorithm != "sha256":
            continue
        found = stated.get(member.destination) or stated.get(f"bin/{member.destination}", "")
        if found != member.digest.hex():
            path = str(tree.path.with_name(f"{tree.path.name}.json"))
            reason = f"does not say of {member.destination} what the wheel's RECORD says"
            return Finding(path, reason, member.digest.hex(), found)
    return None
