"""What the archive of a snapshot says of it: the same on every host, and checked before use (pure).

An archive is flat, and a wheel directory when unpacked:

    snapshot.json   what a generation is made of besides its wheels
    pylock.toml     the wheels (PEP 751), each by its name beside it, its size and its hash
    <wheels>

Nothing in it depends on who wrote it, or when: no date, image, environment, URL or path of a host.
"""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.pylock import PackageWheel, Pylock, PylockValidationError
from packaging.tags import parse_tag
from packaging.utils import canonicalize_name, parse_wheel_filename

from venvctl import plan, tarball
from venvctl.errors import IntegrityError, LockError
from venvctl.generations import LAYOUT_VERSION
from venvctl.lockfiles import toml
from venvctl.origin import Origin
from venvctl.placement import name_fault
from venvctl.selection import SelectedFile, Selection
from venvctl.snapshots import render_lock
from venvctl.tarball import refuse
from venvctl.target import Target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.pylock import Package

    from venvctl.snapshots import Snapshot

FACTS = "snapshot.json"
LOCK = "pylock.toml"
FORMAT = "venvctl-snapshot"
SCHEMA = 1
_FAULTS = (ValueError, KeyError, TypeError, AttributeError, OverflowError, PylockValidationError)
_KEY = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# The content of a commit is named by its own hash, SHA-1 or SHA-256.
_SOURCE = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# What becomes part of a script's first line is no free text.
_PATH = re.compile(r"/[A-Za-z0-9._+@%=,/-]{1,1000}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelFile:
    """One wheel of an archive; `size` is in bytes."""

    origin: Origin
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What an archive holds; the fields are those of `snapshots.Snapshot`.

    Attributes:
        layout: `generations.LAYOUT_VERSION` of the venvctl that made the snapshot.
        files: one wheel for each package, in the order of the snapshot.
    """

    key: str
    layout: int
    mount: str
    target: Target
    bytecode: str
    conflicts: str
    files: tuple[ParcelFile, ...]

    @property
    def built(self) -> tuple[Origin, ...]:
        """The wheels that were built from source; the key vouches for the source alone."""
        return tuple(file.origin for file in self.files if file.origin.source)

    @property
    def size(self) -> int:
        """Bytes of all wheels together."""
        return sum(file.size for file in self.files)

    @property
    def archived(self) -> int:
        """Bytes of the archive, as long as it is not compressed."""
        sizes = [len(self.facts()), len(self.lock()), *(file.size for file in self.files)]
        return tarball.size(sizes)

    def facts(self) -> bytes:
        """The text of `snapshot.json`."""
        document = {
            "format": FORMAT,
            "schema": SCHEMA,
            "key": self.key,
            "layout": self.layout,
            "mount": self.mount,
            "target": self.target.to_dict(),
            "bytecode": self.bytecode,
            "conflicts": self.conflicts,
            "built": {origin.name: origin.source for origin in self.built},
        }
        return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"

    def lock(self) -> bytes:
        """The text of `pylock.toml`."""
        return render_lock((file.origin, file.origin.file, file.size) for file in self.files)

    @classmethod
    def of(cls, snapshot: Snapshot, sizes: Sequence[int]) -> Parcel:
        """What the archive of a snapshot holds.

        Args:
            snapshot: what is exported.
            sizes: bytes of each of its wheels.

        Raises:
            IntegrityError: the snapshot is not what its key says.
        """
        # Where a wheel was had is not the same on every host.
        files = tuple(
            ParcelFile(
                origin=Origin(
                    name=origin.name,
                    version=origin.version,
                    file=origin.file,
                    sha256=origin.sha256,
                    source=origin.source,
                ),
                size=size,
            )
            for origin, size in zip(snapshot.files, sizes, strict=True)
        )
        for layout in range(LAYOUT_VERSION, 0, -1):
            parcel = cls(
                key=snapshot.key,
                layout=layout,
                mount=snapshot.mount,
                target=snapshot.target,
                bytecode=snapshot.bytecode,
                conflicts=snapshot.conflicts,
                files=files,
            )
            if parcel.key_fits():
                return parcel
        raise IntegrityError(
            f"Snapshot {snapshot.key} is not what its key says: it was changed after it was made.",
            hint="Sync its environment again, or restore another snapshot.",
        )

    def key_fits(self) -> bool:
        """Whether the key names this content; it can't be told where a wheel was built.

        A key covers the source of a package that was built, under a name that only the lock has.
        """
        if self.built:
            return True
        selection = Selection(
            files=tuple(
                SelectedFile(
                    name=file.origin.name,
                    version=file.origin.version,
                    file=file.origin.file,
                    kind="wheel",
                    sha256=file.origin.sha256,
                    urls=(),
                )
                for file in self.files
            )
        )
        return self.key == plan.key_of(
            selection.digest,
            self.target,
            mount=self.mount,
            bytecode=self.bytecode,
            conflicts=self.conflicts,
            layout=self.layout,
        )


def parse(facts: bytes, lock: bytes, *, file: str) -> Parcel:
    """Read the two texts of an archive.

    Args:
        facts: of `snapshot.json`.
        lock: of `pylock.toml`.
        file: what the archive is called in messages.

    Raises:
        HostileArchiveError: they can't be read, contradict each other, or say what can't be.
    """
    try:
        document = json.loads(facts)
        _check_schema(document)
        built = {str(name): str(source) for name, source in document["built"].items()}
        parcel = Parcel(
            key=_matching(_KEY, document["key"], "key"),
            layout=_number(document["layout"], "layout"),
            mount=_path(document["mount"], "mount"),
            target=_target(document["target"]),
            bytecode=_one_of(("ahead", "off"), document["bytecode"], "bytecode"),
            conflicts=_one_of(("last", "error"), document["conflicts"], "conflicts"),
            files=_files(Pylock.from_dict(toml.parse(lock.decode(), LOCK)).packages, built),
        )
    # RecursionError: brackets without end.
    except (*_FAULTS, RecursionError, LockError) as error:
        raise refuse(file, f"has texts that can't be used: {_words(error)}") from error
    _check_tags(parcel, file)
    if not parcel.key_fits():
        raise refuse(file, "has another content than its key says", member=parcel.key)
    return parcel


def _words(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "one is nested too deep"
    # The text of a KeyError is the key alone.
    return f"misses {error}" if isinstance(error, KeyError) else str(error).rstrip(".")


def _check_schema(document: object) -> None:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise TypeError(f"{FACTS} is not that of a snapshot")
    if document.get("schema") != SCHEMA:
        raise ValueError(f"schema {document.get('schema')!a} is not known to this venvctl")


def _files(packages: Sequence[Package], built: Mapping[str, str]) -> tuple[ParcelFile, ...]:
    files = tuple(_file(package, built.get(package.name, "")) for package in packages)
    names = [file.origin.name for file in files]
    if names != sorted(set(names)):
        raise ValueError(f"{LOCK} does not have each package once, in the order of their names")
    if stray := sorted(built.keys() - set(names)):
        raise ValueError(f"{stray[0]!a} was built, and is not in {LOCK}")
    return files


def _file(package: Package, source: str) -> ParcelFile:
    wheels = package.wheels or ()
    if len(wheels) != 1 or package.sdist or package.archive or package.vcs or package.directory:
        raise ValueError(f"{package.name} has not exactly one wheel")
    wheel = wheels[0]
    name, version, _, _ = parse_wheel_filename(wheel.filename)
    if name != package.name or version != package.version:
        raise ValueError(f"{wheel.filename!a} is no wheel of {package.name} {package.version}")
    if wheel.path != wheel.filename or name_fault(wheel.filename, longest=255):
        raise ValueError(f"{wheel.filename!a} is not beside {LOCK}")
    if source:
        _matching(_SOURCE, source, f"source of {package.name}")
    return ParcelFile(
        origin=Origin(
            name=canonicalize_name(package.name),
            version=str(package.version),
            file=wheel.filename,
            sha256=_matching(_SHA256, wheel.hashes.get("sha256"), f"SHA-256 of {package.name}"),
            source=source,
        ),
        size=_size(wheel),
    )


def _size(wheel: PackageWheel) -> int:
    if wheel.size is None or wheel.size <= 0:
        raise ValueError(f"{wheel.filename} has no size")
    return wheel.size


def _target(value: object) -> Target:
    target = Target.from_dict(value)
    _path(target.interpreter, "interpreter")
    return target


def _check_tags(parcel: Parcel, file: str) -> None:
    suiting = set(parcel.target.wheel_tags())
    for each in parcel.files:
        tags = parse_tag("-".join(each.origin.file.removesuffix(".whl").split("-")[-3:]))
        if suiting.isdisjoint(tags):
            reason = f"does not suit its Python {parcel.target.version}"
            raise refuse(file, reason, member=each.origin.file)


def _matching(pattern: re.Pattern[str], value: object, what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"the {what} {value!a} can't be one"[:500])
    return value


def _path(value: object, what: str) -> str:
    text = _matching(_PATH, value, what)
    if posixpath.normpath(text) != text:
        raise ValueError(f"the {what} {value!a} can't be one")
    return text


def _number(value: object, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"the {what} {value!a} can't be one")
    return value


def _one_of(known: Sequence[str], value: object, what: str) -> str:
    if value not in known:
        raise ValueError(f"the {what} {value!a} is none of {', '.join(known)}")
    return str(value)
