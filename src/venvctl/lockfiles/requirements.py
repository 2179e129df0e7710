"""`requirements.txt`: pinned lines, with hashes or without, in everything that pip accepts."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.markers import InvalidMarker, Marker
from packaging.pylock import Pylock
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from venvctl.errors import LockError
from venvctl.lockfiles.direct import IN_IMAGE, Direct
from venvctl.lockfiles.hashes import parse_hash
from venvctl.lockfiles.locations import redact
from venvctl.lockfiles.model import Lock, Pin
from venvctl.lockfiles.requirement_lines import Line, expand_variables, read_lines
from venvctl.lockfiles.requirement_options import Grammar, Settings, split_line

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.pylock import Package
    from packaging.specifiers import SpecifierSet

    from venvctl.lockfiles.files import Files
    from venvctl.lockfiles.model import LockOptions

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(//|(?=/))")
_LOCAL = re.compile(r"\.{0,2}/|\.{1,2}$|[^@;\[<>=!~ ]*(/|\.(whl|zip|tar|tgz|tar\.gz|tar\.bz2)$)")
_LONGEST = 20_000  # characters of one requirement without its options
_MAKE_LOCK = "`uv pip compile --generate-hashes -o requirements.txt requirements.in` makes a lock."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One requirement or constraint, before the options of all files are known."""

    text: str
    requirement: Requirement | None  # None: straight from a URL or file without a name
    hashes: tuple[str, ...]
    place: str
    directory: Path


@dataclass(slots=True)
class _Reading:
    """What has been gathered while the included files are followed."""

    files: Files
    grammar: Grammar = field(default_factory=Grammar)
    settings: Settings = field(default_factory=Settings)
    # By place, since two includes of one file are one file.
    requirements: dict[str, _Entry] = field(default_factory=dict)
    constraints: dict[str, _Entry] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def read_requirements(files: Files, path: Path, options: LockOptions) -> Lock:
    """Read a requirements file and what it includes.

    Raises:
        LockError: as `venvctl.lockfiles.read`.
    """
    for kind, values in (("extras", options.extras), ("groups", options.groups)):
        if values:
            raise LockError(
                f"{files.display(path)} is a requirements file and has no {kind}:"
                f" {', '.join(values)}.",
                hint=f"Remove the label `venvctl.{kind}`, or use a lock that has {kind}.",
            )
    reading = _Reading(files)
    _follow(reading, path, constraint=False, above=())
    _check_hashes(reading)
    packages: list[Package] = []
    pins: list[Pin] = []
    for entry in reading.requirements.values():
        if entry.requirement is None or entry.requirement.url:
            packages.append(_direct(entry, files).package())
        else:
            pins.append(_pin(entry, entry.requirement, reading))
    return Lock(
        path=path,
        format="requirements",
        digests=dict(files.digests),
        pylock=Pylock(lock_version=Version("1.0"), created_by="venvctl", packages=packages),
        pins=tuple(pins),
        insecure_hosts=tuple(dict.fromkeys(reading.settings.insecure_hosts)),
        warnings=tuple(dict.fromkeys(reading.warnings)),
    )


def _follow(reading: _Reading, path: Path, *, constraint: bool, above: tuple[Path, ...]) -> None:
    """Read one file, and those it includes, in their order."""
    name = reading.files.display(path)
    for line in read_lines(reading.files.read(path), name):
        text, option_text = split_line(line.text)
        options = reading.grammar.parse(option_text, line.place)
        if text:
            entry = _entry(text, options.hashes or (), line, path.parent)
            into = reading.constraints if constraint else reading.requirements
            into[entry.place] = entry
            if options.build_options:
                reading.warnings.append(f"{line.place}: Build options are ignored.")
            continue
        if options.editables:
            raise LockError(
                f"{line.place}: {redact(options.editables[0])!r} is editable.", hint=IN_IMAGE
            )
        if options.hashes:
            raise LockError(
                f"{line.place}: A hash stands there without a requirement.",
                hint="End the line before it in a backslash.",
            )
        for included, is_constraint in (
            *((file, False) for file in options.requirements or ()),
            *((file, True) for file in options.constraints or ()),
        ):
            target = _included(reading.files, included, path, line.place)
            if target in (*above, path):
                raise LockError(
                    f"{line.place}: {included!r} includes itself again.",
                    hint="Remove one of the `-r` or `-c` lines of the circle.",
                )
            _follow(reading, target, constraint=is_constraint, above=(*above, path))
        reading.settings.apply(options, line.place, path.parent)


def _included(files: Files, text: str, path: Path, place: str) -> Path:
    if _URL.match(text):
        raise LockError(
            f"{place}: {redact(text)!r} is a URL; only files can be included.",
            hint="Download the file into the project, and include it there.",
        )
    target = path.parent / text
    try:
        # Asked of the reader: the files may be another user's, or those of a commit.
        files.read(target)
    except LockError as error:
        if os.path.exists(target):  # noqa: PTH110 - Path raises on a name that is too long
            raise
        raise LockError(
            f"{place}: The included file {text!r} does not exist.",
            hint="Bring the file back, or remove the line.",
        ) from error
    return target


def _entry(text: str, hashes: list[str] | tuple[str, ...], line: Line, directory: Path) -> _Entry:
    if len(text) > _LONGEST:
        raise LockError(
            f"{line.place}: The requirement is longer than {_LONGEST:,} characters.",
            hint="Check that it is a lockfile.",
        )
    checked = tuple(sorted({parse_hash(value, line.place) for value in hashes}))
    requirement = None
    if not _URL.match(text) and not _LOCAL.match(text):
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise LockError(
                f"{line.place}: {redact(text)!r} is not a requirement:"
                f" {str(error).partition(chr(10))[0]}.",
                hint="Write `name==version`.",
            ) from error
        except RecursionError as error:
            raise LockError(
                f"{line.place}: The marker is nested too deep.", hint="Simplify the marker."
            ) from error
    return _Entry(
        text=text,
        requirement=requirement,
        hashes=checked,
        place=line.place,
        directory=directory,
    )


def _check_hashes(reading: _Reading) -> None:
    """Hashes for one line mean hashes for all, as in pip's hash-checking mode."""
    entries = list(reading.requirements.values())
    hashed = {
        canonicalize_name(entry.requirement.name)
        for entry in reading.constraints.values()
        if entry.hashes and entry.requirement
    }
    without = [
        entry
        for entry in entries
        if not entry.hashes
        # What comes straight from a URL has its own check: it never goes without.
        and entry.requirement
        and not entry.requirement.url
        and canonicalize_name(entry.requirement.name) not in hashed
    ]
    others = any(entry.hashes for entry in entries)
    if without and (others or reading.settings.require_hashes):
        more = f" (and {len(without) - 1} more)" if len(without) > 1 else ""
        why = "other lines have" if others else "`--require-hashes` asks for one"
        raise LockError(
            f"{without[0].place}: {without[0].text!r} has no hash{more}, though {why}.",
            hint=f"Hashes are needed for all lines or for none. {_MAKE_LOCK}",
        )


def _direct(entry: _Entry, files: Files) -> Direct:
    requirement = entry.requirement
    if requirement is not None:
        name, location, marker = requirement.name, requirement.url or "", requirement.marker
    else:
        location, _, marker_text = entry.text.partition("; ")
        try:
            marker = Marker(marker_text) if marker_text else None
        except InvalidMarker as error:
            raise LockError(
                f"{entry.place}: {marker_text!r} is not a marker.", hint="Correct the marker."
            ) from error
        name = ""
    return Direct(
        name=name,
        location=expand_variables(location.strip(), entry.place),
        hashes=entry.hashes,
        place=entry.place,
        directory=entry.directory,
        project=files.project,
        marker=marker,
    )


def _pin(entry: _Entry, requirement: Requirement, reading: _Reading) -> Pin:
    name = canonicalize_name(requirement.name)
    constraints = [
        (other, other.requirement)
        for other in reading.constraints.values()
        if other.requirement
        and canonicalize_name(other.requirement.name) == name
        and other.requirement.marker in {None, requirement.marker}
    ]
    version = _pinned(requirement.specifier, entry.place)
    hashes = set(entry.hashes)
    for other, constraint in constraints:
        version = version or _pinned(constraint.specifier, other.place)
        # pip allows what both allow; a side that has no hashes allows any.
        both = hashes & {*other.hashes} if hashes and other.hashes else hashes | {*other.hashes}
        if (hashes or other.hashes) and not both:
            raise LockError(
                f"{entry.place}: No hash of {entry.text!r} is allowed by {other.place} too.",
                hint="Make both files again, together.",
            )
        hashes = both
    if version is None:
        raise LockError(
            f"{entry.place}: {entry.text!r} is not pinned to one version.",
            hint=f"Write `{requirement.name}==VERSION`. {_MAKE_LOCK}",
        )
    for other, constraint in constraints:
        if not constraint.specifier.contains(version, prereleases=True):
            raise LockError(
                f"{entry.place}: {entry.text!r} contradicts {other.text!r} of {other.place}.",
                hint="Change one of the two.",
            )
    no_binary, only_binary = reading.settings.formats(name)
    return Pin(
        name=name,
        version=str(version),
        place=entry.place,
        marker=requirement.marker,
        hashes=tuple(sorted(hashes)),
        index=reading.settings.as_index(),
        no_binary=no_binary,
        only_binary=only_binary,
    )


def _pinned(specifiers: SpecifierSet, place: str) -> Version | None:
    """The one version that a specifier allows (pip's own rule), or None."""
    if len(specifiers) != 1:
        return None
    (specifier,) = specifiers
    if specifier.operator not in {"==", "==="} or specifier.version.endswith(".*"):
        return None
    try:
        return Version(specifier.version)
    except InvalidVersion as error:
        raise LockError(
            f"{place}: {specifier.version!r} is not a version (PEP 440).",
            hint="Only versions that the index can sort are supported.",
        ) from error
