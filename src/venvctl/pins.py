"""Pin records: the files that an index had for a pin when it was first asked, kept for ever."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.pylock import Package, PackageSdist, PackageWheel, Pylock
from packaging.utils import canonicalize_name
from packaging.version import Version

from venvctl import disk, indexes
from venvctl.errors import ChangedFileError, IntegrityError, UnavailableError
from venvctl.indexes import IndexFile, IndexOptions
from venvctl.lockfiles.locations import redact
from venvctl.selection import selected_twice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from venvctl.lockfiles.model import Index, Lock, Pin
    from venvctl.selection import SelectedFile
    from venvctl.target import Target

_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PinRecord:
    """What one index had for one name and version, for one minor version of Python.

    uv leaves out wheels for older Pythons than it is asked for. So that a file which an index gets
    later never changes what an environment is, each minor version of Python has its own record.

    Attributes:
        source: the indexes that were asked, without credentials.
        python: e.g. ``3.11``.
        unserved: hashes that a lock allowed and no file had; they are not asked for again.
    """

    source: str
    name: str
    version: str
    python: str
    files: tuple[IndexFile, ...]
    unserved: tuple[str, ...] = ()

    def knows(self, hashes: Iterable[str]) -> bool:
        """Whether the index was asked when a lock already allowed these hashes."""
        known = {hash_ for file in self.files for hash_ in _hashes(file)} | set(self.unserved)
        return known.issuperset(hashes)


class PinStore:
    """The pin records of a root: ``<directory>/<source>/<name>/<version>-<python>.json``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def load(self, pin: Pin, *, source: str, python: str) -> PinRecord | None:
        """The record of a pin, or None where the index was never asked.

        Raises:
            IntegrityError: the record is damaged. It says which content is trusted, so it is not
                silently made again.
        """
        path = self._path(source, pin.name, pin.version, python)
        return _read(path) if path.exists() else None

    def save(self, record: PinRecord) -> None:
        """Keep a record durably.

        Raises:
            ChangedFileError: a file that is on record, for any Python, now has another hash.
        """
        path = self._path(record.source, record.name, record.version, record.python)
        for other in sorted(path.parent.glob(f"{record.version}-*.json")):
            _check_unchanged(_read(other), record, other)
        disk.make_directory(path.parent)
        disk.write_file(path, _encode(record))

    def _path(self, source: str, name: str, version: str, python: str) -> Path:
        key = hashlib.sha256(source.encode()).hexdigest()[:16]
        return self._directory / key / name / f"{version}-{python}.json"


def resolve(
    lock: Lock,
    target: Target,
    store: PinStore,
    *,
    offline: bool = False,
    index: IndexOptions | None = None,
    refresh: bool = False,
    stored: Callable[[str], str] = lambda _: "",
) -> Pylock:
    """Complete a lock by the files of its pins, as far as they apply to a target.

    The index is asked only for pins that have no record, and all at once.

    Args:
        lock: what was read.
        target: the interpreter it is for.
        store: the records.
        offline: never ask the index.
        index: indexes for a lock that names none.
        refresh: ask for every pin again; what is on record must not have changed.
        stored: the name of the file that the store keeps under a SHA-256, or ""; asked only for a
            pin of which neither record nor index has an allowed file.

    Raises:
        SelectionError: a package is pinned twice for this target.
        UnavailableError: no file can be had for some pins; all are named.
        ChangedFileError: the index now serves another file than the one on record.
    """
    options = index or IndexOptions()
    pins = _applicable(lock.pins, target)
    wanted = [_Wanted(pin, indexes.effective(pin.index, options)) for pin in pins]
    for each in wanted:
        each.record = store.load(each.pin, source=each.source, python=target.python_version)
    if not offline:
        hosts = (*lock.insecure_hosts, *options.insecure_hosts)
        missing = [each for each in wanted if refresh or not each.is_known]
        _ask(missing, store, target, hosts)
    packages = [_package(each, stored) for each in wanted]
    _check_had([each for each, package in zip(wanted, packages, strict=True) if not package])
    return Pylock(
        lock_version=lock.pylock.lock_version,
        environments=lock.pylock.environments,
        requires_python=lock.pylock.requires_python,
        extras=lock.pylock.extras,
        dependency_groups=lock.pylock.dependency_groups,
        default_groups=lock.pylock.default_groups,
        created_by=lock.pylock.created_by,
        packages=[*lock.pylock.packages, *filter(None, packages)],
    )


def changed(file: SelectedFile, found: str) -> ChangedFileError:
    """The error for a download that is not what the record says, where the lock has no hashes.

    Args:
        file: a selected file whose `recorded` is true.
        found: SHA-256 (hex) of what the index served.
    """
    return _changed(f"{file.name} {file.version}", file.file, file.sha256, found)


@dataclass(slots=True)
class _Wanted:
    """A pin on its way to its files."""

    pin: Pin
    index: Index
    record: PinRecord | None = None
    reason: str = ""  # why the index can't give it

    @property
    def source(self) -> str:
        """What the record is kept under: the indexes, without credentials."""
        urls = (self.index.url, *self.index.extra, *self.index.find_links)
        return " ".join(redact(url) for url in urls if url) or "default"

    @property
    def is_known(self) -> bool:
        return self.record is not None and self.record.knows(self.pin.hashes)

    def allowed(self) -> list[IndexFile]:
        """The files on record that the lock's hashes and options allow."""
        return [
            file
            for file in (self.record.files if self.record else ())
            if not (self.pin.no_binary and file.is_wheel)
            and not (self.pin.only_binary and not file.is_wheel)
            and (not self.pin.hashes or not _hashes(file).isdisjoint(self.pin.hashes))
        ]


def _applicable(pins: Iterable[Pin], target: Target) -> list[Pin]:
    """The pins whose marker applies; a line that stands there twice counts once."""
    environment = target.marker_environment()
    found: dict[str, Pin] = {}
    for pin in pins:
        if pin.marker is not None and not pin.marker.evaluate(dict(environment)):
            continue
        other = found.setdefault(pin.name, pin)
        if (other.version, other.hashes) != (pin.version, pin.hashes):
            raise selected_twice(
                pin.name, (other.version, other.place), (pin.version, pin.place), target
            )
    return list(found.values())


def _ask(
    missing: Sequence[_Wanted], store: PinStore, target: Target, insecure_hosts: Sequence[str]
) -> None:
    """Ask each index once for all pins that are missing, and keep what it says."""
    by_index: dict[Index, list[_Wanted]] = {}
    for each in missing:
        by_index.setdefault(each.index, []).append(each)
    for index, group in by_index.items():
        answer = indexes.ask(
            [(each.pin.name, each.pin.version) for each in group],
            index,
            python=target.version,
            insecure_hosts=insecure_hosts,
        )
        for each in group:
            key = (each.pin.name, each.pin.version)
            each.reason = answer.reasons.get(key, "")
            if key in answer.files:
                each.record = _merged(each, answer.files[key], target)
                store.save(each.record)


def _merged(each: _Wanted, files: Iterable[IndexFile], target: Target) -> PinRecord:
    """A record of what the index has now, and what it had before."""
    served = {file.name: file for file in files}
    before = {file.name: file for file in (each.record.files if each.record else ())}
    known = {hash_ for file in served.values() for hash_ in _hashes(file)}
    return PinRecord(
        source=each.source,
        name=each.pin.name,
        version=each.pin.version,
        python=target.python_version,
        files=tuple(sorted({**before, **served}.values(), key=lambda file: file.name)),
        unserved=tuple(
            sorted({*each.pin.hashes, *(each.record.unserved if each.record else ())} - known)
        ),
    )


def _package(each: _Wanted, stored: Callable[[str], str]) -> Package | None:
    """The package with the files that are allowed; None where there is none."""
    pin, files = each.pin, each.allowed()
    if not files:
        digests = [text.removeprefix("sha256:") for text in pin.hashes if text[:7] == "sha256:"]
        files = [
            IndexFile(name=name, url="", hashes={"sha256": digest})
            for digest in digests
            if (name := stored(digest))
        ]
    if not files:
        return None
    wheels = [
        PackageWheel(
            name=file.name,
            url=file.url or None,
            path=file.path or None,
            size=file.size,
            hashes=file.hashes,
        )
        for file in files
        if file.is_wheel
    ]
    sdists = [
        PackageSdist(
            name=file.name,
            url=file.url or None,
            path=file.path or None,
            size=file.size,
            hashes=file.hashes,
        )
        # An index may have one as .tar.gz and as .zip; PEP 625 settled on the former.
        for file in sorted(files, key=lambda file: file.name.endswith(".zip"))
        if not file.is_wheel
    ]
    return Package(
        name=canonicalize_name(pin.name),
        version=Version(pin.version),
        sdist=sdists[0] if sdists else None,
        wheels=wheels or None,
        tool={"venvctl": {"place": pin.place, "recorded": not pin.hashes}},
    )


def _check_had(lost: Sequence[_Wanted]) -> None:
    """Name every pin at once that no file can be had for."""
    if not lost:
        return
    lines = []
    for each in lost:
        if each.reason:
            why = f"the index hasn't it: {each.reason}"
        elif each.record is None:
            why = "it has no pin record, and the index may not be asked"
        else:
            names = ", ".join(file.name for file in each.record.files) or "no files"
            why = f"the lock's hashes or options allow none of the index's files ({names})"
        lines.append(f"{each.pin.name} {each.pin.version} ({each.pin.place}): {why}")
    raise UnavailableError(
        f"No file can be had for {len(lost)} of the lock's pins. {'; '.join(lines)}.",
        hint="Make the lock again, or sync once where the index can be reached and has them.",
    )


def _hashes(file: IndexFile) -> set[str]:
    return {f"{algorithm}:{digest}" for algorithm, digest in file.hashes.items()}


def _check_unchanged(old: PinRecord, new: PinRecord, path: Path) -> None:
    before = {file.name: file.hashes for file in old.files}
    for file in new.files:
        for algorithm in before.get(file.name, {}).keys() & file.hashes.keys():
            was, now = before[file.name][algorithm], file.hashes[algorithm]
            if was != now:
                raise _changed(f"{new.name} {new.version}", file.name, was, now, path)


def _changed(
    package: str, name: str, was: str, now: str, path: Path | None = None
) -> ChangedFileError:
    where = f"remove {path}" if path else "sync with a new version or with hashes in the lock"
    return ChangedFileError(
        f"The index now serves another file as {name} of {package}: its hash is {now},"
        f" and was {was} at the first sync.",
        hint=f"Find out why; an index must never change a file. If it is meant, {where}.",
    )


def _read(path: Path) -> PinRecord:
    try:
        return _decode(json.loads(path.read_bytes()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError(
            f"The pin record {path} is damaged.",
            hint="Remove it; the index is then asked again, and what it serves is trusted.",
        ) from error


def _encode(record: PinRecord) -> bytes:
    tables = {"schema": _SCHEMA, **dataclasses.asdict(record)}
    return json.dumps(tables, indent=1, ensure_ascii=False).encode() + b"\n"


def _decode(tables: Mapping[str, Any]) -> PinRecord:
    if tables["schema"] != _SCHEMA:
        raise ValueError(tables["schema"])
    return PinRecord(
        source=str(tables["source"]),
        name=str(tables["name"]),
        version=str(tables["version"]),
        python=str(tables["python"]),
        files=tuple(
            IndexFile(
                name=str(file["name"]),
                url=str(file["url"]),
                path=str(file["path"]),
                hashes={str(key): str(value) for key, value in file["hashes"].items()},
                size=None if file["size"] is None else int(file["size"]),
                upload_time=str(file["upload_time"]),
            )
            for file in tables["files"]
        ),
        unserved=tuple(map(str, tables["unserved"])),
    )
