"""What environments take on disk: what one holds alone, and what it shares through hard links.

A generation is linked from trees, so that a tree's files are there once however many generations
have them. Their sizes stand in the manifests, and are rounded up to whole blocks as the disk does:
no file of a tree is looked at, as there may be fifty thousand.
"""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from venvctl import trees
from venvctl.errors import IntegrityError
from venvctl.generations import SEAL, own_directories
from venvctl.seal import Seal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from venvctl.environments import Environment, Generation
    from venvctl.root import Root
    from venvctl.seal import SealedPackage

_BLOCK = 512  # bytes of what st_blocks counts (POSIX)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationUsage:
    """What one generation takes, in bytes on disk.

    Attributes:
        number: its number.
        alone: its directories, the files written for it, and the trees no other generation has.
        shared: the trees that other generations have too.
    """

    number: int
    alone: int
    shared: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentUsage:
    """What all generations of one environment take together, in bytes on disk, each file once.

    Attributes:
        environment: its name.
        alone: what no other environment has; removed with it, after a collection.
        shared: trees that generations of other environments have too.
        generations: each of them, oldest first; they share most with one another.
    """

    environment: str
    alone: int
    shared: int
    generations: tuple[GenerationUsage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RootUsage:
    """What is kept of a whole root, in bytes on disk, each file once.

    Attributes:
        environments, generations: how many there are.
        alone: what one generation has and no other. shared: trees that more than one has.
        wheels: of the store.
    """

    environments: int
    generations: int
    alone: int
    shared: int
    wheels: int


@dataclass(frozen=True, slots=True)
class _Linked:
    """A generation, the package of each tree that it was linked from, and what it has of its own.

    Attributes:
        own: bytes of the files that were written for it.
        directory: bytes of a directory of it; file systems differ in that.
    """

    generation: Generation
    packages: Mapping[str, SealedPackage]
    seal: Seal
    own: int
    directory: int


@dataclass(frozen=True, slots=True)
class _Tree:
    """A tree: the bytes of its files on disk, and its directories; nothing of one that is lost."""

    size: int
    directories: tuple[str, ...]


class Census:
    """Who has what in one root, as it is when this is made; a seal that can't be read is left out.

    Args:
        root: where.
        without: generations that do not count, as they are about to go.
    """

    def __init__(self, root: Root, *, without: Iterable[Generation] = ()) -> None:
        self._root = root
        self._gone = set(without)
        self._linked: dict[str, list[_Linked]] = {}
        self._users: dict[str, set[tuple[str, int]]] = defaultdict(set)
        self._trees: dict[str, _Tree] = {}
        self._unit = os.statvfs(root.path).f_frsize
        for environment in root.environments():
            self._linked[environment.name] = self._read(environment)
            for linked in self._linked[environment.name]:
                for tree in linked.packages:
                    self._users[tree].add((environment.name, linked.generation.number))

    def environment(self, name: str) -> EnvironmentUsage:
        """What one environment takes; nothing if it has no generation."""
        linked = self._linked.get(name, [])
        mine = {tree: each for each in linked for tree in each.packages}
        ours = {tree for tree in mine if {user for user, _ in self._users[tree]} == {name}}
        alone = sum(self._size(tree, mine[tree]) for tree in ours)
        return EnvironmentUsage(
            environment=name,
            alone=alone + sum(map(self._owned, linked)),
            shared=sum(self._size(tree, mine[tree]) for tree in mine.keys() - ours),
            generations=tuple(
                GenerationUsage(
                    number=each.generation.number,
                    alone=self._owned(each)
                    + sum(self._size(tree, each) for tree in each.packages if self._single(tree)),
                    shared=sum(
                        self._size(tree, each) for tree in each.packages if not self._single(tree)
                    ),
                )
                for each in linked
            ),
        )

    def whole(self, *, wheels: Sequence[int]) -> RootUsage:
        """What all of them take.

        Args:
            wheels: size of each wheel in the store.
        """
        every = [each for linked in self._linked.values() for each in linked]
        mine = {tree: each for each in every for tree in each.packages}
        single = {tree for tree in mine if self._single(tree)}
        alone = sum(self._size(tree, mine[tree]) for tree in single)
        return RootUsage(
            environments=len(self._linked),
            generations=len(every),
            alone=alone + sum(map(self._owned, every)),
            shared=sum(self._size(tree, mine[tree]) for tree in mine.keys() - single),
            wheels=sum(map(self._rounded, wheels)),
        )

    def _read(self, environment: Environment) -> list[_Linked]:
        found = []
        for generation in environment.generations():
            if generation in self._gone:
                continue
            with suppress(IntegrityError):
                seal = Seal.load(generation.path)
                packages = {package.tree: package for package in seal.packages}
                written = sum(
                    _allocated(f"{generation.path}/{path}") for path in (*seal.generated, SEAL)
                )
                found.append(
                    _Linked(generation, packages, seal, written, _allocated(str(generation.path)))
                )
        return found

    def _single(self, tree: str) -> bool:
        return len(self._users[tree]) == 1

    def _owned(self, linked: _Linked) -> int:
        """Files that were written for a generation, and its directories."""
        directories = {
            *own_directories(linked.seal.target),
            *(
                path
                for tree in linked.packages
                for path in self._read_tree(tree, linked).directories
            ),
        }
        # And the one that they all are in.
        return linked.own + (len(directories) + 1) * linked.directory

    def _size(self, tree: str, linked: _Linked) -> int:
        return self._read_tree(tree, linked).size

    def _read_tree(self, name: str, linked: _Linked) -> _Tree:
        if name not in self._trees:
            package = linked.packages[name]
            loaded = trees.load(
                self._root.store,
                package.origin.sha256,
                linked.seal.target,
                bytecode=package.bytecode,
            )
            self._trees[name] = _Tree(0, ())
            if loaded is not None:
                manifest = loaded.manifest
                files = (*manifest.files, *manifest.bytecode)
                size = sum(self._rounded(file.size) for file in files)
                self._trees[name] = _Tree(size, manifest.directories)
        return self._trees[name]

    def _rounded(self, size: int) -> int:
        """What a file of that size takes: whole blocks."""
        return -(-size // self._unit) * self._unit


def _allocated(path: str) -> int:
    with suppress(OSError):
        return os.lstat(path).st_blocks * _BLOCK
    return 0
