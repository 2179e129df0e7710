"""A flat tar archive: written with the same bytes everywhere, read without trust.

Written in the POSIX format (pax): regular files alone, without owner, date or mode of their own.
Read block by block, so that no header can ask for more memory than it is worth; what a header means
is left to the standard library.
"""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from venvctl.errors import HostileArchiveError
from venvctl.placement import name_fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1 << 20
_EXTENDED = 16 * _BLOCK  # bytes of a pax header; a name of 255 bytes and a size need far less
_TRAILER = 64 * _BLOCK  # zeros behind the end: any usual blocking factor
_NAME_BYTES = 255
_REGULAR = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE})
_KINDS = {
    tarfile.LNKTYPE: "is a hard link",
    tarfile.SYMTYPE: "is a symbolic link",
    tarfile.CHRTYPE: "is a device",
    tarfile.BLKTYPE: "is a device",
    tarfile.DIRTYPE: "is a folder",
    tarfile.FIFOTYPE: "is a named pipe",
    tarfile.CONTTYPE: "is a contiguous file",
    tarfile.GNUTYPE_SPARSE: "is a sparse file",
}
# The first day that a zip archive can tell, as wheels have it; GNU tar warns of an older one.
_MOMENT = 315_532_800
_HINT = "Have it exported and sent again; nothing was imported."


class Readable(Protocol):
    """Whatever gives bytes in order."""

    def read(self, size: int) -> bytes:
        """At most `size` bytes, and none at the end alone."""
        ...


class Writable(Protocol):
    """Whatever takes bytes."""

    def write(self, data: bytes) -> object:
        """Take all of them."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of an archive; `size` is in bytes."""

    name: str
    size: int


def refuse(file: str, reason: str, *, member: str = "") -> HostileArchiveError:
    """The error for an archive that must not be imported; the caller raises it."""
    subject = ascii(member) if member else "it"
    return HostileArchiveError(f"The archive {file} is refused: {subject} {reason}.", hint=_HINT)


def size(sizes: Iterable[int]) -> int:
    """Bytes of an archive of members of these sizes, whose names need no header of their own."""
    used = sum(_BLOCK + each + -each % _BLOCK for each in sizes) + 2 * _BLOCK
    return used + -used % tarfile.RECORDSIZE


class Writer:
    """Writes members in the order they are given, which is for the caller to fix.

    Args:
        stream: where to.
    """

    def __init__(self, stream: Writable) -> None:
        self._stream = stream
        self._written = 0

    def add(self, name: str, size: int, blocks: Iterable[bytes]) -> None:
        """Write one file; `blocks` are its `size` bytes."""
        info = tarfile.TarInfo(name)
        info.size = size
        info.mode = 0o644
        info.mtime = _MOMENT
        self._write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict"))
        start = self._written
        for block in blocks:
            self._write(block)
        if self._written - start != size:
            raise ValueError(f"{name} has {self._written - start} bytes and not {size}")
        self._write(bytes(-size % _BLOCK))

    def close(self) -> None:
        """Write the end: two empty blocks, and what fills the last record (POSIX `pax`)."""
        self._write(bytes(2 * _BLOCK))
        self._write(bytes(-self._written % tarfile.RECORDSIZE))

    def _write(self, data: bytes) -> None:
        self._stream.write(data)
        self._written += len(data)


class Reader:
    """Reads an archive from its begin to its end, once.

    Whatever is no regular file with a plain name of its own is refused.

    Args:
        stream: where from.
        file: what the archive is called in messages.
    """

    def __init__(self, stream: Readable, *, file: str) -> None:
        self._stream = stream
        self._file = file
        self._seen: set[str] = set()
        self._left = 0  # bytes of the current member, with its padding, that are not read yet

    def next(self) -> Member | None:
        """The next member, whose `blocks` are to be read before the one after; None at the end.

        Raises:
            HostileArchiveError: says which member, and why.
        """
        while self._left:
            self._left -= len(self._exactly(min(self._left, _CHUNK)))
        head = self._exactly(_BLOCK)
        if not any(head):
            self._end()
            return None
        info = self._information(head)
        if fault := _name_fault(info.name) or _fault(info):
            raise refuse(self._file, fault, member=info.name)
        if info.name in self._seen:
            raise refuse(self._file, "is in it twice", member=info.name)
        self._seen.add(info.name)
        self._left = info.size + -info.size % _BLOCK
        return Member(name=info.name, size=info.size)

    def blocks(self, member: Member) -> Iterator[bytes]:
        """The content of the member that `next` gave last; an archive that is cut short says so."""
        left = member.size
        while left:
            block = self._exactly(min(left, _CHUNK))
            left -= len(block)
            self._left -= len(block)
            yield block

    def _information(self, head: bytes) -> tarfile.TarInfo:
        """What a header says, together with the pax header before it."""
        if head[156:157] == tarfile.XHDTYPE:
            extended = self._parse(head)
            if not 0 < extended.size <= _EXTENDED:
                raise refuse(self._file, f"has a header of {extended.size:,} bytes")
            head += self._exactly(extended.size + -extended.size % _BLOCK)
            last = self._exactly(_BLOCK)
            self._check_kind(last)
            return self._parse(head + last)
        self._check_kind(head)
        return self._parse(head)

    def _check_kind(self, head: bytes) -> None:
        kind = head[156:157]
        if kind not in _REGULAR:
            name = head[:100].partition(b"\0")[0].decode("utf-8", "replace")
            words = _KINDS.get(kind, f"is of a kind that is not known ({kind!r})")
            raise refuse(self._file, words, member=name)

    def _parse(self, data: bytes) -> tarfile.TarInfo:
        try:
            if data[156:157] == tarfile.XHDTYPE and len(data) == _BLOCK:
                return tarfile.TarInfo.frombuf(data, "utf-8", "strict")
            with tarfile.open(
                fileobj=io.BytesIO(data), mode="r:", encoding="utf-8", errors="strict"
            ) as archive:
                info = archive.next()
        # A number that is none, a name that is no text, a header within a header.
        except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
            raise refuse(
                self._file, f"has a header that can't be read ({_words(error)})"
            ) from error
        if info is None:
            raise refuse(self._file, "has a header that can't be read (empty)")
        return info

    def _end(self) -> None:
        rest = self._exactly(_BLOCK)
        while more := self._stream.read(_TRAILER):
            rest += more
            if len(rest) > _TRAILER:
                break
        if any(rest) or len(rest) > _TRAILER:
            raise refuse(self._file, "has something behind its end")

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            data = self._stream.read(min(size, _CHUNK))
            if not data:
                raise refuse(self._file, "is cut short")
            parts.append(data)
            size -= len(data)
        return b"".join(parts)


def _fault(info: tarfile.TarInfo) -> str:
    if info.type not in _REGULAR or info.sparse is not None:
        return "is not a plain file"
    if unknown := sorted(info.pax_headers.keys() - {"path", "size"}):
        return f"has the extended header {unknown[0]!a}"
    if info.size < 0:
        return "has a size below zero"
    return ""


def _name_fault(name: str) -> str:
    if fault := name_fault(name, longest=_NAME_BYTES):
        return fault
    if "/" in name:
        return "is in a folder"
    return "has a name that begins with a dot" if name.startswith(".") else ""


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
