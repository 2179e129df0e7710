"""What PDM leaves to the pyproject.toml: its indexes, and in older locks the dependencies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.dependency_groups import resolve_dependency_groups
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from venvctl.errors import LockError
from venvctl.lockfiles import toml
from venvctl.lockfiles.graph import Edge, Graph, Node
from venvctl.lockfiles.locations import split_url
from venvctl.lockfiles.model import Index
from venvctl.lockfiles.requirement_lines import expand_variables
from venvctl.lockfiles.tables import Table
from venvctl.lockfiles.wanted import check_known

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from venvctl.lockfiles.files import Files
    from venvctl.lockfiles.model import LockOptions


def read_graph(files: Files, lock: Path, packages: Iterable[Table], options: LockOptions) -> Graph:
    """What depends on what, from the packages of a lock and the project beside it.

    Args:
        files: what reads the pyproject.toml; it then counts into the lock's digest.
        lock: the pdm.lock.
        packages: its packages.
        options: which groups and extras are wanted; to PDM, both are groups.

    Raises:
        LockError: there is no pyproject.toml beside the lock, or it isn't valid.
    """
    path = lock.parent / "pyproject.toml"
    if not path.exists():
        raise LockError(
            f"{files.display(lock)}: A lock without the strategy `inherit_metadata` needs the"
            f" pyproject.toml beside it, and {files.display(path)} does not exist.",
            hint="Bring it back, or make the lock again: `pdm lock -S inherit_metadata`.",
        )
    tables = Table(toml.load(files, path), files.display(path))
    groups = _groups(tables)
    check_known("extra", options.extras, groups, tables.place)
    check_known("group", options.groups, groups, tables.place)
    project = tables.table("project")
    wanted = [canonicalize_name(name) for name in (*options.extras, *options.groups)]
    texts = project.texts("dependencies") + [
        text for name in wanted for text in groups.get(name, ())
    ]
    itself = canonicalize_name(project.text("name", "")) or None
    return Graph(
        name=files.display(lock),
        roots=tuple(_roots(texts, groups, itself, tables.place)),
        nodes=tuple(_node(package) for package in packages),
    )


def read_sources(files: Files, lock: Path) -> tuple[Index, tuple[str, ...]]:
    """The indexes that the project beside a lock names, and its hosts without verified HTTPS.

    PDM takes them into the lock's `content_hash`: another index makes another lock. So reading them
    makes the pyproject.toml no part of the lock's digest.

    Raises:
        LockError: the pyproject.toml is there but not valid.
    """
    path = lock.parent / "pyproject.toml"
    content = files.peek(path)
    if content is None or b"tool.pdm" not in content:
        return Index(), ()
    name = files.display(path)
    tables = Table(toml.parse(content.decode("utf-8-sig", errors="replace"), name), name)
    url, extra, links, insecure = "", list[str](), list[str](), list[str]()
    for source in tables.table("tool").table("pdm").tables("source"):
        location = expand_variables(source.text("url"), source.place)
        if source.text("type", "index") == "find_links":
            links.append(location)
        elif source.text("name", "") == "pypi":
            url = location
        else:
            extra.append(location)
        if source.values.get("verify_ssl") is False:
            insecure.append(split_url(location, source.place).netloc.rpartition("@")[2])
    return Index(url=url, extra=tuple(extra), find_links=tuple(links)), tuple(insecure)


def _groups(tables: Table) -> dict[str, Sequence[str]]:
    """Extras and dependency groups by normalized name; groups that include others are resolved."""
    extras = tables.table("project").table("optional-dependencies")
    older = tables.table("tool").table("pdm").table("dev-dependencies")
    newer = tables.table("dependency-groups")
    found: dict[str, Sequence[str]] = {
        canonicalize_name(key): table.texts(key)
        for table in (extras, older)
        for key in table.values
    }
    for key in newer.values:
        try:
            found[canonicalize_name(key)] = resolve_dependency_groups(newer.values, key)
        except ExceptionGroup as errors:
            reason = str(errors.exceptions[0]).partition("\n")[0]
            raise LockError(
                f"{newer.place}: {key} is not a dependency group: {reason}.",
                hint="Correct it (PEP 735).",
            ) from errors
    return found


def _roots(
    texts: Iterable[str], groups: Mapping[str, Sequence[str]], itself: str | None, place: str
) -> Iterator[Edge]:
    """What a project depends on; where it names its own extras, what those depend on."""
    waiting, seen = list(texts), set[str]()
    while waiting:
        text = waiting.pop(0)
        if text in seen:
            continue
        seen.add(text)
        requirement = _requirement(text, place)
        if canonicalize_name(requirement.name) == itself:
            for extra in sorted(map(canonicalize_name, requirement.extras)):
                waiting += groups.get(extra, ())
            continue
        yield _edge(requirement)


def _node(package: Table) -> Node:
    """A package; one with extras is a package of its own to PDM."""
    return Node(
        name=_key(package.name(), package.texts("extras")),
        version=package.version("version", package.text("version")),
        place=package.place,
        edges=tuple(
            _edge(_requirement(text, package.place)) for text in package.texts("dependencies")
        ),
    )


def _edge(requirement: Requirement) -> Edge:
    plain = Edge.from_requirement(requirement)
    return Edge(
        name=_key(requirement.name, requirement.extras),
        versions=plain.versions,
        marker=plain.marker,
    )


def _requirement(text: str, place: str) -> Requirement:
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise LockError(
            f"{place}: {text!r} is not a requirement: {str(error).partition(chr(10))[0]}.",
            hint="Correct it (PEP 508).",
        ) from error


def _key(name: str, extras: Iterable[str]) -> str:
    shown = ",".join(sorted(map(canonicalize_name, extras)))
    return canonicalize_name(name) + (f"[{shown}]" if shown else "")
