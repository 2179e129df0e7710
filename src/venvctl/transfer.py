"""Snapshots that travel: one into an archive, and an archive into a root, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.version import Version

from venvctl import compression, disk, parcel, tarball, timestamps, wheels
from venvctl.archives import Limits
from venvctl.errors import CorruptFileError, IntegrityError, VenvctlError
from venvctl.parcel import Parcel, ParcelFile
from venvctl.snapshots import Snapshot, Use
from venvctl.store import file_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from venvctl.progress import Progress
    from venvctl.root import Root
    from venvctl.tarball import Reader, Writable

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportLimits:
    """How big an archive may be; a bigger one is refused.

    Attributes:
        size: bytes of all wheels together.
        files: how many wheels.
        text: bytes of `snapshot.json`, and of `pylock.toml`.
        wheel: how big one wheel may get.
    """

    size: int = 64 << 30
    files: int = 20_000
    text: int = 16 << 20
    wheel: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """What was written.

    Attributes:
        path: of the archive. sha256: of its bytes, to compare on the other host.
        size: in bytes.
        built: packages whose wheel was built from source here.
    """

    key: str
    path: Path
    sha256: str
    size: int
    packages: int
    built: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """What an import did.

    Attributes:
        known: whether the snapshot was here already.
        added: how many wheels the store did not have.
        environments: those that it was imported for.
        built: packages whose wheel was built from source where it comes from.
    """

    key: str
    packages: int
    python: str
    mount: str
    known: bool
    added: int
    environments: tuple[str, ...]
    built: tuple[str, ...]


def export_snapshot(key: str, output: Path, root: Root, *, progress: Progress) -> ExportResult:
    """Write a snapshot with all of its wheels into one file.

    The same snapshot gives the same bytes on every host.

    Args:
        key: of the snapshot.
        output: the archive, which is replaced when it is there; compressed if it ends in
            ``.tar.zst``.
        root: where the snapshot is.
        progress: told of bytes.

    Raises:
        UsageError: there is no such snapshot, or the file's name says no kind of archive.
        UnavailableError: the store lacks a wheel.
        CorruptFileError: a wheel is damaged; it has been set aside, and nothing was written.
        DiskFullError, RootError: it could not be written; nothing is left of it.
    """
    compressed = compression.is_compressed(output.name)
    with root.working():
        snapshot = root.snapshots.load(key)
        paths = [root.store.get(origin, name=origin.file) for origin in snapshot.files]
        content = Parcel.of(snapshot, [path.stat().st_size for path in paths])
        progress.stage("exporting", total=content.size, unit="bytes")
        temporary = output.with_name(f".{output.name}.{secrets.token_hex(6)}")
        with disk.translate(output, needed=content.archived):
            try:
                # Not 0600: whoever may read its folder may have it, as any file that is made there.
                handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
                with (
                    os.fdopen(handle, "wb") as stream,
                    compression.writing(stream, compressed=compressed) as writer,
                ):
                    _pack(content, paths, writer, root, progress)
                disk.sync_file(temporary)
                disk.publish(temporary, output)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
                raise
    return ExportResult(
        key=key,
        path=output,
        sha256=file_digest(output),
        size=output.stat().st_size,
        packages=len(content.files),
        built=tuple(origin.name for origin in content.built),
    )


def import_snapshot(
    file: Path,
    root: Root,
    *,
    environments: Sequence[str] = (),
    limits: ImportLimits | None = None,
    progress: Progress,
) -> ImportResult:
    """Take a snapshot in from an archive.

    Everything is checked before anything is visible: the archive, its two texts, each wheel's hash
    and what the wheel itself says. A snapshot that is here already stays as it is.

    Args:
        file: the archive, compressed or not.
        root: where to.
        environments: names of registered environments that it is for: a restore without a key finds
            it where they have no snapshot yet, and `gc` keeps it as long as theirs.
        limits: how big it may be.
        progress: told of bytes.

    Raises:
        HostileArchiveError: the archive is refused; nothing was imported.
        HostileWheelError: the same because of a wheel in it.
        IntegrityError: this root has another snapshot of the same key.
        UsageError: there is no such environment.
        TargetError: the snapshot can't be that environment's.
        DiskFullError, RootError: it could not be written.
    """
    limits = limits or ImportLimits()
    with root.working(), disk.temporary_directory(root.path) as temporary:
        registrations = [root.registry.load(name) for name in dict.fromkeys(environments)]
        with compression.reading(file) as stream:
            reader = tarball.Reader(stream, file=str(file))
            content = _begin(reader, file, limits)
            for registration in registrations:
                registration.check_mount(content.mount, content.key)
            progress.stage("importing", total=content.size, unit="bytes")
            with disk.translate(temporary, needed=content.size):
                _unpack(reader, content, temporary, limits, progress, str(file))
        known = _known(content, root)
        missing = root.store.missing([each.origin for each in content.files])
        _keep(content, temporary, root)
        if not known:
            # Files of the store that somebody else has just added are needed as much as ours.
            disk.sync_filesystem(root.path)
            root.snapshots.save(_snapshot(content))
        had = root.snapshots.load(content.key).environments
        for registration in registrations:
            if registration.name not in had:
                use = Use(since=timestamps.now(), number=0, registration=registration)
                root.snapshots.mark_current(content.key, use)
    if content.built:
        progress.warn(
            f"{', '.join(origin.name for origin in content.built)} came as source, and the wheel "
            "was built where this archive was made: nothing but the archive vouches for it."
        )
    return ImportResult(
        key=content.key,
        packages=len(content.files),
        python=content.target.version,
        mount=content.mount,
        known=known,
        added=len(missing),
        environments=tuple(registration.name for registration in registrations),
        built=tuple(origin.name for origin in content.built),
    )


def _pack(
    content: Parcel, paths: Sequence[Path], stream: Writable, root: Root, progress: Progress
) -> None:
    archive = tarball.Writer(stream)
    for name, text in ((parcel.FACTS, content.facts()), (parcel.LOCK, content.lock())):
        archive.add(name, len(text), [text])
    for each, path in sorted(zip(content.files, paths, strict=True), key=_file_name):
        archive.add(each.origin.file, each.size, _hashed(each, path, root, progress))
    archive.close()


def _file_name(pair: tuple[ParcelFile, Path]) -> str:
    return pair[0].origin.file


def _hashed(file: ParcelFile, path: Path, root: Root, progress: Progress) -> Iterator[bytes]:
    """The content of a stored wheel, which at its end has proved to be what its name says."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_CHUNK):
            digest.update(block)
            progress.advance(len(block))
            yield block
    if digest.hexdigest() != file.origin.sha256:
        root.store.quarantine(file.origin.sha256)
        raise CorruptFileError(
            f"{path} is damaged: its SHA-256 is {digest.hexdigest()}, and not that of its folder. "
            "It has been set aside, and nothing was exported.",
            hint="Have it fetched again with `venvctl verify --repair`, then export again.",
        )


def _begin(reader: Reader, file: Path, limits: ImportLimits) -> Parcel:
    """The two texts, which come first, so that nothing is unpacked that they don't name."""
    texts = [_text(reader, name, file, limits) for name in (parcel.FACTS, parcel.LOCK)]
    content = parcel.parse(*texts, file=str(file))
    if len(content.files) > limits.files:
        reason = f"has {len(content.files):,} wheels, more than {limits.files:,}"
        raise tarball.refuse(str(file), reason)
    if content.size > limits.size:
        reason = f"has {content.size:,} bytes of wheels, more than {limits.size:,}"
        raise tarball.refuse(str(file), reason)
    return content


def _text(reader: Reader, name: str, file: Path, limits: ImportLimits) -> bytes:
    member = reader.next()
    if member is None or member.name != name:
        raise tarball.refuse(
            str(file),
            f"has {ascii(member.name) if member else 'its end'} where {name} belongs",
        )
    if member.size > limits.text:
        reason = f"has {member.size:,} bytes, more than {limits.text:,}"
        raise tarball.refuse(str(file), reason, member=name)
    return b"".join(reader.blocks(member))


def _unpack(
    reader: Reader,
    content: Parcel,
    directory: Path,
    limits: ImportLimits,
    progress: Progress,
    file: str,
) -> None:
    """Every wheel, under its own name, hashed while it is written and read as a wheel."""
    left = {each.origin.file: each for each in content.files}
    while member := reader.next():
        each = left.pop(member.name, None)
        if each is None:
            raise tarball.refuse(file, f"is not in {parcel.LOCK}", member=member.name)
        if member.size != each.size:
            reason = f"has {member.size:,} bytes, and not the {each.size:,} of {parcel.LOCK}"
            raise tarball.refuse(file, reason, member=member.name)
        # A plain name: `Reader` lets no other through.
        path = directory / member.name
        digest = hashlib.sha256()
        with path.open("xb") as target:
            for block in reader.blocks(member):
                digest.update(block)
                target.write(block)
                progress.advance(len(block))
        if digest.hexdigest() != each.origin.sha256:
            reason = f"has the SHA-256 {digest.hexdigest()}, and not {each.origin.sha256}"
            raise tarball.refuse(file, reason, member=member.name)
        wheel = wheels.read(path, library=content.target.library, limits=limits.wheel)
        if Version(wheel.version) != Version(each.origin.version):
            reason = f"says in METADATA that it is version {wheel.version}"
            raise tarball.refuse(file, reason, member=member.name)
    if left:
        raise tarball.refuse(file, f"is in {parcel.LOCK}, and not there", member=min(left))


def _known(content: Parcel, root: Root) -> bool:
    """Whether this very snapshot is here."""
    if content.key not in root.snapshots:
        return False
    try:
        here = root.snapshots.load(content.key)
    except VenvctlError:
        # It is written anew, from what has just been checked.
        return False
    mine = [(each.origin.name, each.origin.sha256) for each in content.files]
    if mine == [(origin.name, origin.sha256) for origin in here.files]:
        return True
    differing = sorted(
        {name for name, _ in set(mine) ^ {(each.name, each.sha256) for each in here.files}}
    )
    raise IntegrityError(
        f"Snapshot {content.key} is here already, with other wheels of {', '.join(differing)}; "
        "nothing was imported.",
        hint="Each host built them from the same source, with another result. To have those of the "
        f"archive, remove what is here: `venvctl snapshot rm {content.key}`.",
    )


def _keep(content: Parcel, directory: Path, root: Root) -> None:
    for each in content.files:
        origin = each.origin
        path = directory / origin.file
        present = root.store.wheel(origin.sha256)
        # A wheel of the store that was damaged since is replaced by the one that was just checked.
        if present is not None and file_digest(present) != origin.sha256:
            root.store.quarantine(origin.sha256)
        root.store.add(path, file=origin.file, sha256=origin.sha256, verified=True)


def _snapshot(content: Parcel) -> Snapshot:
    return Snapshot(
        key=content.key,
        mount=content.mount,
        image="",
        target=content.target,
        bytecode=content.bytecode,
        conflicts=content.conflicts,
        created=timestamps.now(),
        lock_digests={},
        files=tuple(each.origin for each in content.files),
        environments={},
    )
