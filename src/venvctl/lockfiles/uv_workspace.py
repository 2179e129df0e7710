"""The pyproject.toml files that uv wants to see beside an older lock, made from the lock alone."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import tomli_w
from packaging.utils import canonicalize_name

from venvctl.errors import LockError
from venvctl.lockfiles import toml
from venvctl.lockfiles.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

# From this revision on, uv reads a lock without its pyproject.toml.
_ALONE = 5
_LOCAL = re.compile(r"^source = \{ (virtual|editable|directory) = ", re.MULTILINE)


def workspace_files(text: str, name: str) -> dict[str, str]:
    """The files of a workspace whose lock this is, as far as `uv export --frozen` asks for them.

    It takes the dependencies from the lock, and from the workspace only which members, extras and
    groups there are; the lock tells those too. So what is installed depends on the lock alone.

    Args:
        text: the lock.
        name: what messages call it.

    Returns:
        Relative path → content; nothing for a lock that uv reads alone.

    Raises:
        LockError: the lock is not TOML, or names a member outside the workspace.
    """
    revision = re.search(r"^revision = (\d{1,9})$", text, re.MULTILINE)
    if revision and int(revision[1]) >= _ALONE:
        return {}
    local = _local_part(text, name)
    if "version" not in local:
        raise LockError(
            f"{name}: `version` is missing.",
            hint="The file is damaged or only half written; make the lock again with `uv lock`.",
        )
    manifest = local.table("manifest")
    packages = {
        canonicalize_name(package.text("name")): package for package in local.tables("package")
    }
    named = manifest.texts("members") or [
        package for package, table in packages.items() if _folder(table) == "."
    ]
    found = [packages[each] for each in map(canonicalize_name, named) if each in packages]
    members = {_folder(package): package for package in found}
    files = {
        _path(folder, table): tomli_w.dumps(_project(table)) for folder, table in members.items()
    }
    root = _project(members["."]) if "." in members else {}
    groups = manifest.table("dependency-groups").values
    if groups:
        root["dependency-groups"] = _empty([*root.get("dependency-groups", ()), *groups])
    others = [folder for folder in members if folder != "."]
    if others or "." not in members:
        root["tool"] = {"uv": {"workspace": {"members": others}}}
    if "project" not in root:
        # uv takes a root without a project for one of a workspace, and asks which Python it is for
        root.setdefault("tool", {"uv": {}})
    return {**files, "pyproject.toml": tomli_w.dumps(root)}


def _local_part(text: str, name: str) -> Table:
    """The lock without its packages from elsewhere, which are nearly all of it."""
    head, *packages = re.split(r"^\[\[package\]\]$", text, flags=re.MULTILINE)
    kept = [package for package in packages if _LOCAL.search(package)]
    try:
        return Table(toml.parse("[[package]]".join([head, *kept]), name), name)
    except LockError:
        # For the right line, the whole of it.
        return Table(toml.parse(text, name), name)


def _project(package: Table) -> dict[str, Any]:
    metadata = package.table("metadata")
    extras = [
        *package.table("optional-dependencies").values,
        *metadata.texts("provides-extras"),
    ]
    groups = [
        *package.table("dev-dependencies").values,
        *metadata.table("requires-dev").values,
    ]
    return {
        "project": {
            "name": package.text("name"),
            "version": package.text("version", "0"),
            "optional-dependencies": _empty(extras),
        },
        "dependency-groups": _empty(groups),
    }


def _empty(names: Iterable[str]) -> dict[str, list[str]]:
    return {name: [] for name in names}


def _folder(package: Table) -> str:
    source = package.table("source")
    return next((source.text(key) for key in source.values), "")


def _path(folder: str, package: Table) -> str:
    path = PurePosixPath(folder)
    if path.is_absolute() or ".." in path.parts or "\\" in folder:
        raise LockError(
            f"{package.place}: The member {folder!r} is outside the workspace.",
            hint="Make the lock again with a newer uv.",
        )
    return str(path / "pyproject.toml")
