"""`pdm.lock`: PDM's lock, with the metadata of packages inherited or not, with URLs or not."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.markers import Marker
from packaging.pylock import (
    Package,
    PackageDirectory,
    PackageSdist,
    PackageVcs,
    PackageWheel,
    Pylock,
)
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from venvctl.errors import LockError
from venvctl.lockfiles import toml
from venvctl.lockfiles.direct import Direct
from venvctl.lockfiles.graph import Edge, Graph, Node
from venvctl.lockfiles.hashes import parse_hash
from venvctl.lockfiles.locations import check_commit
from venvctl.lockfiles.model import Lock, Pin
from venvctl.lockfiles.tables import Table, parse_marker
from venvctl.lockfiles.wanted import check_known

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from venvctl.lockfiles.files import Files
    from venvctl.lockfiles.model import LockOptions

_NEWEST = Version("4.5.0")
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
    known = [group for group in metadata.texts("groups") if group != _DEFAULT]
    check_known("extra", options.extras, known, name)
    check_known("group", options.groups, known, name)
    groups = {_DEFAULT, *map(canonicalize_name, (*options.extras, *options.groups))}
    packages = tables.tables("package")
    graph = None
    if "inherit_metadata" in metadata.texts("strategy"):
        packages = [
            package
            for package in packages
            if groups & set(map(canonicalize_name, package.texts("groups")))
        ]
    else:
        graph = _read_graph(files, path, packages, groups)
    pins: list[Pin] = []
    direct: list[Package] = []
    seen: set[tuple[str, str, str]] = set()
    for package in packages:
        marker = (
            parse_marker(package.text("marker"), package.place) if "marker" in package else None
        )
        found = _entry(package, marker, path, files)
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
    )


def _check_version(metadata: Table, name: str) -> None:
    version = metadata.version("lock_version", metadata.text("lock_version"))
    if version.major > _NEWEST.major:
        raise LockError(
            f"{name}: `lock_version` {version} is not known; venvctl knows {_NEWEST}.",
            hint="Upgrade venvctl, or make the lock with an older PDM.",
        )
    if version < Version("4.3"):
        raise LockError(
            f"{name}: `lock_version` {version} is too old; venvctl knows 4.3 to {_NEWEST}.",
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


def _entry(package: Table, marker: Marker | None, path: Path, files: Files) -> Pin | Package:
    """A pin, or a package whose files the lock names by URL, path or commit."""
    name = canonicalize_name(package.text("name"))
    place = package.place
    version = package.version("version", package.text("version"))
    tool = {"venvctl": {"place": place}}
    listed = package.tables("files")
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
        return Package(
            name=name,
            version=version,
            marker=marker,
            wheels=wheels or None,
            sdist=sdists[0] if sdists else None,
            tool=tool,
        )
    return Pin(name=name, version=str(version), place=place, marker=marker, hashes=hashes)


def _static(listed: Iterable[Table]) -> tuple[list[PackageWheel], list[PackageSdist]]:
    """The files of a lock with the strategy `static_urls`."""
    wheels, sdists = [], []
    for file in listed:
        url = file.text("url")
        algorithm, _, digest = file.text("hash").partition(":")
        name = unquote(urlsplit(url).path.rpartition("/")[2])
        if name.endswith(".whl"):
            wheels.append(PackageWheel(name=name, url=url, hashes={algorithm: digest}))
        else:
            sdists.append(PackageSdist(name=name, url=url, hashes={algorithm: digest}))
    return wheels, sdists


def _read_graph(
    files: Files, lock: Path, packages: Iterable[Table], groups: Iterable[str]
) -> Graph:
    path = lock.parent / "pyproject.toml"
    if not path.exists():
        raise LockError(
            f"{files.display(lock)}: A lock without the strategy `inherit_metadata` needs the"
            f" pyproject.toml beside it, and {files.display(path)} does not exist.",
            hint="Bring it back, or make the lock again: `pdm lock -S inherit_metadata`.",
        )
    tables = Table(toml.load(files, path), files.display(path))
    project = tables.table("project")
    optional, development = (
        project.table("optional-dependencies"),
        tables.table("dependency-groups"),
    )
    older = tables.table("tool").table("pdm").table("dev-dependencies")
    texts = project.texts("dependencies")
    for table in (optional, development, older):
        for key in table.values:
            if canonicalize_name(key) in groups:
                texts = [*texts, *table.texts(key)]
    return Graph(
        roots=tuple(edge for text in texts for edge in _edges(text, tables.place)),
        nodes=tuple(_node(package) for package in packages),
    )


def _node(package: Table) -> Node:
    """A package; one with extras is a package of its own to PDM."""
    return Node(
        name=_key(package.text("name"), package.texts("extras")),
        version=package.version("version", package.text("version")),
        place=package.place,
        edges=tuple(
            edge for text in package.texts("dependencies") for edge in _edges(text, package.place)
        ),
    )


def _edges(text: str, place: str) -> list[Edge]:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise LockError(
            f"{place}: {text!r} is not a requirement: {str(error).partition(chr(10))[0]}.",
            hint=_AGAIN,
        ) from error
    plain = Edge.from_requirement(requirement)
    return [
        Edge(
            name=_key(requirement.name, requirement.extras),
            versions=plain.versions,
            marker=plain.marker,
        )
    ]


def _key(name: str, extras: Iterable[str]) -> str:
    shown = ",".join(sorted(map(canonicalize_name, extras)))
    return canonicalize_name(name) + (f"[{shown}]" if shown else "")
