"""`pylock.toml` and `pylock.<name>.toml`: PEP 751, taken as it is."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

from packaging.pylock import (
    Package,
    PackageArchive,
    PackageSdist,
    PackageWheel,
    Pylock,
    PylockValidationError,
)
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from venvctl.errors import LockError
from venvctl.lockfiles import toml
from venvctl.lockfiles.locations import file_name, inside
from venvctl.lockfiles.model import Lock

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from venvctl.lockfiles.files import Files
    from venvctl.lockfiles.model import LockOptions

_File = TypeVar("_File", PackageArchive, PackageSdist, PackageWheel)
_NEWEST = Version("1.0")


def read_pylock(files: Files, path: Path, options: LockOptions) -> Lock:
    """Read a lock of PEP 751.

    Raises:
        LockError: as `venvctl.lockfiles.read`.
    """
    name = files.display(path)
    tables = toml.load(files, path)
    warnings = _check_version(tables, name)
    return Lock(
        path=path,
        format="pylock",
        digests=dict(files.digests),
        pylock=from_tables(tables, name=name, directory=path.parent, project=files.project),
        extras=options.extras,
        groups=options.groups,
        warnings=warnings,
    )


def from_tables(
    tables: Mapping[str, Any], *, name: str, directory: Path, project: Path, exported: bool = False
) -> Pylock:
    """Validate the tables of a lock, name each package's place, and make local paths absolute.

    Args:
        tables: the parsed TOML.
        name: what messages call the file.
        directory: what its relative paths start from.
        project: where local files may be, beside `directory`.
        exported: a tool made the tables out of the file; their positions mean nothing there.

    Raises:
        LockError: the lock breaks PEP 751, or names a local file outside the project.
    """
    try:
        lock = Pylock.from_dict(as_the_index_has_it(tables) if exported else tables)
    except PylockValidationError as error:
        context = f"{error.context}: " if error.context else ""
        # Markers are parsed by recursion, and explained in several lines.
        deep = error.message.startswith("maximum recursion depth exceeded")
        message = "It is nested too deep" if deep else error.message.partition("\n")[0]
        raise LockError(
            f"{name}: {context}{message}.",
            hint="The lock is not valid (PEP 751); make it again.",
        ) from error
    packages = [
        _located(
            package,
            f"{name}: {package.name if exported else f'packages[{position}]'}",
            directory,
            project,
        )
        for position, package in enumerate(lock.packages)
    ]
    return Pylock(
        lock_version=lock.lock_version,
        environments=lock.environments,
        requires_python=lock.requires_python,
        extras=lock.extras,
        dependency_groups=lock.dependency_groups,
        default_groups=lock.default_groups,
        created_by=lock.created_by,
        packages=packages,
    )


def as_the_index_has_it(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Undo what uv does to names, in a pylock.toml that it wrote.

    It gives wheels normalized names where an index has them otherwise, so that one file would have
    two names. And it lists sdists such as `.tar.bz2`, whose names PEP 625 does not allow and
    `packaging` refuses; where there are wheels, those are left out.

    Args:
        tables: the lock, parsed.
    """
    packages = []
    for package in tables.get("packages", ()):
        changed = dict(package)
        wheels = package.get("wheels")
        if wheels and any("name" in wheel for wheel in wheels):
            changed["wheels"] = [_named_by_url(wheel) for wheel in wheels]
        sdist = file_name(str(package.get("sdist", {}).get("url", "")))
        if wheels and sdist and not sdist.endswith((".tar.gz", ".zip")):
            del changed["sdist"]
        packages.append(changed)
    return {**tables, "packages": packages}


def _named_by_url(wheel: Mapping[str, Any]) -> Mapping[str, Any]:
    """A wheel without a name of its own, where its URL ends in the same one as the index spells."""
    name = file_name(str(wheel.get("url", "")))
    try:
        same = parse_wheel_filename(name) == parse_wheel_filename(str(wheel.get("name")))
    except InvalidWheelFilename:
        return wheel
    return {key: value for key, value in wheel.items() if key != "name"} if same else wheel


def _check_version(tables: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Refuse a newer major version before its unknown shape is called invalid (PEP 751: MUST)."""
    text = tables.get("lock-version")
    if not isinstance(text, str):
        raise LockError(
            f"{name}: `lock-version` is missing or not a text.",
            hint="Check that it is a pylock.toml (PEP 751).",
        )
    try:
        version = Version(text)
    except InvalidVersion as error:
        raise LockError(
            f"{name}: `lock-version` {text!r} is not a version.",
            hint="Check that it is a pylock.toml (PEP 751).",
        ) from error
    if version.major != _NEWEST.major:
        raise LockError(
            f"{name}: `lock-version` {version} is not known; venvctl knows {_NEWEST}.",
            hint="Upgrade venvctl, or make the lock with an older tool.",
        )
    if version > _NEWEST:
        # PEP 751: tools SHOULD warn of a newer minor version.
        return (f"{name}: `lock-version` {version} is newer than {_NEWEST}, which venvctl knows.",)
    return ()


def _located(package: Package, place: str, directory: Path, project: Path) -> Package:
    def local(file: _File) -> _File:
        if not file.path:
            return file
        return dataclasses.replace(file, path=str(inside(file.path, directory, project, place)))

    return dataclasses.replace(
        package,
        archive=local(package.archive) if package.archive else None,
        sdist=local(package.sdist) if package.sdist else None,
        wheels=[local(wheel) for wheel in package.wheels] if package.wheels else None,
        tool={"venvctl": {"place": place}},
    )
