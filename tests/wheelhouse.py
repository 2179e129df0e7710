"""Builds small real wheels for tests, by hand, so that hostile ones can be had too."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

REGULAR = 0o100644
EXECUTABLE = 0o100755
SYMLINK = 0o120777


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltWheel:
    """A wheel on disk."""

    path: Path
    name: str
    version: str

    @property
    def file(self) -> str:
        return self.path.name

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    @property
    def size(self) -> int:
        return self.path.stat().st_size


def make_wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    files: Mapping[str, bytes | str] | None = None,
    requires: Sequence[str] = (),
    requires_python: str = "",
    entry_points: str = "",
    tag: str = "py3-none-any",
    build: str = "",
    modes: Mapping[str, int] | None = None,
    record: Mapping[str, str | None] | None = None,
    metadata: str | None = None,
    wheel: str | None = None,
    extra: Sequence[tuple[str, bytes]] = (),
    without: Sequence[str] = (),
    create_system: int = 3,
) -> BuiltWheel:
    """Write a wheel into `folder` (made when needed) and return it.

    Without `files` it holds one module named after it, with ``__version__``.

    Args:
        folder: where it goes.
        name: of the package.
        version: of the package.
        files: member → content; a name that ends in ``/`` is a folder.
        requires: Requires-Dist of METADATA.
        requires_python: Requires-Python of METADATA.
        entry_points: text of entry_points.txt.
        tag: compatibility tag.
        build: build tag, with a leading digit.
        modes: member → Unix mode with its type (`EXECUTABLE`, `SYMLINK`).
        record: member → ``algorithm=digest,size`` in place of the right one; None leaves it out.
            A member that does not exist is added to RECORD.
        metadata: whole text of METADATA.
        wheel: whole text of WHEEL.
        extra: members to append that RECORD does not know, also twice.
        without: members to leave out of the archive (RECORD still lists them, unless it is one).
        create_system: 3 for Unix, 0 for MS-DOS.
    """
    distribution = canonicalize_name(name).replace("-", "_")
    dist_info = f"{distribution}-{version}.dist-info"
    if files is None:
        files = {f"{distribution}.py": f"__version__ = {version!r}\n"}
    if metadata is None:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
        metadata += f"Requires-Python: {requires_python}\n" if requires_python else ""
    if wheel is None:
        wheel = f"Wheel-Version: 1.0\nGenerator: wheelhouse\nRoot-Is-Purelib: true\nTag: {tag}\n"
    members = {member: _bytes(content) for member, content in files.items()}
    members[f"{dist_info}/METADATA"] = metadata.encode()
    members[f"{dist_info}/WHEEL"] = wheel.encode()
    if entry_points:
        members[f"{dist_info}/entry_points.txt"] = entry_points.encode()
    rows = {
        member: f"sha256={_digest(content)},{len(content)}"
        for member, content in members.items()
        if not member.endswith("/")
    }
    rows |= {member: row for member, row in (record or {}).items() if row is not None}
    for member in (member for member, row in (record or {}).items() if row is None):
        rows.pop(member, None)
    rows[f"{dist_info}/RECORD"] = ","
    listing = "".join(f"{_quoted(member)},{row}\n" for member, row in rows.items())
    members[f"{dist_info}/RECORD"] = listing.encode()

    folder.mkdir(parents=True, exist_ok=True)
    parts = [distribution, version, *([build] if build else []), tag]
    path = folder / ("-".join(parts) + ".whl")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in [*members.items(), *extra]:
            if member in without:
                continue
            info = zipfile.ZipInfo("x", date_time=(2020, 1, 1, 0, 0, 0))
            # Set afterwards: the constructor would cut the name at a NUL.
            info.filename = info.orig_filename = member
            mode = (modes or {}).get(member, 0o040755 if member.endswith("/") else REGULAR)
            info.external_attr = mode << 16
            info.create_system = create_system
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return BuiltWheel(path=path, name=canonicalize_name(name), version=version)


def packed(members: Mapping[str, bytes], *, name: str, more: bytes = b"") -> bytes:
    """The bytes of a wheel whose RECORD is right.

    Args:
        members: member → content; a name that ends in ``/`` is a folder.
        name: of its .dist-info folder.
        more: lines that RECORD has before its own.
    """
    rows = [
        f"{_quoted(member)},sha256={_digest(content)},{len(content)}\n"
        for member, content in members.items()
        if not member.endswith("/")
    ]
    record = f"{name}/RECORD"
    listing = more + "".join([*rows, f"{record},,\n"]).encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in [*members.items(), (record, listing)]:
            info = zipfile.ZipInfo("x", date_time=(2020, 1, 1, 0, 0, 0))
            info.filename = info.orig_filename = member
            info.external_attr = (0o040755 if member.endswith("/") else REGULAR) << 16
            info.create_system = 3
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return stream.getvalue()


def make_sdist(folder: Path, name: str, version: str = "1.0", *, backend: str = "") -> Path:
    """Write a source archive that builds without a network, with a backend of its own.

    Args:
        folder: where it goes.
        name: of the package.
        version: of the package.
        backend: the text of its build backend, in place of one that makes a wheel with one module.
    """
    distribution = canonicalize_name(name).replace("-", "_")
    top = f"{distribution}-{version}"
    contents = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "pyproject.toml": (
            "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
            f"[project]\nname = {name!r}\nversion = {version!r}\n"
        ),
        "backend.py": backend
        or _BACKEND.format(distribution=distribution, name=name, version=version),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{top}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for file, text in contents.items():
            info = tarfile.TarInfo(f"{top}/{file}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


_BACKEND = """\
import os, zipfile
def build_wheel(directory, config_settings=None, metadata_directory=None):
    file = "{distribution}-{version}-py3-none-any.whl"
    info = "{distribution}-{version}.dist-info/"
    with zipfile.ZipFile(os.path.join(directory, file), "w") as archive:
        import base64, hashlib
        members = {{
            "{distribution}.py": "__version__ = '{version}'\\n",
            info + "METADATA": "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n",
            info + "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        }}
        record = ""
        for member, text in members.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            digest = digest.rstrip(b"=").decode()
            record += f"{{member}},sha256={{digest}},{{len(text)}}\\n"
            archive.writestr(member, text)
        archive.writestr(info + "RECORD", record + info + "RECORD,,\\n")
    return file
"""


def _bytes(content: bytes | str) -> bytes:
    return content if isinstance(content, bytes) else content.encode()


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _quoted(member: str) -> str:
    if any(character in member for character in ',"\n\r'):
        return '"' + member.replace('"', '""') + '"'
    return member
