"""What a wheel says it contains, believed only after every check that needs no unpacking.

Follows the binary distribution format (PEP 427 and its successors on packaging.python.org). All
that a wheel can do to the disk is decided here; `extraction` then writes what this let through.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import zipfile
from configparser import Error as ConfigParserError
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from typing import TYPE_CHECKING, NamedTuple

from installer.utils import parse_entrypoints, parse_metadata_file
from packaging.metadata import parse_email
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from venvctl import archives
from venvctl.archives import Limits
from venvctl.manifest import EntryPoint
from venvctl.placement import COMMANDS, Layout, Place, command_fault, place

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping
    from pathlib import Path

    from packaging.metadata import RawMetadata

__all__ = ["Limits", "Member", "Wheel", "read"]

# RECORD.jws and RECORD.p7s sign RECORD, so RECORD can't list them.
_SIGNATURES = ("RECORD.jws", "RECORD.p7s")
_ALGORITHMS = {"sha256": 32, "sha384": 48, "sha512": 64}
_FIELDS = 100  # different ones in METADATA
_SHOWN = 300  # characters of a name or version: more than a file's name can have


class Member(NamedTuple):
    """One file of a wheel that has passed; a named tuple as there are tens of thousands.

    Attributes:
        name: as the archive has it. destination: relative to the prefix, or a script's bare name.
        script: whether it is one of ``.data/scripts``.
        offset: of its local header. compressed, size: bytes in the archive and unpacked.
        deflated: whether it is compressed. executable: whether its mode has an x.
        algorithm, digest: of its content, from RECORD; "" and b"" for signatures alone.
        checksum: CRC-32 of its content, from the archive's directory.
    """

    name: str
    destination: str
    script: bool
    offset: int
    compressed: int
    size: int
    deflated: bool
    executable: bool
    algorithm: str
    digest: bytes
    checksum: int


class _Recorded(NamedTuple):
    """A row of RECORD, without its path; `size` is the text that stands there."""

    algorithm: str
    digest: bytes
    size: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel that may be unpacked.

    Attributes:
        path: where the archive is. file: the file name by which it is known.
        name: normalised. version: as METADATA writes it.
        members: in the order of the archive; RECORD itself is not among them.
        directories: folders that the archive lists, relative to the prefix.
    """

    path: Path
    file: str
    name: str
    version: str
    layout: Layout
    members: tuple[Member, ...]
    directories: tuple[str, ...]
    entry_points: tuple[EntryPoint, ...]
    root_is_purelib: bool
    requires_dist: tuple[str, ...]
    requires_python: str
    provides_extra: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes it has unpacked."""
        return sum(member.size for member in self.members)


def read(path: Path, *, library: str, limits: Limits | None = None) -> Wheel:
    """Check a wheel and say what it contains. Writes nothing.

    Args:
        path: the wheel, under its own file name.
        library: the interpreter's folder below ``lib/``, e.g. ``python3.11``.
        limits: how big it may get.

    Raises:
        HostileWheelError: names the wheel, the member and the reason.
    """
    file = path.name
    limits = limits or Limits()
    try:
        name, version, _, _ = parse_wheel_filename(file)
    except InvalidWheelFilename as error:
        raise archives.refuse(file, "does not have the name of a wheel") from error
    infos = archives.directory(path, file, limits)
    dist_info = _dist_info(infos, file, name)
    layout = Layout(library=library, name=name, dist_info=dist_info)
    with path.open("rb") as stream:
        texts = {
            text: archives.text(stream.fileno(), file, infos, f"{dist_info}/{text}")
            for text in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")
        }
    metadata = _metadata(texts["METADATA"], file, name, version)
    purelib = _root_is_purelib(texts["WHEEL"], file)
    record = _record(texts["RECORD"], file, infos)
    members, directories = _members(infos, record, layout, file, limits)
    commands = {
        member.destination if member.script else member.destination.removeprefix("bin/")
        for member in members
        if member.script or member.destination.startswith("bin/")
    }
    return Wheel(
        path=path,
        file=file,
        name=name,
        version=metadata["version"],
        layout=layout,
        members=members,
        directories=directories,
        # uv and pip write a wheel's own script over a generated one of the same name.
        entry_points=tuple(
            point
            for point in _entry_points(texts["entry_points.txt"] or b"", file)
            if point.name not in commands
        ),
        root_is_purelib=purelib,
        requires_dist=tuple(metadata.get("requires_dist", ())),
        requires_python=metadata.get("requires_python", ""),
        provides_extra=tuple(metadata.get("provides_extra", ())),
    )


def _dist_info(infos: Mapping[str, object], file: str, name: str) -> str:
    folders = sorted(
        {top for top in (path.partition("/")[0] for path in infos) if top.endswith(".dist-info")}
    )
    if len(folders) != 1:
        found = ", ".join(folders) or "none"
        raise archives.refuse(file, f"must have exactly one .dist-info folder, and has {found}")
    if canonicalize_name(folders[0].removesuffix(".dist-info").rpartition("-")[0]) != name:
        raise archives.refuse(file, "is the folder of another package", member=folders[0])
    return folders[0]


def _metadata(data: bytes | None, file: str, name: str, version: Version) -> RawMetadata:
    if data is None:
        raise archives.refuse(file, "has no METADATA")
    # `parse_email` takes quadratic time for fields that differ; the specification has some 40.
    fields = {key.lower() for key in BytesHeaderParser().parsebytes(data).keys()}  # noqa: SIM118 - a message is no dict
    if len(fields) > _FIELDS:
        raise archives.refuse(file, f"has more than {_FIELDS} different fields in METADATA")
    metadata, _ = parse_email(data)
    found, stated = metadata.get("name", "")[:_SHOWN], metadata.get("version", "")[:_SHOWN]
    try:
        same = canonicalize_name(found) == name and Version(stated) == version
    except InvalidVersion:
        same = False
    if not same:
        raise archives.refuse(file, f"says in METADATA that it is {found!a} {stated!a}")
    return metadata


def _root_is_purelib(data: bytes | None, file: str) -> bool:
    if data is None:
        raise archives.refuse(file, "has no WHEEL")
    fields = parse_metadata_file(data.decode("utf-8", "replace"))
    version = str(fields["Wheel-Version"] or "")
    # "A wheel installer should ... abort if Wheel-Version's major is greater" (PEP 427).
    if version.partition(".")[0] != "1":
        raise archives.refuse(file, f"has the unknown Wheel-Version {version!a}")
    return str(fields["Root-Is-Purelib"] or "").strip().lower() == "true"


def _entry_points(data: bytes, file: str) -> list[EntryPoint]:
    try:
        points = [
            EntryPoint(name=name, module=module, attribute=attribute, kind=kind)
            for name, module, attribute, kind in parse_entrypoints(data.decode())
        ]
    # The parser asserts what it expects.
    except (AssertionError, ConfigParserError, ValueError) as error:
        # The parser's assertions say nothing, its errors several lines.
        words = str(error).partition("\n")[0] or "an entry is none"
        raise archives.refuse(
            file, f"has an entry_points.txt that can't be read ({words})"
        ) from error
    for point in points:
        if fault := command_fault(point.name):
            raise archives.refuse(file, f"as an entry point {fault}", member=point.name)
    return points


def _record(data: bytes | None, file: str, members: Container[str]) -> dict[str, _Recorded]:
    """RECORD by path; nothing is in it that is no member."""
    if data is None:
        raise archives.refuse(file, "has no RECORD")
    record: dict[str, _Recorded] = {}
    try:
        for row in csv.reader(io.StringIO(data.decode(), newline="")):
            if not row:
                continue
            path, integrity, size = row
            if path not in members:
                raise archives.refuse(file, "is in RECORD and not in the archive", member=path)
            algorithm, _, digest = integrity.partition("=")
            padded = digest + "=" * (-len(digest) % 4)
            recorded = _Recorded(algorithm, base64.b64decode(padded, b"-_", validate=True), size)
            if record.setdefault(path, recorded) != recorded:
                raise archives.refuse(file, "is in RECORD twice, with two hashes", member=path)
    except (ValueError, csv.Error, binascii.Error) as error:
        raise archives.refuse(file, f"has a RECORD that can't be read ({error})") from error
    return record


def _members(
    infos: Mapping[str, zipfile.ZipInfo],
    record: dict[str, _Recorded],
    layout: Layout,
    file: str,
    limits: Limits,
) -> tuple[tuple[Member, ...], tuple[str, ...]]:
    """Every file with its destination and digest; every listed folder."""
    members: list[Member] = []
    directories: list[str] = []
    owners: dict[str, str] = {}
    own = f"{layout.dist_info}/RECORD"
    record.pop(own, None)
    for name, info in infos.items():
        where = place(name, layout)
        if isinstance(where, str):
            raise archives.refuse(file, where, member=name)
        if info.orig_filename.endswith("/"):
            if where.path and where.kind == "file":
                directories.append(where.path)
            continue
        if not where.path or (where.kind == "file" and where.path == COMMANDS):
            raise archives.refuse(file, "is a file where a folder belongs", member=name)
        absolute = f"bin/{where.path}" if where.kind == "script" else where.path
        if other := owners.get(absolute):
            raise archives.refuse(file, f"goes to the same place as {other!a}", member=name)
        owners[absolute] = name
        if name != own:
            members.append(_member(name, info, where, record, layout, file))
    _check_folders(owners, directories, file, limits)
    return tuple(members), tuple(directories)


def _member(
    name: str,
    info: zipfile.ZipInfo,
    where: Place,
    record: dict[str, _Recorded],
    layout: Layout,
    file: str,
) -> Member:
    recorded = record.pop(name, _Recorded("", b"", ""))
    if fault := _record_fault(name, info, layout, recorded):
        raise archives.refuse(file, fault, member=name)
    return Member(
        name=name,
        destination=where.path,
        script=where.kind == "script",
        offset=info.header_offset,
        compressed=info.compress_size,
        size=info.file_size,
        deflated=info.compress_type == zipfile.ZIP_DEFLATED,
        # As uv does: only an archive made on Unix says something about modes.
        executable=info.create_system == archives.UNIX and bool(info.external_attr >> 16 & 0o111),
        algorithm=recorded.algorithm,
        digest=recorded.digest,
        checksum=info.CRC,
    )


def _check_folders(
    owners: Mapping[str, str], directories: Iterable[str], file: str, limits: Limits
) -> None:
    """No name may be a file and a folder, and a few long names may not be a forest of folders."""
    seen: set[str] = set()
    for path in (*owners, *(f"{directory}/" for directory in directories)):
        parent = path.rpartition("/")[0]
        while parent and parent not in seen:
            if owner := owners.get(parent):
                raise archives.refuse(file, "is a file and a folder", member=owner)
            seen.add(parent)
            if len(owners) + len(seen) > limits.members:
                raise archives.refuse(file, f"has more than {limits.members:,} files and folders")
            parent = parent.rpartition("/")[0]


def _record_fault(name: str, info: zipfile.ZipInfo, layout: Layout, recorded: _Recorded) -> str:
    folder, _, base = name.rpartition("/")
    if not recorded.algorithm and folder == layout.dist_info and base in _SIGNATURES:
        return ""
    if not recorded.algorithm:
        return "is not in RECORD with a hash"
    # "sha256 or better; md5 and sha1 are not permitted" (recording installed projects).
    if _ALGORITHMS.get(recorded.algorithm) != len(recorded.digest):
        return f"has a hash in RECORD that is not SHA-256 or stronger ({recorded.algorithm!a})"
    if recorded.size and recorded.size != str(info.file_size):
        return f"has {info.file_size:,} bytes and not the {recorded.size!a} that RECORD says"
    return ""
