"""An archive's file, plain or compressed with Zstandard (RFC 8878), told by how it begins."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from venvctl import tarball
from venvctl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from venvctl.tarball import Readable, Writable

_MAGIC = b"\x28\xb5\x2f\xfd"
# Wheels are compressed already: a higher level costs time and gains nothing.
_LEVEL = 3
# One block has at least 4 bytes, and unpacks to at most 128 KiB: so much input at a time can't
# become more than 32 MiB.
_INPUT = 1 << 10
_WINDOW = 128 << 20


def is_compressed(name: str) -> bool:
    """Whether an archive of that name is compressed; `UsageError` if it can't be either."""
    if name.endswith(".tar.zst"):
        return True
    if name.endswith(".tar"):
        return False
    raise UsageError(
        f"{name!r} does not say what kind of archive it is.",
        hint="Give it a name that ends in .tar or .tar.zst.",
    )


@contextmanager
def writing(stream: BinaryIO, *, compressed: bool) -> Iterator[Writable]:
    """Write an archive into a file, which is left open.

    The same content gives the same bytes; compressed, as long as the version of the library is the
    same.
    """
    if not compressed:
        yield stream
        return
    import zstandard  # noqa: PLC0415 - only who compresses pays for it

    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    with compressor.stream_writer(stream, closefd=False) as writer:
        yield writer


@contextmanager
def reading(path: Path) -> Iterator[Readable]:
    """Read an archive from a file.

    Raises:
        HostileArchiveError: by what is given, where it is not whole.
    """
    with path.open("rb") as stream:
        if stream.read(len(_MAGIC)) == _MAGIC:
            stream.seek(0)
            yield _Decompressed(stream, str(path))
        else:
            stream.seek(0)
            yield stream


class _Decompressed:
    """The content of one compressed frame, which must fill the file.

    The library's own reader takes a frame that is cut short for a shorter one.
    """

    def __init__(self, stream: BinaryIO, file: str) -> None:
        import zstandard  # noqa: PLC0415 - only who compresses pays for it

        self._stream = stream
        self._file = file
        self._error = zstandard.ZstdError
        self._frame = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
        self._ready = b""
        self._at = 0

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        while self._at == len(self._ready):
            if self._frame.eof:
                if self._frame.unused_data or self._stream.read(1):
                    raise tarball.refuse(self._file, "has something behind its end")
                return b""
            self._ready, self._at = self._next(), 0
        data = self._ready[self._at : self._at + size]
        self._at += len(data)
        return data

    def _next(self) -> bytes:
        raw = self._stream.read(_INPUT)
        if not raw:
            raise tarball.refuse(self._file, "is cut short")
        try:
            return self._frame.decompress(raw)
        except self._error as error:
            raise tarball.refuse(self._file, f"can't be decompressed ({error})") from error
