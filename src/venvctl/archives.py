"""A wheel as a zip archive: what its directory lists, and every way in which that could lie."""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from venvctl.errors import HostileWheelError
from venvctl.placement import name_fault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

UNIX = 3  # the system that made a member, as zip numbers them
_HINT = "Do not use this file: choose another version, or tell those who publish it."
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_SIGNATURE = b"PK\x03\x04"
_UTF8 = 0x800
_ENCRYPTED = 0x1
_LISTED = b"PK\x01\x02"  # each member's entry in the archive's directory begins with it
_ENTRY = 46  # the fewest bytes of such an entry
_DESCRIPTOR = 0x8  # the sizes stand behind the content, and not in the member's own header
_DESCRIPTOR_MOST = 24  # bytes of what stands behind the content then
_TAIL = struct.Struct("<4s4H2LH")  # the end of the archive's directory
_LAST = b"PK\x05\x06"
_MANY = 0xFFFF  # a count that stands elsewhere (zip64)
_FIELD = struct.Struct("<2H")  # one of a member's further fields: its kind and length
_UNICODE_NAME = 0x7075
_LONG = 0xFFFFFFFF  # a size that stands elsewhere (zip64)
_SHOWN = 2_000  # characters of a name in a message
# The most bytes that each of a wheel's own texts may have; RECORD has a line for each member.
_TEXT_SIZES = {"RECORD": 64 << 20, "METADATA": 8 << 20}
_TEXT_SIZE = 1 << 20
_RATIO_FLOOR = 64 << 20  # below this total nothing is called a bomb: it can't hurt


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How big a wheel may get; a bigger one is taken for a zip bomb.

    Attributes:
        total_size: bytes of all members unpacked.
        ratio: unpacked bytes for one byte of the archive, taken over the whole wheel.
        members: how many files and folders, also folders that no member but their files tell of.
        name_length: bytes of one member's name.
    """

    total_size: int = 16 << 30
    ratio: int = 250
    members: int = 250_000
    name_length: int = 1024


def refuse(file: str, reason: str, *, member: str = "") -> HostileWheelError:
    """The error for a wheel that must not be unpacked; the caller raises it."""
    shown = member if len(member) <= _SHOWN else f"{member[:_SHOWN]}…"
    subject = ascii(shown) if member else "it"
    return HostileWheelError(f"The wheel {file!a} is refused: {subject} {reason}.", hint=_HINT)


class _Counted(io.FileIO):
    """An archive that is not read at all where its directory lists more members than may be.

    `zipfile` reads the whole directory in one piece and makes an object of each entry, some 700
    bytes for 46, before anybody can count them.
    """

    def __init__(self, path: Path, file: str, limits: Limits) -> None:
        super().__init__(path)
        self._file = file
        self._limits = limits

    def read(self, size: int | None = -1, /) -> bytes:
        """As a file's, within bounds."""
        most = self._limits.members * (_ENTRY + self._limits.name_length)
        if size is not None and size > max(most, _TEXT_SIZE):
            raise refuse(self._file, f"has a directory of {size:,} bytes")
        data = super().read(-1 if size is None else size) or b""
        # No two entries share bytes, so there are at least as many marks as entries.
        if len(data) > _ENTRY and data.count(_LISTED) > self._limits.members:
            raise refuse(self._file, f"has more than {self._limits.members:,} members")
        return data


def directory(path: Path, file: str, limits: Limits) -> dict[str, zipfile.ZipInfo]:
    """The archive's members by name, after the checks that concern the archive alone.

    A folder's name has no slash at its end; its `orig_filename` keeps it.

    Args:
        path: the archive.
        file: what it is called in messages.
        limits: how big it may get.

    Raises:
        HostileWheelError: names the member and the reason.
    """
    try:
        with _Counted(path, file, limits) as stream, zipfile.ZipFile(stream) as archive:
            listed = archive.infolist()
            end = archive.start_dir
            frame = _frame_fault(stream.fileno(), listed, end, len(archive.comment))
    # EINVAL: an offset before the begin of the file.
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise refuse(file, f"is not a readable zip archive ({error})") from error
    if len(listed) > limits.members:
        raise refuse(file, f"has more than {limits.members:,} members")
    infos: dict[str, zipfile.ZipInfo] = {}
    for info in listed:
        # `filename` ends at a NUL; `orig_filename` is what the archive really says.
        name = info.orig_filename.removesuffix("/")
        if fault := name_fault(name, longest=limits.name_length) or _member_fault(info):
            raise refuse(file, fault, member=info.orig_filename)
        if name in infos:
            raise refuse(file, "is in it twice", member=name)
        infos[name] = info
    total = sum(info.file_size for info in listed)
    if total > limits.total_size:
        raise refuse(file, f"unpacks to {total:,} bytes, more than {limits.total_size:,}")
    if total > max(_RATIO_FLOOR, limits.ratio * path.stat().st_size):
        raise refuse(file, f"unpacks to more than {limits.ratio} times its size")
    _check_overlap(listed, file, end)
    if frame:
        raise refuse(file, frame)
    return infos


def _member_fault(info: zipfile.ZipInfo) -> str:  # noqa: PLR0911 - one line a rule
    # Whatever made it: not every reader asks for the system.
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "is a symbolic link"
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "is neither a file nor a folder"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if _other_name(info):
        return "has another name for other readers"
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        return "is compressed with another method than deflate"
    if info.orig_filename.endswith("/") and info.file_size:
        return "is a folder with content"
    if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
        return "lies about its size"
    return ""


def _other_name(info: zipfile.ZipInfo) -> bool:
    """Whether the field for a name in Unicode, which not all readers know, has another one."""
    rest = info.extra
    while len(rest) >= _FIELD.size:
        kind, length = _FIELD.unpack_from(rest)
        field, rest = rest[_FIELD.size : _FIELD.size + length], rest[_FIELD.size + length :]
        # Behind a version and a checksum; one that does not match is for no reader (APPNOTE 4.6.9).
        if kind == _UNICODE_NAME and field[5:] != info.orig_filename.encode():
            return True
    return False


def _frame_fault(handle: int, listed: Sequence[zipfile.ZipInfo], end: int, comment: int) -> str:
    """Why two readers could find two archives in one file, in words that follow "it".

    Some read from the begin, some from the end, and some count. Nothing may stand before, between
    or behind what the directory lists, as package indexes ask for, too.
    """
    size = os.fstat(handle).st_size
    tail = os.pread(handle, _TAIL.size, size - _TAIL.size - comment)
    if not tail.startswith(_LAST):
        return "has something behind its end"
    count = _TAIL.unpack(tail)[4]
    if count not in {len(listed), _MANY}:
        return f"says that it has {count:,} members, and lists {len(listed):,}"
    at = 0
    for info in sorted(listed, key=lambda info: info.header_offset):
        if info.header_offset > at:
            return "has something that its directory does not list"
        at = max(at, _member_end(handle, info, end))
    return "has something that its directory does not list" if at < end else ""


def _member_end(handle: int, info: zipfile.ZipInfo, end: int) -> int:
    """Where a member ends at the latest, by its own header; `end` where that can't be told."""
    head = os.pread(handle, _LOCAL_HEADER.size, info.header_offset)
    if len(head) < _LOCAL_HEADER.size:
        return end  # said where it is read
    *_, name, extra = _LOCAL_HEADER.unpack(head)
    last = info.header_offset + _LOCAL_HEADER.size + int(name) + int(extra) + info.compress_size
    return last + (_DESCRIPTOR_MOST if info.flag_bits & _DESCRIPTOR else 0)


def _check_overlap(infos: Sequence[zipfile.ZipInfo], file: str, end: int) -> None:
    """No two members may share bytes: that is how a small archive holds petabytes."""
    previous = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < previous:
            raise refuse(file, "overlaps another member", member=info.orig_filename)
        previous = info.header_offset + _LOCAL_HEADER.size + info.compress_size
    if previous > end:
        raise refuse(file, "has a member behind its end")


@dataclass(frozen=True, slots=True)
class Header:
    """What the archive's directory says of a member, and its own header must say too.

    Attributes:
        offset: of that header. deflated: whether the content is compressed.
        compressed, size: bytes in the archive and unpacked. checksum: CRC-32 of the content.
    """

    offset: int
    deflated: bool
    compressed: int
    size: int
    checksum: int


def data_offset(handle: int, file: str, name: str, header: Header) -> int:
    """Where a member's bytes begin: behind its local header, which must tell the same of it.

    Raises:
        HostileWheelError: archive directory and local header disagree, as in an archive that shows
            one content to one reader and another to the next.
    """
    head = os.pread(handle, _LOCAL_HEADER.size + 4 * len(name), header.offset)
    if len(head) < _LOCAL_HEADER.size or head[:4] != _SIGNATURE:
        raise refuse(file, "is not where the archive says", member=name)
    fields = _LOCAL_HEADER.unpack_from(head)
    encoding = "utf-8" if fields[2] & _UTF8 else "cp437"
    start, length, extra = _LOCAL_HEADER.size, fields[-2], fields[-1]
    if head[start : start + length] != name.encode(encoding, "replace"):
        raise refuse(file, "has another name in its own header", member=name)
    method = zipfile.ZIP_DEFLATED if header.deflated else zipfile.ZIP_STORED
    own = (fields[6], fields[7], fields[8])
    stated = (header.checksum, header.compressed, header.size)
    # Where the sizes come behind the content, zeros stand for them.
    differ = any(
        mine != theirs and not (mine == _LONG or (mine == 0 and fields[2] & _DESCRIPTOR))
        for mine, theirs in zip(own, stated, strict=True)
    )
    if fields[3] != method or fields[2] & _ENCRYPTED or differ:
        raise refuse(file, "is another file in its own header", member=name)
    return header.offset + start + int(length) + int(extra)


def header_of(info: zipfile.ZipInfo) -> Header:
    """What the archive's directory says of a member."""
    return Header(
        info.header_offset,
        info.compress_type == zipfile.ZIP_DEFLATED,
        info.compress_size,
        info.file_size,
        info.CRC,
    )


def text(handle: int, file: str, infos: Mapping[str, zipfile.ZipInfo], name: str) -> bytes | None:
    """The content of one of the dist-info's own files; None when there is none."""
    info = infos.get(name)
    if info is None:
        return None
    most = _TEXT_SIZES.get(name.rpartition("/")[2], _TEXT_SIZE)
    if max(info.file_size, info.compress_size) > most:
        raise refuse(file, f"has more than {most:,} bytes", member=name)
    start = data_offset(handle, file, name, header_of(info))
    data = os.pread(handle, info.compress_size, start)
    if info.compress_type == zipfile.ZIP_DEFLATED:
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, info.file_size + 1)
        except zlib.error as error:
            raise refuse(file, f"can't be unpacked ({error})", member=name) from error
    if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
        raise refuse(file, "is not what the archive's directory says", member=name)
    return data
