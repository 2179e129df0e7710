"""Which file of which wheel an environment has at each path, and where wheels contradict (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from venvctl.errors import FileConflictError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from venvctl.manifest import Manifest, ManifestFile
    from venvctl.trees import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """One path that two wheels own with different content.

    Attributes:
        path: relative to the prefix.
        winner: distribution whose file is there. loser: the one whose file is not.
    """

    path: str
    winner: str
    loser: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """Which file of which tree goes where.

    Attributes:
        directories: relative to the prefix, parents first.
        links: path → (index of the tree, its file), in the order of the trees.
        scripts: path of a script that is written for each generation → index of its tree.
        conflicts: in the order they were found.
    """

    directories: tuple[str, ...]
    links: Mapping[str, tuple[int, ManifestFile]]
    scripts: Mapping[str, int]
    conflicts: tuple[Conflict, ...]


@dataclass(slots=True)
class _Ownership:
    """What the trees so far have; each path is in one of the first two at most."""

    names: list[str]
    links: dict[str, tuple[int, ManifestFile]] = field(default_factory=dict)
    # With what the script is made of, which says whether two are the same.
    scripts: dict[str, tuple[int, object]] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)

    def lose(self, path: str, before: int, index: int) -> None:
        """The later tree wins."""
        conflict = Conflict(path=path, winner=self.names[index], loser=self.names[before])
        self.conflicts.append(conflict)


def arrange(trees: Sequence[Tree]) -> Arrangement:
    """Decide which file goes where; later trees win over earlier ones.

    Args:
        trees: in name order, which is the fixed rule that finds the winner of a conflict.

    Raises:
        FileConflictError: one wheel has a file where another has a directory.
    """
    state = _Ownership([tree.manifest.name for tree in trees])
    directories: dict[str, None] = {}
    for index, tree in enumerate(trees):
        manifest = tree.manifest
        directories.update(dict.fromkeys(manifest.directories))
        links = state.links
        for file in manifest.files:
            if file.path in links or file.path in state.scripts:
                _overrule(state, index, file)
            links[file.path] = (index, file)
        for file in manifest.bytecode:
            links[file.path] = (index, file)
        for path, content in _scripts(manifest):
            _place_script(state, index, path, content)
    _check_directories(trees, directories.keys(), state)
    return Arrangement(
        directories=tuple(sorted(directories)),
        links=state.links,
        scripts={path: index for path, (index, _) in state.scripts.items()},
        conflicts=tuple(state.conflicts),
    )


def _scripts(manifest: Manifest) -> Iterator[tuple[str, object]]:
    """The path of each script that depends on the mount, and what it is made of."""
    for point in manifest.entry_points:
        yield f"bin/{point.name}", (point.module, point.attribute)
    for script in manifest.raw_scripts:
        yield f"bin/{script.path}", script.sha256


def _place_script(state: _Ownership, index: int, path: str, content: object) -> None:
    if path in state.links:
        before, _ = state.links.pop(path)
        state.lose(path, before, index)
    before, known = state.scripts.get(path, (index, content))
    # One wheel may have it twice, as console and as gui script: it is the same file.
    if known != content and before != index:
        state.lose(path, before, index)
    state.scripts[path] = (index, content)


def _overrule(state: _Ownership, index: int, file: ManifestFile) -> None:
    """Note a conflict, and drop the loser's bytecode: it would be taken for the winner's."""
    if file.path in state.scripts:
        before, _ = state.scripts.pop(file.path)
        state.lose(file.path, before, index)
        return
    before, other = state.links[file.path]
    if other.sha256 == file.sha256:
        return
    state.lose(file.path, before, index)
    if file.path.endswith(".py"):
        folder, _, name = file.path.rpartition("/")
        stem = f"{folder}/__pycache__/{name.removesuffix('.py')}."
        for stale in [path for path in state.links if path.startswith(stem)]:
            del state.links[stale]


def _check_directories(
    trees: Sequence[Tree], directories: AbstractSet[str], state: _Ownership
) -> None:
    for path in sorted((directories & state.links.keys()) | (directories & state.scripts.keys())):
        index, _ = state.links.get(path) or state.scripts[path]
        owner = trees[index].manifest.name
        other = next(tree.manifest.name for tree in trees if path in tree.manifest.directories)
        raise FileConflictError(
            f"{owner} has a file where {other} has a directory: {path}.",
            hint=f"One of {owner} and {other} has to leave the lock: no environment can hold both.",
        )
