"""Which packages of a lock are needed, for locks that only tell what depends on what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from venvctl.errors import SelectionError
from venvctl.lockfiles.entries import holds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from packaging.markers import Marker
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

# Each round settles at least one package for good; a lock that needs more turns in circles.
_ROUNDS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A dependency.

    Attributes:
        name: normalized.
        versions: alternatives of which one must hold; empty means any version.
        marker: when it applies; it may ask for an extra of the package that depends.
        extras: what it asks of the package that it depends on.
    """

    name: str
    versions: tuple[SpecifierSet, ...] = ()
    marker: Marker | None = None
    extras: frozenset[str] = frozenset()

    @classmethod
    def from_requirement(cls, requirement: Requirement) -> Edge:
        """A dependency as PEP 508 writes it."""
        return cls(
            name=canonicalize_name(requirement.name),
            versions=(requirement.specifier,) if requirement.specifier else (),
            marker=requirement.marker,
            extras=frozenset(map(canonicalize_name, requirement.extras)),
        )

    def allows(self, version: Version | None) -> bool:
        """Whether a version may be taken; one that is not known (of a commit) may."""
        return (
            version is None
            or not self.versions
            or any(each.contains(version, prereleases=True) for each in self.versions)
        )

    def applies(self, environment: Mapping[str, str], extras: frozenset[str]) -> bool:
        """Whether it is needed, for a package of which these extras are asked."""
        return self.marker is None or any(
            holds(self.marker, {**environment, "extra": extra}, f"dependency {self.name}")
            for extra in ("", *extras)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One package of a lock; `place` tells it from others of the same name."""

    name: str
    version: Version | None
    place: str
    edges: tuple[Edge, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """What depends on what.

    Attributes:
        name: what messages call the lock.
        roots: what the project itself depends on, with the extras and groups that are wanted.
        nodes: the packages of the lock.
    """

    name: str
    roots: tuple[Edge, ...]
    nodes: tuple[Node, ...]

    def reached(self, environment: Mapping[str, str]) -> frozenset[str]:
        """The places of the packages that are needed in an environment.

        Where a lock has several versions of a package, it is the highest that all dependencies
        allow which apply.

        Raises:
            SelectionError: a dependency that applies is not in the lock.
        """
        chosen: dict[str, Node] = {}
        for _ in range(_ROUNDS):
            wanted: dict[str, list[Edge]] = {}
            for edge in self._walk(chosen, environment):
                wanted.setdefault(edge.name, []).append(edge)
            found = {name: self._best(name, edges) for name, edges in wanted.items()}
            if found == chosen:
                return frozenset(node.place for node in chosen.values())
            chosen = found
        raise SelectionError(
            f"{self.name}: Versions can't be chosen: the dependencies contradict each other.",
            hint="Make the lock again with a newer version of its tool.",
        )

    def _walk(self, chosen: Mapping[str, Node], environment: Mapping[str, str]) -> Iterator[Edge]:
        """The edges that apply, from the roots through the packages chosen so far."""
        extras: dict[str, frozenset[str]] = {}
        waiting = [edge for edge in self.roots if edge.applies(environment, frozenset())]
        while waiting:
            edge = waiting.pop()
            yield edge
            known = extras.get(edge.name)
            node = chosen.get(edge.name)
            if known is not None and edge.extras <= known:
                continue
            extras[edge.name] = edge.extras | (known or frozenset())
            if node is not None:
                waiting += [
                    each for each in node.edges if each.applies(environment, extras[edge.name])
                ]

    def _best(self, name: str, edges: list[Edge]) -> Node:
        nodes = [
            node
            for node in self.nodes
            if node.name == name and all(edge.allows(node.version) for edge in edges)
        ]
        if not nodes:
            raise SelectionError(
                f"{self.name}: There is no {name} that all its dependencies allow.",
                hint="The lock and its pyproject.toml don't belong together; make the lock again.",
            )
        # A node without a version is a commit or a URL, and then the only one.
        return max(nodes, key=lambda node: (node.version is None, node.version or 0))
