"""Takes a snapshot's archive apart and puts it together otherwise, for tests of bad ones."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Entry = tuple[tarfile.TarInfo, bytes]


@dataclass(slots=True)
class Archive:
    """The members of an archive, in order."""

    entries: list[Entry]

    def content(self, name: str) -> bytes:
        return next(content for info, content in self.entries if info.name == name)

    def replace(self, name: str, content: bytes) -> None:
        places = [info.name for info, _ in self.entries]
        self.entries[places.index(name)] = entry(name, content)

    def drop(self, name: str) -> None:
        self.entries = [each for each in self.entries if each[0].name != name]


def entry(name: str, content: bytes) -> Entry:
    """A regular file."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    return info, content


def link(name: str, kind: bytes) -> Entry:
    """A member of another type, which leads to where nobody should get."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = "/etc/passwd" if kind in {tarfile.SYMTYPE, tarfile.LNKTYPE} else ""
    return info, b""


def repacked(archive: Path, change: Callable[[Archive], None], *, compressed: bool = False) -> Path:
    """A copy of an archive with something changed in it."""
    with tarfile.open(archive) as members:
        entries = []
        for info in members:
            stream = members.extractfile(info)
            assert stream is not None
            entries.append(entry(info.name, stream.read()))
    changed = Archive(entries)
    change(changed)
    buffer = io.BytesIO()
    for info, content in changed.entries:
        buffer.write(info.tobuf(tarfile.PAX_FORMAT) + content + bytes(-len(content) % 512))
    buffer.write(bytes(1024))
    path = archive.with_name("changed.tar.zst" if compressed else "changed.tar")
    data = buffer.getvalue()
    path.write_bytes(zstandard.ZstdCompressor().compress(data) if compressed else data)
    return path
