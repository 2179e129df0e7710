"""`Pipfile.lock`: Pipenv's lock, a flat list of pins for each category."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from packaging.pylock import Package, PackageDirectory, PackageVcs, Pylock
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from venvctl.errors import LockError
from venvctl.lockfiles.direct import Direct
from venvctl.lockfiles.hashes import parse_hash
from venvctl.lockfiles.locations import check_commit, split_url
from venvctl.lockfiles.model import Index, Lock, Pin
from venvctl.lockfiles.requirement_lines import expand_variables
from venvctl.lockfiles.tables import Table, package_name, parse_marker
from venvctl.lockfiles.toml import too_deep
from venvctl.lockfiles.wanted import check_known

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.markers import Marker

    from venvctl.lockfiles.files import Files
    from venvctl.lockfiles.model import LockOptions

_SPECIFICATION = 6
_DEFAULT = "default"
_AGAIN = "Make the lock again with `pipenv lock`."


def read_pipfile(files: Files, path: Path, options: LockOptions) -> Lock:
    """Read Pipenv's lock as `pipenv sync` would, and the categories that `groups` names beside.

    Raises:
        LockError: as `venvctl.lockfiles.read`.
    """
    name = files.display(path)
    tables = Table(_parse(files.text(path), name), name)
    if options.extras:
        raise LockError(
            f"{name}: Pipfile.lock has no extras: {', '.join(options.extras)}.",
            hint="Name categories with the label `venvctl.groups`; remove `venvctl.extras`.",
        )
    meta = tables.table("_meta")
    _check_specification(meta, name)
    categories = [key for key in tables.values if key != "_meta"]
    check_known("group", options.groups, categories, name)
    wanted = [
        key
        for key in categories
        if key == _DEFAULT or canonicalize_name(key) in map(canonicalize_name, options.groups)
    ]
    indexes = _indexes(meta)
    found: dict[str, Pin | Package] = {}
    for category in wanted:
        for package, entry in tables.table(category).items():
            # pipenv: what an earlier category has stands
            found.setdefault(
                package_name(package, entry.place), _entry(package, entry, indexes, path, files)
            )
    return Lock(
        path=path,
        format="pipfile",
        digests=dict(files.digests),
        pylock=Pylock(
            lock_version=Version("1.0"),
            created_by="venvctl",
            requires_python=_requires_python(meta.table("requires")),
            packages=[each for each in found.values() if isinstance(each, Package)],
        ),
        pins=tuple(each for each in found.values() if isinstance(each, Pin)),
        insecure_hosts=tuple(
            split_url(source.text("url"), source.place).netloc.rpartition("@")[2]
            for source in meta.tables("sources")
            if source.values.get("verify_ssl") is False
        ),
    )


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        tables = json.loads(text)
    except json.JSONDecodeError as error:
        raise LockError(
            f"{name}:{error.lineno}: {error.msg}.",
            hint=f"The file is not valid JSON. {_AGAIN}",
        ) from error
    except RecursionError as error:
        raise too_deep(name, 1) from error
    if not isinstance(tables, dict):
        raise LockError(f"{name}:1: The file is not a JSON object.", hint=_AGAIN)
    return tables


def _check_specification(meta: Table, name: str) -> None:
    version = meta.values.get("pipfile-spec")
    if version != _SPECIFICATION or isinstance(version, bool):
        raise LockError(
            f"{name}: `_meta.pipfile-spec` {version!r} is not known; venvctl knows"
            f" {_SPECIFICATION}.",
            hint=f"{_AGAIN} A newer format needs a newer venvctl.",
        )


def _requires_python(requires: Table) -> SpecifierSet | None:
    full = requires.text("python_full_version", "")
    if full:
        return SpecifierSet(f"=={requires.version('python_full_version', full)}")
    short = requires.text("python_version", "")
    if short:
        version = requires.version("python_version", short)
        # Only of numbers may all versions be meant that begin so.
        if version.is_prerelease or version.is_postrelease or version.local:
            raise requires.wrong("python_version", "the begin of a version, as 3.12")
        return SpecifierSet(f"=={version}.*")
    return None


def _indexes(meta: Table) -> dict[str, Index]:
    """The indexes by name; under "" what a package without a name of one asks: the first."""
    found: dict[str, Index] = {}
    for source in meta.tables("sources"):
        index = Index(url=expand_variables(source.text("url"), source.place))
        found[source.text("name", "")] = index
        found.setdefault("", index)
    return found or {"": Index()}


def _entry(
    name: str, entry: Table, indexes: dict[str, Index], path: Path, files: Files
) -> Pin | Package:
    """A pin, or what comes straight from a URL, a repository or a file."""
    place = entry.place
    normalized = canonicalize_name(name)
    marker = _marker(entry)
    hashes = tuple(sorted({parse_hash(text, place) for text in entry.texts("hashes")}))
    tool = {"venvctl": {"place": place}}
    if "git" in entry:
        url = entry.text("git")
        return Package(
            name=normalized,
            marker=marker,
            vcs=PackageVcs(
                type="git",
                url=url,
                commit_id=check_commit(entry.text("ref", ""), url, place),
                subdirectory=entry.text("subdirectory", "") or None,
            ),
            tool=tool,
        )
    location = entry.text("path", "") or entry.text("file", "")
    if "path" in entry and not location.endswith((".whl", ".tar.gz", ".zip")):
        return Package(
            name=normalized,
            marker=marker,
            directory=PackageDirectory(path=location, editable=entry.flag("editable")),
            tool=tool,
        )
    if location:
        return Direct(
            name=normalized,
            location=location,
            hashes=hashes,
            place=place,
            directory=path.parent,
            project=files.project,
            marker=marker,
            subdirectory=entry.text("subdirectory", ""),
        ).package()
    index = entry.text("index", "")
    if index and index not in indexes:
        raise LockError(f"{place}: There is no source {index!r} in `_meta.sources`.", hint=_AGAIN)
    version = entry.text("version")
    if not version.startswith("==") or version.endswith(".*"):
        raise LockError(f"{place}: {name + version!r} is not pinned to one version.", hint=_AGAIN)
    return Pin(
        name=normalized,
        version=str(entry.version("version", version.lstrip("= "))),
        place=place,
        marker=marker,
        hashes=hashes,
        index=indexes[index],
    )


def _marker(entry: Table) -> Marker | None:
    text = entry.text("markers", "")
    return parse_marker(text, entry.place) if text else None
