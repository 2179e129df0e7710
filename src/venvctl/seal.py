"""A generation's seal, read back: what it is made of, and what was generated for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from venvctl import stamp
from venvctl.arrangement import Conflict
from venvctl.errors import IntegrityError
from venvctl.generations import SEAL
from venvctl.origin import Origin
from venvctl.placement import name_fault
from venvctl.target import Target
from venvctl.trees import tree_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LONGEST = 4096  # bytes of a path (PATH_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedPackage:
    """One package of a generation.

    Attributes:
        origin: its wheel, and where that came from.
        tree: name of the tree that was linked.
        bytecode: whether that tree has bytecode.
    """

    origin: Origin
    tree: str
    bytecode: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What a generation's `seal.json` says; the fields are those of `generations.Blueprint`.

    Attributes:
        packages: in name order, as they were linked.
        conflicts: paths that two wheels own with different content.
        generated: path relative to the prefix → SHA-256 of what was written for this generation.
    """

    number: int
    key: str
    created: str
    created_by: str
    mount: str
    image: str
    target: Target
    lock_digests: Mapping[str, str]
    packages: tuple[SealedPackage, ...]
    conflicts: tuple[Conflict, ...]
    generated: Mapping[str, str]

    @classmethod
    def load(cls, generation: Path) -> Seal:
        """Read the seal of a generation's directory.

        Raises:
            IntegrityError: it is missing, can't be read, or is that of another generation.
        """
        try:
            seal = _parse(stamp.opened((generation / SEAL).read_bytes()))
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            OverflowError,
            RecursionError,
        ) as error:
            raise IntegrityError(
                f"The seal of the generation {generation} can't be read: {error}.",
                hint="`venvctl restore` makes the environment's generation anew.",
            ) from error
        if generation.name != f"{seal.number}-{seal.key}":
            raise IntegrityError(
                f"The generation {generation} has the seal of {seal.number}-{seal.key}.",
                hint="`venvctl restore` makes the environment's generation anew.",
            )
        return seal


def _parse(document: object) -> Seal:
    if not isinstance(document, dict):
        raise TypeError("it is not an object")
    if document["schema"] != 1:
        raise ValueError(f"its schema {document['schema']!r} is not known")
    target = Target.from_dict(document["target"])
    return Seal(
        number=int(document["number"]),
        key=str(document["key"]),
        created=str(document["created"]),
        created_by=str(document["created-by"]),
        mount=str(document["mount"]),
        image=str(document["image"]),
        target=target,
        lock_digests={str(path): str(digest) for path, digest in document["locks"].items()},
        packages=tuple(_package(package, target) for package in document["packages"]),
        conflicts=tuple(
            Conflict(
                path=str(conflict["path"]),
                winner=str(conflict["winner"]),
                loser=str(conflict["loser"]),
            )
            for conflict in document["conflicts"]
        ),
        generated={
            _path(str(path)): _digest(str(digest)) for path, digest in document["generated"].items()
        },
    )


def _package(package: Mapping[str, object], target: Target) -> SealedPackage:
    origin = Origin(
        name=str(package["name"]),
        version=str(package["version"]),
        file=str(package["file"]),
        sha256=_digest(str(package["sha256"])),
        source=str(package["source"]),
        url=str(package["url"]),
    )
    for bytecode in (True, False):
        if package["tree"] == tree_name(origin.sha256, target, bytecode=bytecode):
            return SealedPackage(origin=origin, tree=str(package["tree"]), bytecode=bytecode)
    raise ValueError(f"{package['tree']!r} is not a tree of {origin.file}")


def _digest(text: str) -> str:
    if not _SHA256.fullmatch(text):
        raise ValueError(f"{text!a} is not a SHA-256")
    return text


def _path(text: str) -> str:
    # What a file says is never a path unchecked.
    if fault := name_fault(text, longest=_LONGEST):
        raise ValueError(f"{text!a} {fault}")
    return text
