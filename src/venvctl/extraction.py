"""Writes a wheel's members into a tree, each one hashed against RECORD on its way.

Not `installer`'s extraction: one read, one hash and one write a member costs half the processor
time (docs/design.md), and this is most of what a first sync does on the host.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import posixpath
import zlib
from typing import TYPE_CHECKING

from venvctl import archives, disk, inflate, wheels
from venvctl.archives import Header
from venvctl.manifest import Manifest, ManifestFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from venvctl.errors import HostileWheelError
    from venvctl.placement import Layout
    from venvctl.wheels import Limits, Member, Wheel

PREFIX = "prefix"  # a tree's folder that is linked into generations as it is
SCRIPTS = "scripts"  # a tree's folder of scripts that each generation writes for itself
_WHOLE = 8 << 20  # members up to this many bytes are unpacked in one piece
_CHUNK = 1 << 20
_SHEBANG = b"#!python"  # "rewritten to point to the correct interpreter" (PEP 427)


def extract(path: Path, tree: Path, *, library: str, limits: Limits | None = None) -> Manifest:
    """Unpack one wheel as an installer would, without what depends on the environment's place.

    Modes are 0755 and 0644 whatever the umask. Nothing is flushed to disk.

    Args:
        path: the wheel, under its own file name.
        tree: a directory to create.
        library: the interpreter's folder below ``lib/``, e.g. ``python3.11``.
        limits: how big the wheel may get.

    Raises:
        HostileWheelError: the wheel is refused; `tree` may be left behind, half written.
        DiskFullError, RootError: as `disk.translate`.
    """
    wheel = wheels.read(path, library=library, limits=limits)
    files: list[ManifestFile] = []
    scripts: list[ManifestFile] = []
    with disk.translate(tree, needed=wheel.size), path.open("rb") as stream:
        writer = _Writer(tree, stream.fileno(), wheel)
        for member in wheel.members:
            if is_replaced(member.name, wheel.layout):
                continue
            file = writer.write(member)
            (scripts if file.path.startswith(f"{SCRIPTS}/") else files).append(file)
        for name, data in (("INSTALLER", b"venvctl\n"), ("REQUESTED", b"")):
            files.append(writer.put(f"{_dist_info(wheel.layout)}/{name}", data))
        raw = tuple(script._replace(path=script.path[len(SCRIPTS) + 1 :]) for script in scripts)
        generated = {point.name for point in wheel.entry_points} | {file.path for file in raw}
        record = _record(files, generated, wheel.layout)
        files.append(writer.put(f"{_dist_info(wheel.layout)}/RECORD", record))
        for directory in wheel.directories:
            writer.make(f"{PREFIX}/{directory}")
    return Manifest(
        name=wheel.name,
        version=wheel.version,
        directories=writer.directories,
        files=tuple(sorted(files)),
        raw_scripts=raw,
        entry_points=wheel.entry_points,
        root_is_purelib=wheel.root_is_purelib,
        requires_dist=wheel.requires_dist,
        requires_python=wheel.requires_python,
        provides_extra=wheel.provides_extra,
        modules=modules((file.path for file in files), wheel.layout.site_packages),
    )


def modules(paths: Iterable[str], site_packages: str) -> tuple[str, ...]:
    """The top-level names that files below site-packages make importable, sorted."""
    names = set()
    for path in paths:
        if not path.startswith(site_packages + "/"):
            continue
        top, below, rest = path[len(site_packages) + 1 :].partition("/")
        if posixpath.splitext(rest or top)[1] in {".py", ".pyc", ".so"}:
            names.add(top if below else top.partition(".")[0])
    return tuple(sorted(name for name in names if name.isidentifier()))


def _dist_info(layout: Layout) -> str:
    return f"{layout.site_packages}/{layout.dist_info}"


def is_replaced(name: str, layout: Layout) -> bool:
    """Whether the installer writes this file itself, or must not take the wheel's.

    A compiled module in a wheel is code that nobody can read, for a source that may differ.
    """
    if name in {f"{layout.dist_info}/INSTALLER", f"{layout.dist_info}/REQUESTED"}:
        return True
    folder, _, base = name.rpartition("/")
    return folder.rpartition("/")[2] == "__pycache__" and base.endswith((".pyc", ".pyo"))


def _record(files: Iterable[ManifestFile], generated: Iterable[str], layout: Layout) -> bytes:
    """RECORD as installed; what each generation writes for itself is listed without a hash."""
    rows = [
        (layout.recorded(file.path), f"sha256={_base64(file.sha256)}", str(file.size))
        for file in files
    ]
    rows += [(layout.recorded(f"bin/{name}"), "", "") for name in generated]
    rows.append((f"{layout.dist_info}/RECORD", "", ""))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(sorted(rows))
    return text.getvalue().encode()


def _base64(digest: str) -> str:
    """A digest as RECORD has it: URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(bytes.fromhex(digest)).rstrip(b"=").decode()


class _Writer:
    """Creates the files and folders of one tree.

    Uses `os` and strings where `Path` would take longer than the system call.
    """

    def __init__(self, tree: Path, handle: int, wheel: Wheel) -> None:
        self._tree = str(tree)
        self._handle = handle
        self._file = wheel.file
        self._made: set[str] = set()
        for directory in ("", PREFIX):
            self.make(directory)

    @property
    def directories(self) -> tuple[str, ...]:
        """What was made below the prefix, parents first."""
        start = len(PREFIX) + 1
        return tuple(sorted(path[start:] for path in self._made if path.startswith(f"{PREFIX}/")))

    def make(self, directory: str) -> None:
        """Create a folder and its parents, with mode 0755."""
        if directory in self._made:
            return
        if directory:
            self.make(directory.rpartition("/")[0])
        path = f"{self._tree}/{directory}"
        try:
            os.mkdir(path)  # noqa: PTH102 - see the class
        except FileExistsError as error:
            raise self._taken(directory) from error
        os.chmod(path, 0o755)  # noqa: PTH101, S103 - see the class; containers read it
        self._made.add(directory)

    def put(self, destination: str, data: bytes) -> ManifestFile:
        """Write a file of our own below the prefix."""
        self._create(f"{PREFIX}/{destination}", [data], executable=False)
        return ManifestFile(destination, hashlib.sha256(data).hexdigest(), len(data), False)  # noqa: FBT003 - a row

    def write(self, member: Member) -> ManifestFile:
        """Write one member; a raw script's path begins with `SCRIPTS`."""
        header = Header(
            member.offset, member.deflated, member.compressed, member.size, member.checksum
        )
        offset = archives.data_offset(self._handle, self._file, member.name, header)
        if member.size <= _WHOLE and member.compressed <= _WHOLE:
            pieces = [self._whole(member, offset)]
            sha256 = self._verify(member, pieces)
            destination, below = _destination(member, pieces[0])
            self._create(below, pieces, executable=member.executable or member.script)
        else:
            first = next(self._stream(member, offset), b"")
            destination, below = _destination(member, first)
            hashes = _Hashes(member)
            self._create(
                below,
                hashes.watch(self._stream(member, offset)),
                executable=member.executable or member.script,
            )
            sha256 = self._compare(member, hashes)
        return ManifestFile(destination, sha256, member.size, member.executable or member.script)

    def _create(self, below: str, pieces: Iterable[bytes], *, executable: bool) -> None:
        self.make(below.rpartition("/")[0])
        mode = 0o755 if executable else 0o644
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            handle = os.open(f"{self._tree}/{below}", flags, mode)
        except FileExistsError as error:
            raise self._taken(below) from error
        try:
            for piece in pieces:
                left = memoryview(piece)
                while left:
                    left = left[os.write(handle, left) :]
            os.fchmod(handle, mode)  # the umask may have taken some of it
        finally:
            os.close(handle)

    def _whole(self, member: Member, offset: int) -> bytes:
        data = os.pread(self._handle, member.compressed, offset)
        if not member.deflated:
            return data
        stream = inflate.inflater()
        try:
            # One byte more than it says it has is enough to catch a lie.
            data = stream.decompress(data, member.size + 1)
        except inflate.InflateError as error:
            raise self._refuse(member, f"can't be unpacked ({error})") from error
        if not stream.eof or stream.unused_data:
            raise self._refuse(member, "lies about its size")
        return data

    def _stream(self, member: Member, offset: int) -> Iterator[bytes]:
        """The content of a big member, piece by piece."""
        pieces = self._stored(member, offset)
        size = 0
        for piece in self._inflated(member, pieces) if member.deflated else pieces:
            size += len(piece)
            if size > member.size:
                break
            yield piece
        if size != member.size:
            raise self._refuse(member, "lies about its size")

    def _stored(self, member: Member, offset: int) -> Iterator[bytes]:
        end = offset + member.compressed
        while offset < end:
            data = os.pread(self._handle, min(_CHUNK, end - offset), offset)
            if not data:
                raise self._refuse(member, "is cut short")
            offset += len(data)
            yield data

    def _inflated(self, member: Member, pieces: Iterator[bytes]) -> Iterator[bytes]:
        stream = inflate.inflater()
        while not stream.eof:
            data = next(pieces, b"") if stream.needs_input else b""
            try:
                piece = stream.decompress(data, _CHUNK)
            except inflate.InflateError as error:
                raise self._refuse(member, f"can't be unpacked ({error})") from error
            if not data and not piece:
                break  # it has no end
            yield piece
        if not stream.eof or stream.unused_data or next(pieces, b""):
            raise self._refuse(member, "lies about its size")

    def _verify(self, member: Member, pieces: Iterable[bytes]) -> str:
        hashes = _Hashes(member)
        for _ in hashes.watch(pieces):
            pass
        return self._compare(member, hashes)

    def _compare(self, member: Member, hashes: _Hashes) -> str:
        if hashes.size != member.size:
            raise self._refuse(member, "lies about its size")
        if not hashes.match():
            raise self._refuse(member, "is not what RECORD says")
        return hashes.sha256.hexdigest()

    def _taken(self, path: str) -> HostileWheelError:
        """All names differ, but not to a file system that folds case or normalises."""
        return archives.refuse(
            self._file,
            "has the same name as another one, to this file system",
            member=path.removeprefix(f"{PREFIX}/"),
        )

    def _refuse(self, member: Member, reason: str) -> HostileWheelError:
        return archives.refuse(self._file, reason, member=member.name)


def _destination(member: Member, start: bytes) -> tuple[str, str]:
    """A member's path in the manifest, and below the tree."""
    if not member.script:
        return member.destination, f"{PREFIX}/{member.destination}"
    if start.startswith(_SHEBANG):
        return (raw := f"{SCRIPTS}/{member.destination}"), raw
    return (path := f"bin/{member.destination}"), f"{PREFIX}/{path}"


class _Hashes:
    """Hashes a member's content while somebody else uses it."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self.sha256 = hashlib.sha256()
        self.size = 0
        self._checksum = 0
        self._other = None if member.algorithm in {"sha256", ""} else hashlib.new(member.algorithm)

    def watch(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the same pieces."""
        for piece in pieces:
            self.size += len(piece)
            self.sha256.update(piece)
            if self._other is not None:
                self._other.update(piece)
            if not self._member.algorithm:
                self._checksum = zlib.crc32(piece, self._checksum)
            yield piece

    def match(self) -> bool:
        """Whether it was what RECORD says; a signature, not in RECORD, has its CRC-32 alone."""
        if not self._member.algorithm:
            return self._checksum == self._member.checksum
        return (self._other or self.sha256).digest() == self._member.digest
