"""Zip archives byte by byte, so that each field can say something else than it should."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

DESCRIPTOR = 0x8
UTF8 = 0x800
_LOCAL, _ENTRY, _END = b"PK\3\4", b"PK\1\2", b"PK\5\6"


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """One member as it stands in the archive.

    Attributes:
        name: in the directory; `own_name` in its own header, where that is another.
        stored: what stands in the archive; `method` says how that is to be unpacked.
        size, own_size: unpacked, as the two say. checksum: the same for both.
        extra, own_extra: further fields. flags: in both. mode: Unix mode with its type.
        trailer: bytes behind the content.
    """

    name: bytes
    stored: bytes
    size: int
    checksum: int
    method: int = 8
    own_name: bytes | None = None
    own_size: int | None = None
    compressed: int | None = None
    extra: bytes = b""
    own_extra: bytes = b""
    flags: int = 0
    mode: int = 0o100644
    trailer: bytes = b""
    system: int = 3
    offset: int | None = None
    version: int = 20


def raw(name: str, content: bytes, **changes: object) -> Raw:
    """A member as it should be, but for some changes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    stored = packer.compress(content) + packer.flush()
    member = Raw(
        name=name.encode(),
        stored=stored,
        size=len(content),
        checksum=zlib.crc32(content),
        flags=0 if name.isascii() else UTF8,
    )
    return replace(member, **changes)  # type: ignore[arg-type] # fields by name


@dataclass(slots=True, kw_only=True)
class Archive:
    """A whole archive: what stands before it, its members, its directory, and its end."""

    members: Sequence[Raw]
    prefix: bytes = b""
    comment: bytes = b""
    behind: bytes = b""
    hidden: Sequence[Raw] = ()
    count: int | None = None
    offsets: list[int] = field(default_factory=list)

    def to_bytes(self) -> bytes:
        body, entries = b"", b""
        for member in (*self.members, *self.hidden):
            compressed = len(member.stored) if member.compressed is None else member.compressed
            name = member.name if member.own_name is None else member.own_name
            own = member.size if member.own_size is None else member.own_size
            sums = (member.checksum, compressed, own)
            if member.flags & DESCRIPTOR:
                sums = (0, 0, 0)
            at = len(self.prefix) + len(body) if member.offset is None else member.offset
            body += _LOCAL + struct.pack(
                "<5H3L2H", member.version, member.flags, member.method, 0, 0x5021, *sums,
                len(name), len(member.own_extra),
            ) + name + member.own_extra + member.stored + member.trailer  # fmt: skip
            if member in self.hidden:
                continue
            entries += _ENTRY + struct.pack(
                "<2B5H3L5H2L", member.version, member.system, member.version, member.flags,
                member.method, 0, 0x5021, member.checksum, compressed, member.size,
                len(member.name), len(member.extra), 0, 0, 0, member.mode << 16, at,
            ) + member.name + member.extra  # fmt: skip
        count = len(self.members) if self.count is None else self.count
        end = _END + struct.pack(
            "<4H2LH", 0, 0, count, count, len(entries), len(self.prefix) + len(body),
            len(self.comment),
        ) + self.comment  # fmt: skip
        return self.prefix + body + entries + end + self.behind
