"""Known vulnerabilities of packages, read from records in the OSV format (its schema, 1.7)."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name
from packaging.version import Version

from venvctl.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

_ECOSYSTEM = "PyPI"
_RECORD_SIZE = 16 << 20  # bytes; the largest public records have less than one
_RECORDS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Vulnerability:
    """One advisory that concerns one package.

    Attributes:
        name, version: of the package.
        id: of the advisory. aliases: other IDs of it, sorted.
        fixed: versions from which on it no longer holds, the next one first; may be empty.
    """

    name: str
    version: str
    id: str
    aliases: tuple[str, ...]
    summary: str
    fixed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What a source of advisories says.

    Attributes:
        records: how many it has.
        vulnerabilities: those that concern one of the packages, by name, then ID.
    """

    records: int
    vulnerabilities: tuple[Vulnerability, ...]


def examine(source: Path, versions: Mapping[str, str]) -> Examination:
    """Find the advisories that concern some packages.

    Args:
        source: a directory with JSON files, also in folders, or a zip archive of them, as OSV
            publishes one for each ecosystem.
        versions: normalised name of each package → its version.

    Raises:
        ConfigurationError: there are no records that can be read; the message names the file.
    """
    count = 0
    found: dict[tuple[str, str], Vulnerability] = {}
    for place, data in _read(source):
        count += 1
        try:
            concerned = list(_concerning(json.loads(data), versions))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ConfigurationError(
                f"The advisory {place} can't be read: {error}.",
                hint="It must be a record in the OSV format.",
            ) from error
        for each in concerned:
            found[each.name, each.id] = each
    if not count:
        raise ConfigurationError(
            f"There are no advisories in {source}.",
            hint="Name a directory with records in the OSV format, or a zip archive of them.",
        )
    return Examination(records=count, vulnerabilities=tuple(found[key] for key in sorted(found)))


def _read(source: Path) -> Iterator[tuple[str, bytes]]:
    """Each record with its place."""
    try:
        if source.is_dir():
            for path in sorted(source.rglob("*.json")):
                yield str(path), path.read_bytes()
            return
        with zipfile.ZipFile(source) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".json")]
            for info in members[:_RECORDS]:
                if info.file_size > _RECORD_SIZE:
                    raise ConfigurationError(
                        f"The advisory {info.filename} in {source} has {info.file_size:,} bytes, "
                        f"more than {_RECORD_SIZE:,}."
                    )
                # `read` ends at the size that the archive tells.
                yield f"{info.filename} in {source}", archive.read(info)
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigurationError(
            f"The advisories {source} can't be read: {reason}.",
            hint="Name a directory with records in the OSV format, or a zip archive of them.",
        ) from error


def _concerning(record: Any, versions: Mapping[str, str]) -> Iterator[Vulnerability]:
    if record.get("withdrawn"):
        return
    for affected in record.get("affected") or ():
        package = affected.get("package") or {}
        name = canonicalize_name(package.get("name", ""))
        if package.get("ecosystem", "").partition(":")[0] != _ECOSYSTEM or name not in versions:
            continue
        version = Version(versions[name])
        if _is_affected(affected, version):
            yield Vulnerability(
                name=name,
                version=versions[name],
                id=str(record["id"]),
                aliases=tuple(sorted(map(str, record.get("aliases") or ()))),
                summary=str(record.get("summary") or ""),
                fixed=_fixed(affected, version),
            )


def _is_affected(affected: Any, version: Version) -> bool:
    """The evaluation that the OSV schema lays down, for versions as PEP 440 orders them."""
    if any(version == other for other in _versions(affected.get("versions") or ())):
        return True
    return any(_includes(events, version) for events in _ranges(affected))


def _ranges(affected: Any) -> Iterator[list[tuple[Version | None, str]]]:
    """The events of each range, in order; None stands for the beginning."""
    for each in affected.get("ranges") or ():
        if each.get("type") != "ECOSYSTEM":
            continue  # the others are about commits
        events: list[tuple[Version | None, str]] = []
        for event in each["events"]:
            for kind, text in event.items():
                if kind == "introduced" and text == "0":
                    events.append((None, kind))
                elif kind in {"introduced", "fixed", "last_affected"}:
                    events += [(found, kind) for found in _versions([text])]
        yield sorted(events, key=lambda event: (event[0] is not None, event[0] or Version("0")))


def _includes(events: list[tuple[Version | None, str]], version: Version) -> bool:
    vulnerable = False
    for at, kind in events:
        if kind == "introduced" and (at is None or version >= at):
            vulnerable = True
        elif at is not None and (
            (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at)
        ):
            vulnerable = False
    return vulnerable


def _fixed(affected: Any, version: Version) -> tuple[str, ...]:
    later = {
        at
        for events in _ranges(affected)
        for at, kind in events
        if kind == "fixed" and at is not None and at > version
    }
    return tuple(map(str, sorted(later)))


def _versions(texts: Collection[object]) -> Iterator[Version]:
    for text in texts:
        try:
            yield Version(str(text))
        # An InvalidVersion is one, and so is a number of thousands of digits.
        except ValueError:
            continue  # one that no installer can ask for
