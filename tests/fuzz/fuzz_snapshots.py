"""Snapshots that come from elsewhere: the archive, the tar stream, and the texts in it."""

from __future__ import annotations

import io
import tarfile
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, cast

import zstandard

from fuzz_locks import TOML_WORDS
from fuzz_wheels import wheel_seeds
from fuzzing import LIMITS, PART, PYTHON, BrokenInvariantError, Place, Target, check_error
from venvctl import compression, parcel, plan, tarball
from venvctl.errors import VenvctlError
from venvctl.origin import Origin
from venvctl.progress import Silent
from venvctl.root import Root
from venvctl.selection import SelectedFile, Selection
from venvctl.snapshots import Snapshot
from venvctl.transfer import ImportLimits, import_snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from venvctl.engine.model import Engine


def _import(data: bytes, place: Place) -> None:
    """The bytes as a snapshot's archive, which is imported."""

    def make(folder: Path) -> Root:
        root = Root(folder / "root", engine=cast("Engine", None))
        root.create()
        return root

    root = cast("Root", place.once("import", make))
    archive = place.folder / "import" / "archive"
    archive.write_bytes(data)
    limits = ImportLimits(size=64 << 20, wheel=LIMITS)
    before = _below(root.path)
    try:
        result = import_snapshot(archive, root, limits=limits, progress=Silent())
    except VenvctlError as error:
        check_error(error)
        if _below(root.path) != before:
            raise BrokenInvariantError("something of a refused archive is left") from error
        return
    finally:
        archive.unlink()
    root.snapshots.load(result.key)
    if not result.known:
        root.snapshots.remove(result.key)


def _below(root: Path) -> set[str]:
    """What there is, but for the directories that any import makes."""
    return {str(path) for path in root.rglob("*") if path.is_file() and path.name != "lock"}


def _read_tar(data: bytes, place: Place) -> None:
    """The bytes as a tar archive, compressed or not, read to its end."""
    path = place.folder / "archive"
    path.write_bytes(data)
    try:
        with compression.reading(path) as stream:
            reader = tarball.Reader(stream, file="archive")
            while member := reader.next():
                if "/" in member.name or member.name in {"", ".", ".."} or "\0" in member.name:
                    raise BrokenInvariantError(f"a member called {member.name!r}")
                if sum(map(len, reader.blocks(member))) != member.size:
                    raise BrokenInvariantError("a member of another size")
    except VenvctlError as error:
        check_error(error)
    finally:
        path.unlink()


def _parse_parcel(data: bytes, _place: Place) -> None:
    """The two texts of an archive."""
    facts, _, lock = data.partition(PART)
    try:
        found = parcel.parse(facts, lock, file="archive")
    except VenvctlError as error:
        check_error(error)
        return
    for text in (found.target.library, found.target.cache_tag):
        if "/" in text or text.startswith("."):
            raise BrokenInvariantError(f"{text!r} becomes part of a path")
    if parcel.parse(found.facts(), found.lock(), file="archive") != found:
        raise BrokenInvariantError("what is read back is another")


def _parcel_seeds() -> Iterator[bytes]:
    for archive in _archive_seeds():
        with tarfile.open(fileobj=io.BytesIO(archive)) as members:
            texts = [members.extractfile(name) for name in (parcel.FACTS, parcel.LOCK)]
            yield PART.join(text.read() for text in texts if text)


def _archive_seeds() -> Iterator[bytes]:
    # An archive whose wheel was built may have any key: so a change of its texts gets further.
    for source in ("", "5" * 64):
        yield _archive(source)


def _archive(source: str) -> bytes:

    wheel = next(wheel_seeds())
    origin = Origin(
        name="alpha",
        version="1.0",
        file="alpha-1.0-py3-none-any.whl",
        sha256=sha256(wheel).hexdigest(),
        source=source,
    )
    snapshot = Snapshot(
        key=_key(origin) if not source else "0" * 32,
        mount="/venv",
        image="",
        target=PYTHON,
        bytecode="ahead",
        conflicts="last",
        created="",
        lock_digests={},
        files=(origin,),
        environments={},
    )
    content = parcel.Parcel.of(snapshot, [len(wheel)])
    stream = io.BytesIO()
    writer = tarball.Writer(stream)
    for name, text in (
        (parcel.FACTS, content.facts()),
        (parcel.LOCK, content.lock()),
        (origin.file, wheel),
    ):
        writer.add(name, len(text), [text])
    writer.close()
    return stream.getvalue()


def _key(origin: Origin) -> str:

    selected = SelectedFile(
        name=origin.name,
        version=origin.version,
        file=origin.file,
        kind="wheel",
        sha256=origin.sha256,
        urls=(),
    )
    digest = Selection(files=(selected,)).digest
    return plan.key_of(digest, PYTHON, mount="/venv", bytecode="ahead", conflicts="last")


def _tar_seeds() -> Iterator[bytes]:

    yield from _archive_seeds()
    yield zstandard.ZstdCompressor().compress(next(_archive_seeds()))
    for format_ in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=format_) as archive:
            for name in ("a", "b" * 200, "ü"):
                with suppress(ValueError):
                    archive.addfile(tarfile.TarInfo(name), io.BytesIO())
        yield stream.getvalue()


TARGETS = {
    "archive": Target(run=_import, seeds=_archive_seeds, words=(b"ustar\x00", b"ustar  ")),
    "tar": Target(
        run=_read_tar,
        seeds=_tar_seeds,
        words=(
            *(b"ustar\x0000", b"ustar  \x00", b"GNU.sparse.map", b"GNU.sparse.major=1\n"),
            *(b"27 GNU.sparse.size=99999999\n", b"hdrcharset=BINARY\n", b"19 size=999999999\n"),
            *(b"\x80" + b"\xff" * 11, b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18", b"path=a/b\n"),
        ),
    ),
    "parcel": Target(run=_parse_parcel, seeds=_parcel_seeds, words=(*TOML_WORDS, PART)),
}
