"""`poetry.lock` of Poetry 1 and 2."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.pylock import Package, PackageDirectory, PackageVcs, Pylock
from packaging.utils import canonicalize_name
from packaging.version import Version

from venvctl.errors import LockError
from venvctl.lockfiles import toml
from venvctl.lockfiles.direct import Direct
from venvctl.lockfiles.hashes import parse_hash
from venvctl.lockfiles.locations import check_commit
from venvctl.lockfiles.model import Index, Lock, Pin
from venvctl.lockfiles.poetry_project import read_graph
from venvctl.lockfiles.poetry_versions import as_marker, parse_versions
from venvctl.lockfiles.tables import Table, parse_marker
from venvctl.lockfiles.wanted import check_known

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.markers import Marker

    from venvctl.lockfiles.files import Files
    from venvctl.lockfiles.model import LockOptions

_NEWEST = Version("2.1")
_WITH_GROUPS = Version("2.1")  # since Poetry 2.0: each package tells its groups and markers
_MAIN = "main"


def read_poetry(files: Files, path: Path, options: LockOptions) -> Lock:
    """Read Poetry's lock as `poetry install --only main --no-root` would, and the groups beside.

    Locks of Poetry 1 don't tell why a package is there; for them the pyproject.toml beside the lock
    is read too.

    Raises:
        LockError: as `venvctl.lockfiles.read`.
    """
    name = files.display(path)
    tables = Table(toml.load(files, path), name)
    metadata = tables.table("metadata")
    version = _check_version(metadata, name)
    check_known("extra", options.extras, tables.table("extras").values, name)
    packages = tables.tables("package")
    graph = None
    if version >= _WITH_GROUPS:
        known = {group for package in packages for group in package.texts("groups")}
        check_known("group", options.groups, known, name)
        groups = [_MAIN, *map(canonicalize_name, options.groups)]
        packages = [
            package
            for package in packages
            if set(groups) & set(map(canonicalize_name, package.texts("groups")))
        ]
    else:
        groups = []
        graph = read_graph(files, path, packages, options)
    extras = frozenset(map(canonicalize_name, options.extras))
    pins: list[Pin] = []
    direct: list[Package] = []
    old_files = metadata.table("files")
    for package in packages:
        marker = _marker(package, groups, extras)
        found = _entry(package, old_files, marker, path, files)
        if isinstance(found, Pin):
            pins.append(found)
        else:
            direct.append(found)
    return Lock(
        path=path,
        format="poetry",
        digests=dict(files.digests),
        pylock=_pylock(metadata, direct),
        pins=tuple(pins),
        graph=graph,
    )


def _check_version(metadata: Table, name: str) -> Version:
    text = metadata.text("lock-version", "1.0")
    version = metadata.version("lock-version", text)
    # Each minor version so far meant something else by what was there before.
    if version.release[:2] > _NEWEST.release:
        raise LockError(
            f"{name}: `lock-version` {version} is not known; venvctl knows {_NEWEST}.",
            hint="Upgrade venvctl, or make the lock with an older Poetry.",
        )
    if "content-hash" not in metadata:
        raise LockError(
            f"{name}: `metadata.content-hash` is missing.",
            hint="The file is damaged or only half written; make the lock again.",
        )
    return version


def _pylock(metadata: Table, packages: list[Package]) -> Pylock:
    """The packages that are not pins, and which Pythons the lock is for."""
    text = metadata.text("python-versions", "*")
    alternatives = parse_versions(text, metadata.place)
    # `requires-python` has no "or"; environments have.
    return Pylock(
        lock_version=Version("1.0"),
        created_by="venvctl",
        requires_python=alternatives[0] if len(alternatives) == 1 else None,
        environments=[as_marker(each) for each in alternatives] if len(alternatives) > 1 else None,
        packages=packages,
    )


def _marker(package: Table, groups: list[str], extras: frozenset[str]) -> Marker | None:
    """When a package is needed, for these groups and extras."""
    if "markers" not in package:
        return None
    if isinstance(package.values["markers"], str):
        texts = [package.text("markers")]
    else:
        # One marker for each group; a group that has none needs the package always.
        markers = package.table("markers")
        wanted = [group for group in package.texts("groups") if canonicalize_name(group) in groups]
        if any(group not in markers for group in wanted):
            return None
        texts = [markers.text(group) for group in wanted]
    parsed = [parse_marker(text, package.place) for text in texts]
    return parse_marker(
        " or ".join(f"({_decided(each, extras)})" for each in parsed), package.place
    )


def _decided(marker: Marker, extras: frozenset[str]) -> str:
    """A marker in which what it says of extras is already decided.

    Poetry compares `extra` with each extra that is wanted; a marker's environment has but one.
    """

    def decide(match: re.Match[str]) -> str:
        wanted = (canonicalize_name(match[2]) in extras) == (match[1] == "==")
        return f'python_version {">=" if wanted else "<"} "0"'

    return re.sub(r'extra (==|!=) "([^"]*)"', decide, str(marker))


def _entry(
    package: Table, old_files: Table, marker: Marker | None, path: Path, files: Files
) -> Pin | Package:
    """A pin, or what comes straight from a URL, a repository or a file."""
    name = package.name()
    version = package.version("version", package.text("version"))
    place = package.place
    source = package.table("source")
    kind = source.text("type", "")
    listed = package.tables("files") or old_files.tables(package.text("name"))
    hashes = tuple(sorted({parse_hash(file.text("hash"), file.place) for file in listed}))
    tool = {"venvctl": {"place": place}}
    if kind in {"", "legacy"}:
        return Pin(
            name=name,
            version=str(version),
            place=place,
            marker=marker,
            hashes=hashes,
            index=Index(url=source.text("url")) if kind else Index(),
        )
    if kind == "directory":
        return Package(
            name=name,
            version=version,
            marker=marker,
            directory=PackageDirectory(path=source.text("url"), editable=package.flag("develop")),
            tool=tool,
        )
    if kind == "git":
        url = source.text("url")
        return Package(
            name=name,
            version=version,
            marker=marker,
            vcs=PackageVcs(
                type="git",
                url=url,
                commit_id=check_commit(source.text("resolved_reference"), url, place),
                subdirectory=source.text("subdirectory", "") or None,
            ),
            tool=tool,
        )
    if kind in {"url", "file"}:
        return Direct(
            name=name,
            location=source.text("url"),
            hashes=hashes,
            place=place,
            directory=path.parent,
            project=files.project,
            marker=marker,
            subdirectory=source.text("subdirectory", ""),
        ).package()
    raise LockError(
        f"{place}: The source type {kind!r} is unknown.",
        hint="Upgrade venvctl, or take the package from an index.",
    )
