"""What Poetry 1 leaves to its pyproject.toml: which packages a project depends on, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from venvctl.errors import LockError
from venvctl.lockfiles import toml
from venvctl.lockfiles.graph import Edge, Graph, Node
from venvctl.lockfiles.poetry_versions import as_marker, parse_versions
from venvctl.lockfiles.tables import Table, parse_marker
from venvctl.lockfiles.wanted import check_known

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from packaging.markers import Marker

    from venvctl.lockfiles.files import Files
    from venvctl.lockfiles.model import LockOptions


def read_graph(files: Files, lock: Path, packages: Sequence[Table], options: LockOptions) -> Graph:
    """What depends on what, from the packages of a lock and the project beside it.

    Args:
        files: what reads the pyproject.toml; it then counts into the lock's digest.
        lock: the poetry.lock.
        packages: its packages.
        options: which groups and extras are wanted.

    Raises:
        LockError: there is no pyproject.toml beside the lock, or it isn't Poetry's.
    """
    path = lock.parent / "pyproject.toml"
    name = files.display(path)
    if not path.exists():
        raise LockError(
            f"{files.display(lock)}: A lock of Poetry 1 needs the pyproject.toml beside it,"
            f" and {name} does not exist.",
            hint="Bring it back, or make the lock again with Poetry 2.",
        )
    project = Table(toml.load(files, path), name)
    poetry = project.table("tool").table("poetry")
    groups = {key: table.table("dependencies") for key, table in poetry.table("group").items()}
    if "dev-dependencies" in poetry:
        groups.setdefault("dev", poetry.table("dev-dependencies"))
    check_known("group", options.groups, groups, name)
    wanted = set(map(canonicalize_name, options.groups))
    roots = [*_edges(poetry.table("dependencies"), _optional(poetry, options))]
    roots += [
        Edge.from_requirement(_requirement(text, name))
        for text in project.table("project").texts("dependencies")
    ]
    for key, dependencies in groups.items():
        if canonicalize_name(key) in wanted:
            roots += _edges(dependencies, frozenset())
    return Graph(name=files.display(lock), roots=tuple(roots), nodes=tuple(map(_node, packages)))


def _optional(poetry: Table, options: LockOptions) -> frozenset[str]:
    """The optional dependencies that the wanted extras bring."""
    extras = poetry.table("extras")
    wanted = set(map(canonicalize_name, options.extras))
    return frozenset(
        canonicalize_name(dependency)
        for extra in extras.values
        if canonicalize_name(extra) in wanted
        for dependency in extras.texts(extra)
    )


def _node(package: Table) -> Node:
    return Node(
        name=package.name(),
        version=package.version("version", package.text("version")),
        place=package.place,
        edges=tuple(_edges(package.table("dependencies"), None)),
    )


def _edges(dependencies: Table, optional: frozenset[str] | None) -> Iterator[Edge]:
    """Dependencies as Poetry writes them: a constraint, a table, or a list of tables.

    Args:
        dependencies: name → dependency.
        optional: of a project, which optional dependencies are wanted. None for a package, where
            `extra` in the marker says when one is.
    """
    for name, value in dependencies.values.items():
        normalized = canonicalize_name(name)
        if optional is not None and normalized == "python":
            continue
        for each in value if isinstance(value, list) else [value]:
            table = Table(
                {"version": each} if isinstance(each, str) else _as_table(each, dependencies, name),
                f"{dependencies.place}: {name}",
            )
            if optional is not None and table.flag("optional") and normalized not in optional:
                continue
            yield Edge(
                name=normalized,
                versions=parse_versions(table.text("version", "*"), table.place),
                marker=_marker(table),
                extras=frozenset(map(canonicalize_name, table.texts("extras"))),
            )


def _as_table(value: Any, dependencies: Table, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise dependencies.wrong(name, "a dependency")
    return value


def _marker(table: Table) -> Marker | None:
    """The conditions of a dependency, taken together: `markers`, `python` and `platform`."""
    texts = [table.text("markers")] if table.text("markers", "") else []
    if "python" in table:
        alternatives = parse_versions(table.text("python"), table.place)
        if alternatives:
            texts.append(" or ".join(f"({as_marker(each)})" for each in alternatives))
    if "platform" in table:
        texts.append(f'sys_platform == "{table.text("platform")}"')
    if not texts:
        return None
    return parse_marker(" and ".join(f"({text})" for text in texts), table.place)


def _requirement(text: str, name: str) -> Requirement:
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise LockError(
            f"{name}: {text!r} is not a requirement: {str(error).partition(chr(10))[0]}.",
            hint="Correct it (PEP 508).",
        ) from error
