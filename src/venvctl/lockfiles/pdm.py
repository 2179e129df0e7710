"""`pdm.lock`: PDM's lock, with the metadata of packages inherited or not, with URLs or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.markers import Marker
from packaging.pylock import (
    Package,
    PackageDirectory,
    PackageSdist,
    PackageVcs,
    PackageWheel,
    Pylock,
)
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from venvctl.errors import LockError
from venvctl.lockfiles import toml
from venvctl.lockfiles.direct import Direct
from venvctl.lockfiles.entries import wheel_tags
from venvctl.lockfiles.hashes import parse_hash
from venvctl.lockfiles.locations import check_commit, check_file_name, file_name
from venvctl.lockfiles.model import Index, Lock, Pin
from venvctl.lockfiles.pdm_project import read_graph, read_sources
from venvctl.lockfiles.tables import Table, parse_marker
from venvctl.lockfiles.wanted import check_known

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from venvctl.lockfiles.files import Files
    from venvctl.lockfiles.model import LockOptions

_OLDEST = Version("4.0")
_NEWEST = Version("4.5.1")
_DEFAULT = "default"
_AGAIN = "Make the lock again with `pdm lock`."


def read_pdm(files: Files, path: Path, options: LockOptions) -> Lock:
    """Read PDM's lock as `pdm install --prod --no-self` would, and the groups and extras beside.

    Both are groups to PDM. A lock without inherited metadata doesn't tell which package is of which
    group; for it the pyproject.toml beside the lock is read too.

    Raises:
        LockError: as `venvctl.lockfiles.read`.
    """
    name = files.display(path)
    tables = Table(toml.load(files, path), name)
    metadata = tables.table("metadata")
    _check_version(metadata, name)
    packages = tables.tables("package")
    groups = {_DEFAULT, *map(canonicalize_name, (*options.extras, *options.groups))}
    graph = None
    if "groups" in metadata:
        known = [group for group in metadata.texts("groups") if group != _DEFAULT]
        check_known("extra", options.extras, known, name)
        check_known("group", options.groups, known, name)
    if "inherit_metadata" in metadata.texts("strategy"):
        packages = [
            package
            for package in packages
            if groups & set(map(canonicalize_name, package.texts("groups")))
        ]
    else:
        graph = read_graph(files, path, packages, options)
    old_files = _old_files(metadata)
    index, insecure = read_sources(files, path)
    pins: list[Pin] = []
    direct: list[Package] = []
    seen: set[tuple[str, str, str]] = set()
    for package in packages:
        marker = (
            parse_marker(package.text("marker"), package.place) if "marker" in package else None
        )
        found = _entry(package, old_files, marker, index, path, files)
        if isinstance(found, Pin):
            pins.append(found)
            continue
        # An entry with extras repeats the files of the one without.
        key = (found.name, str(found.version), str(found.marker))
        if key not in seen:
            seen.add(key)
            direct.append(found)
    return Lock(
        path=path,
        format="pdm",
        digests=dict(files.digests),
        pylock=_pylock(metadata, direct),
        pins=tuple(pins),
        graph=graph,
        insecure_hosts=insecure,
    )


def _check_version(metadata: Table, name: str) -> None:
    version = metadata.version("lock_version", metadata.text("lock_version"))
    # Each minor version so far meant something else by what was there before.
    if version.release[:2] > _NEWEST.release[:2]:
        raise LockError(
            f"{name}: `lock_version` {version} is not known; venvctl knows {_NEWEST}.",
            hint="Upgrade venvctl, or make the lock with an older PDM.",
        )
    if version < _OLDEST:
        raise LockError(
            f"{name}: `lock_version` {version} is too old; venvctl knows {_OLDEST} to {_NEWEST}.",
            hint=_AGAIN,
        )


def _pylock(metadata: Table, packages: list[Package]) -> Pylock:
    """The packages that are not pins, and which environments the lock is for."""
    environments = []
    for target in metadata.tables("targets"):
        text = target.text("requires_python", "")
        try:
            specifiers = SpecifierSet(text)
        except InvalidSpecifier as error:
            raise LockError(
                f"{target.place}: `requires_python` {text!r} is not a version specifier.",
                hint=_AGAIN,
            ) from error
        environments += (
            [
                Marker(
                    " and ".join(
                        f'python_full_version {each.operator} "{each.version}"'
                        for each in specifiers
                    )
                )
            ]
            if specifiers
            else []
        )
    return Pylock(
        lock_version=Version("1.0"),
        created_by="venvctl",
        environments=environments or None,
        packages=packages,
    )


def _old_files(metadata: Table) -> dict[tuple[str, str], list[Table]]:
    """The files of all packages by name and version, as PDM wrote them before 4.3."""
    table = metadata.table("files")
    found: dict[tuple[str, str], list[Table]] = {}
    for key in table.values:
        name, _, version = key.partition(" ")
        found.setdefault((canonicalize_name(name.partition("[")[0]), version), []).extend(
            table.tables(key)
        )
    return found


def _entry(
    package: Table,
    old_files: Mapping[tuple[str, str], list[Table]],
    marker: Marker | None,
    index: Index,
    path: Path,
    files: Files,
) -> Pin | Package:
    """A pin, or a package whose files the lock names by URL, path or commit."""
    name = package.name()
    place = package.place
    version = package.version("version", package.text("version"))
    tool = {"venvctl": {"place": place}}
    listed = package.tables("files") or old_files.get((name, package.text("version")), [])
    hashes = tuple(sorted({parse_hash(file.text("hash"), file.place) for file in listed}))
    if "git" in package:
        url = package.text("git")
        return Package(
            name=name,
            version=version,
            marker=marker,
            vcs=PackageVcs(
                type="git",
                url=url,
                commit_id=check_commit(package.text("revision", ""), url, place),
                subdirectory=package.text("subdirectory", "") or None,
            ),
            tool=tool,
        )
    if "url" in package or "path" in package:
        location = package.text("url") if "url" in package else package.text("path")
        if "url" in package or location.endswith((".whl", ".tar.gz", ".zip")):
            return Direct(
                name=name,
                location=location,
                hashes=hashes,
                place=place,
                directory=path.parent,
                project=files.project,
                marker=marker,
                subdirectory=package.text("subdirectory", ""),
            ).package()
        return Package(
            name=name,
            version=version,
            marker=marker,
            directory=PackageDirectory(path=location, editable=package.flag("editable")),
            tool=tool,
        )
    if listed and all("url" in file for file in listed):
        wheels, sdists = _static(listed)
        found = Package(
            name=name,
            version=version,
            marker=marker,
            wheels=wheels or None,
            sdist=sdists[0] if sdists else None,
            tool=tool,
        )
        for wheel in wheels:
            wheel_tags(found, wheel.filename)
        return found
    return Pin(
        name=name, version=str(version), place=place, marker=marker, hashes=hashes, index=index
    )


def _static(listed: Iterable[Table]) -> tuple[list[PackageWheel], list[PackageSdist]]:
    """The files of a lock with the strategy `static_urls`."""
    wheels, sdists = [], []
    for file in listed:
        url = file.text("url")
        algorithm, _, digest = file.text("hash").partition(":")
        name = file_name(url)
        check_file_name(name, file.place)
        if name.endswith(".whl"):
            wheels.append(PackageWheel(name=name, url=url, hashes={algorithm: digest}))
        else:
            sdists.append(PackageSdist(name=name, url=url, hashes={algorithm: digest}))
    return wheels, sdists
