"""What one entry of a lock says: its place, its version, the names of its files."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from venvctl.errors import LockError
from venvctl.lockfiles.locations import file_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.markers import EvaluateContext, Marker
    from packaging.pylock import Package, PackageArchive
    from packaging.tags import Tag
    from packaging.utils import BuildTag, NormalizedName
    from packaging.version import Version


@lru_cache(maxsize=4096)  # pins and selection ask for the same, and a lock has thousands
def wheel_parts(file: str) -> tuple[NormalizedName, Version, BuildTag, frozenset[Tag]]:
    """Name, version, build tag and tags of a wheel, by its file name.

    Raises:
        InvalidWheelFilename: it is none.
    """
    return parse_wheel_filename(file)


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
    return file_name(archive.url or "")


def wheel_tags(package: Package, file: str) -> frozenset[Tag]:
    """The tags of a wheel that is named by a URL alone, which `Pylock` does not check."""
    try:
        name, version, _, tags = wheel_parts(file)
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


def holds(
    marker: Marker,
    environment: Mapping[str, str | frozenset[str]],
    place: str,
    *,
    context: EvaluateContext = "metadata",
) -> bool:
    """Whether a marker that a lock has somewhere holds in an environment.

    Raises:
        LockError: it asks for what has no value, or compares what can't be compared.
    """
    try:
        return marker.evaluate(dict(environment), context=context)
    except UndefinedEnvironmentName as error:
        reason = f"{error.args[0]!r} has no value in a lock"
        raise _unanswered(marker, place, reason) from error
    except UndefinedComparison as error:
        raise _unanswered(marker, place, "it compares texts as versions") from error


def _unanswered(marker: Marker, place: str, reason: str) -> LockError:
    return LockError(
        f"{place}: The marker {str(marker)!r} can't be evaluated: {reason}.",
        hint="Make the lock again, or correct the marker.",
    )
