"""A wheel as a zip archive: what its directory lists, and every way in which that could lie."""

from __future__ import annotations

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
_TEXT_SIZE = 64 << 20  # the most that METADATA, RECORD and their like may have
_RATIO_FLOOR = 64 << 20  # below this total nothing is called a bomb: it can't hurt


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How big a wheel may get; a bigger one is taken for a zip bomb.

    Attributes:
        total_size: bytes of all members unpacked.
        ratio: unpacked bytes for one byte of the archive, taken over the whole wheel.
        members: how many files and folders.
        name_length: bytes of one member's name.
    """

    total_size: int = 16 << 30
    ratio: int = 250
    members: int = 250_000
    name_length: int = 1024


def refuse(file: str, reason: str, *, member: str = "") -> HostileWheelError:
    """The error for a wheel that must not be unpacked; the caller raises it."""
    subject = ascii(member) if member else "it"
    return HostileWheelError(f"The wheel {file!a} is refused: {subject} {reason}.", hint=_HINT)


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
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
            end = archive.start_dir
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise refuse(file, f"is not a readable zip archive ({error})") from error
    if len(listed) > limits.members:
        raise refuse(file, f"has {len(listed):,} members, more than {limits.members:,}")
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
    return infos


def _member_fault(info: zipfile.ZipInfo) -> str:  # noqa: PLR0911 - one line a rule
    kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system == UNIX else 0
    if kind == stat.S_IFLNK:
        return "is a symbolic link"
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "is neither a file nor a folder"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        return "is compressed with another method than deflate"
    if info.orig_filename.endswith("/") and info.file_size:
        return "is a folder with content"
    if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
        return "lies about its size"
    return ""


def _check_overlap(infos: Sequence[zipfile.ZipInfo], file: str, end: int) -> None:
    """No two members may share bytes: that is how a small archive holds petabytes."""
    previous = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < previous:
            raise refuse(file, "overlaps another member", member=info.orig_filename)
        previous = info.header_offset + _LOCAL_HEADER.size + info.compress_size
    if previous > end:
        raise refuse(file, "has a member behind its end")


def data_offset(handle: int, file: str, name: str, offset: int) -> int:
    """Where a member's bytes begin: behind its local header, which must tell the same name.

    Raises:
        HostileWheelError: archive directory and local header disagree, as in an archive that shows
            one content to one reader and another to the next.
    """
    head = os.pread(handle, _LOCAL_HEADER.size + 4 * len(name), offset)
    if len(head) < _LOCAL_HEADER.size or head[:4] != _SIGNATURE:
        raise refuse(file, "is not where the archive says", member=name)
    fields = _LOCAL_HEADER.unpack_from(head)
    encoding = "utf-8" if fields[2] & _UTF8 else "cp437"
    start, length, extra = _LOCAL_HEADER.size, fields[-2], fields[-1]
    if head[start : start + length] != name.encode(encoding, "replace"):
        raise refuse(file, "has another name in its own header", member=name)
    return offset + start + int(length) + int(extra)


def text(handle: int, file: str, infos: Mapping[str, zipfile.ZipInfo], name: str) -> bytes | None:
    """The content of one of the dist-info's own files; None when there is none."""
    info = infos.get(name)
    if info is None:
        return None
    if info.file_size > _TEXT_SIZE:
        raise refuse(file, f"has more than {_TEXT_SIZE:,} bytes", member=name)
    start = data_offset(handle, file, name, info.header_offset)
    data = os.pread(handle, info.compress_size, start)
    if info.compress_type == zipfile.ZIP_DEFLATED:
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, info.file_size + 1)
        except zlib.error as error:
            raise refuse(file, f"can't be unpacked ({error})", member=name) from error
    if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
        raise refuse(file, "is not what the archive's directory says", member=name)
    return data
