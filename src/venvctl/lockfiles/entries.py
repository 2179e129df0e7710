"""What one entry of a lock says: its place, its version, the names of its files."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from venvctl.errors import LockError

if TYPE_CHECKING:
    from packaging.pylock import Package, PackageArchive
    from packaging.tags import Tag


def place_of(package: Package) -> str:
    """Where the lock that a package was read from has it."""
    tool = (package.tool or {}).get("venvctl")
    return str(tool["place"]) if isinstance(tool, dict) else f"package {package.name}"


def is_recorded(package: Package) -> bool:
    """Whether the hashes are those of a pin record, since the lock itself has none."""
    tool = (package.tool or {}).get("venvctl")
    return isinstance(tool, dict) and tool.get("recorded") is True


def version_of(package: Package) -> str:
    return str(package.version) if package.version is not None else ""


def label_of(package: Package) -> str:
    """How messages name a package: with its version, where the lock gives one."""
    return f"{package.name} {version_of(package)}".rstrip()


def archive_name(archive: PackageArchive) -> str:
    """The name of the file behind an archive entry; PEP 751 gives it none of its own."""
    if archive.path:
        return archive.path.rpartition("/")[2]
    return unquote(urlsplit(archive.url or "").path.rpartition("/")[2])


def wheel_tags(package: Package, file: str) -> frozenset[Tag]:
    """The tags of a wheel that is named by a URL alone, which `Pylock` does not check."""
    try:
        name, version, _, tags = parse_wheel_filename(file)
    except InvalidWheelFilename as error:
        raise LockError(
            f"{place_of(package)}: {file!r} is not a wheel's file name.",
            hint="A wheel keeps the name it was built with.",
        ) from error
    if name != package.name or (package.version and version != package.version):
        raise LockError(
            f"{place_of(package)}: {file!r} is not a wheel of {label_of(package)}.",
            hint="Correct the name or the URL.",
        )
    return tags
