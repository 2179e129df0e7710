"""Looks at wheels, trees and generations, and says what is not as it was made; writes nothing."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from venvctl import bookkeeping, checksums, generations, proof, trees
from venvctl.checksums import MISSING, Check, Checker, Finding
from venvctl.contents import MISLEADING, SURPLUS, compare, contents, link_target
from venvctl.errors import IntegrityError, VenvctlError
from venvctl.extraction import PREFIX, SCRIPTS
from venvctl.generations import SEAL
from venvctl.manifest import uncollected
from venvctl.mounts import lists_inodes
from venvctl.origin import Origin
from venvctl.parcel import Parcel
from venvctl.seal import Seal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from venvctl.arrangement import Arrangement
    from venvctl.environments import Environment, Generation
    from venvctl.progress import Progress
    from venvctl.root import Root
    from venvctl.seal import SealedPackage
    from venvctl.target import Target
    from venvctl.trees import Tree

_SHA256_DIGITS = 64
_DANGLING = "names no complete generation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong, and what it belongs to.

    Attributes:
        finding: the path, and what is wrong with it.
        relative: that path below the generation, or below the tree's prefix; else empty.
        environment: whose it is; empty in the store.
        generation: whose it is; None in the store, and for the volume's own links.
        tree: name of the tree that is damaged.
        wheel: the wheel or source archive that is missing or damaged; its name is empty where
            nothing says what it is.
        record: whether it is one of the small files that `bookkeeping` looks at.
    """

    finding: Finding
    relative: str = ""
    environment: str = ""
    generation: Generation | None = None
    tree: str = ""
    wheel: Origin | None = None
    record: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What was found.

    Attributes:
        generations: how many were looked at. files, bytes: that were hashed.
        faults: those of generations first, then those of trees, then those of wheels.
    """

    generations: int
    files: int
    bytes: int
    faults: tuple[Fault, ...]


def examine(
    environments: Sequence[Environment], root: Root, progress: Progress, *, whole: bool = False
) -> Examination:
    """Look at every generation of some environments, and at what they were made of.

    Args:
        environments: which.
        root: whose.
        whole: look at the trees and wheels that none of them has, too.
        progress: told of bytes.

    Returns:
        What was found; what can't be read is a fault too, and no exception.
    """
    checker = Checker(progress, listings=lists_inodes(os.path.realpath(root.path)))
    examiner = _Examiner(root, progress, checker)
    for environment in environments:
        examiner.environment(environment)
    examiner.trees(whole=whole)
    examiner.wheels({environment.name for environment in environments}, whole=whole)
    examiner.records(environments)
    return Examination(
        generations=examiner.generations,
        files=examiner.checker.files,
        bytes=examiner.checker.size,
        faults=tuple(examiner.faults),
    )


def _unknown(sha256: str, file: str) -> Origin:
    """A file of the store of which nothing says where it came from."""
    return Origin(name="", version="", file=file, sha256=sha256)


@dataclass(slots=True)
class _Examiner:
    root: Root
    progress: Progress
    checker: Checker
    faults: list[Fault] = field(default_factory=list)
    generations: int = 0
    # What the generations that were looked at are made of: trees with the name of the
    # interpreter's library, the names of those that are lost, and wheels by their hash.
    _trees: dict[str, tuple[Tree, str]] = field(default_factory=dict)
    _lost: set[str] = field(default_factory=set)
    _origins: dict[str, Origin] = field(default_factory=dict)
    # What the volume's root needs a link to, by the path of the generation.
    _tops: dict[Path, list[str]] = field(default_factory=dict)

    def environment(self, environment: Environment) -> None:
        """Look at every generation, and at the links that lead to the current one."""
        for generation in environment.generations():
            before = len(self.faults)
            with uncollected():
                self._generation(environment, generation)
            if not generation.path.exists():
                # A collection removed it meanwhile.
                self._lost -= {fault.tree for fault in self.faults[before:]}
                del self.faults[before:]
        folder = environment.generations_directory
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.exists() and not (path / SEAL).exists():
                finding = Finding(str(path), "is no complete generation: it has no seal")
                self.faults.append(Fault(finding=finding, environment=environment.name))
        self._volume(environment)

    def trees(self, *, whole: bool) -> None:
        """Look at the trees that those generations were linked from, or at all."""
        known = {name: tree for name, (tree, _) in self._trees.items()}
        others = trees.iterate(self.root.store) if whole else ()
        for name in (path.name for path in others):
            if name in known or name in self._lost:
                continue
            if (found := trees.named(self.root.store, name)) is not None:
                known[name] = found
            else:
                self._lose(name)
        total = sum(tree.manifest.size for tree in known.values())
        self.progress.stage("checking trees", total=total, unit="bytes")
        for name, tree in known.items():
            manifest = tree.manifest
            top = f"{tree.path}/{PREFIX}/"
            checks = [
                *(
                    Check(top + file.path, file.sha256, file.executable)
                    for file in (*manifest.files, *manifest.bytecode)
                ),
                *(
                    Check(f"{tree.path}/{SCRIPTS}/{file.path}", file.sha256, file.executable)
                    for file in manifest.raw_scripts
                ),
            ]
            for finding in self.checker.check(checks):
                relative = finding.path.removeprefix(top) if finding.path.startswith(top) else ""
                self.faults.append(Fault(finding=finding, relative=relative, tree=name))

    def wheels(self, environments: set[str], *, whole: bool) -> None:
        """Look at the wheels of those generations, of the environments' snapshots, or at all."""
        self._snapshots(environments, whole=whole)
        store = self.root.store
        wanted = {**self._origins, **self._sources()}
        if whole:
            for each in store.iterate():
                wanted.setdefault(each.sha256, _unknown(each.sha256, each.path.name))
            for folder in sorted(store.hollow()):
                if folder.name not in wanted:
                    finding = Finding(str(folder), "is empty")
                    self.faults.append(Fault(finding=finding, wheel=_unknown(folder.name, "")))
        there = {sha256: path for sha256 in wanted if (path := store.wheel(sha256))}
        for sha256 in sorted(wanted.keys() - there.keys()):
            path = store.wheels / sha256[:2] / sha256 / wanted[sha256].file
            finding = Finding(str(path), MISSING, sha256)
            self.faults.append(Fault(finding=finding, wheel=wanted[sha256]))
        total = sum(path.stat().st_size for path in there.values())
        self.progress.stage("checking wheels", total=total, unit="bytes")
        hashes = {str(path): sha256 for sha256, path in there.items()}
        damaged = set()
        checks = [Check(path, sha256, False) for path, sha256 in hashes.items()]  # noqa: FBT003 - a row
        for finding in self.checker.check(checks):
            sha256 = hashes[finding.path]
            # A wheel is only read, by its owner: its mode is nobody's matter.
            if finding.reason != checksums.OTHER_MODE:
                damaged.add(sha256)
                self.faults.append(Fault(finding=finding, wheel=wanted[sha256]))
        self._manifests({sha256: there[sha256] for sha256 in there.keys() - damaged})

    def _manifests(self, proven: Mapping[str, Path]) -> None:
        """Compare manifests with the wheels of their trees, whose hashes are right."""
        for name, (tree, library) in self._trees.items():
            wheel = proven.get(name[:_SHA256_DIGITS])
            found = wheel and proof.of_manifest(tree, wheel, library=library)
            if found:
                about = "" if found.path == str(wheel) else name
                self.faults.append(Fault(finding=found, tree=about))

    def records(self, environments: Sequence[Environment]) -> None:
        """Look at what is written down of those environments, and of the root."""
        for name, finding in bookkeeping.examine(environments, self.root):
            self.faults.append(Fault(finding=finding, environment=name, record=True))

    def _lose(self, name: str) -> None:
        self._lost.add(name)
        path = self.root.store.trees / name
        finding = Finding(str(path), "is missing, or its manifest can't be read")
        self.faults.append(Fault(finding=finding, tree=name))

    def _generation(self, environment: Environment, generation: Generation) -> None:
        self.generations += 1
        snapshots = self.root.snapshots
        if generation.key not in snapshots and not snapshots.path(generation.key).exists():
            finding = Finding(str(snapshots.path(generation.key)), MISSING)
            self.faults.append(Fault(finding=finding))
        try:
            seal = Seal.load(generation.path)
        except IntegrityError as error:
            finding = Finding(
                str(generation.path / SEAL), f"can't be used: {error.__cause__ or error}"
            )
            self._own(environment, generation, finding)
            return
        self._origins.update({each.origin.sha256: each.origin for each in seal.packages})
        made = [self._tree(package, seal.target) for package in seal.packages]
        wanted = contents(seal, made)
        self.progress.stage(
            f"checking generation {generation.number} of {environment.name}",
            total=sum(tree.manifest.size for tree in made if tree),
            unit="bytes",
        )
        self._seal(environment, generation, seal, made, wanted.arrangement)
        self._tops[generation.path] = wanted.tops
        found, checks = compare(generation.path, wanted, self.checker)
        for finding in self.checker.check(checks):
            # Of a directory that is missing, its files need no mention.
            if finding.reason != MISSING or os.path.isdir(os.path.dirname(finding.path)):  # noqa: PTH112, PTH120 - Path takes longer
                self._own(environment, generation, finding)
        for finding in found:
            self._own(environment, generation, finding)

    def _seal(
        self,
        environment: Environment,
        generation: Generation,
        seal: Seal,
        made: Sequence[Tree | None],
        arrangement: Arrangement,
    ) -> None:
        """Compare the seal itself with what it was written from: the snapshot, and the trees."""
        path = str(generation.path / SEAL)
        if seal.key in self.root.snapshots:
            try:
                snapshot = self.root.snapshots.load(seal.key)
            except VenvctlError:
                snapshot = None  # said where snapshots are looked at
            if snapshot is not None and (stray := proof.contradiction(seal, snapshot)):
                reason = f"does not say of {stray} what its snapshot says"
                self._own(environment, generation, Finding(path, reason))
        # Another version may have written them otherwise.
        if seal.created_by != generations.CREATED_BY or None in made:
            return
        written = generations.generated(
            [tree for tree in made if tree is not None],
            mount=seal.mount,
            place=generations.place(seal.mount, generation.name),
            target=seal.target,
            arrangement=arrangement,
        )
        for name, (data, _) in written.items():
            digest = hashlib.sha256(data).hexdigest()
            if (found := seal.generated.get(name, "")) != digest:
                reason = f"does not say of {name} what its wheels say"
                self._own(environment, generation, Finding(path, reason, digest, found))

    def _tree(self, package: SealedPackage, target: Target) -> Tree | None:
        """The tree of a package, which many generations may share: it is read once."""
        name = package.tree
        if name in self._trees:
            return self._trees[name][0]
        if name in self._lost:
            return None
        tree = trees.load(self.root.store, package.origin.sha256, target, bytecode=package.bytecode)
        if tree is not None:
            self._trees[name] = (tree, target.library)
        else:
            self._lose(name)
        return tree

    def _volume(self, environment: Environment) -> None:
        """Look at what a container's processes go through first."""
        link = environment.generations_directory.parent / "current"
        known = environment.state().volume_inode
        if known and environment.volume.is_dir() and environment.volume.stat().st_ino != known:
            finding = Finding(
                str(environment.volume),
                "is another directory than the engine was given: running containers don't see it",
            )
            self._own(environment, None, finding)
        try:
            current = environment.current()
        except IntegrityError:
            leads_to = link_target(str(link))
            self._own(environment, None, Finding(str(link), _DANGLING, found=leads_to))
            return
        if current is None:
            if environment.state().volume_inode:
                self._own(environment, None, Finding(str(link), MISSING))
            return
        for name in self._tops.get(current.path, ()):
            path = str(environment.volume / name)
            wanted = f".venvctl/current/{name}"
            if (found := link_target(path)) != wanted:
                reason = MISLEADING if found else "is missing, or no link"
                self._own(environment, None, Finding(path, reason, wanted, found))
        for entry in os.scandir(environment.volume):
            if not entry.is_symlink() and entry.name != link.parent.name:
                self._own(environment, None, Finding(entry.path, SURPLUS))

    def _snapshots(self, environments: set[str], *, whole: bool) -> None:
        snapshots = self.root.snapshots
        for key, lost in snapshots.halves().items():
            finding = Finding(str(snapshots.path(key)), f"has lost its {lost}")
            self.faults.append(Fault(finding=finding))
        for key in snapshots.keys():  # noqa: SIM118 - a store of snapshots is no dict
            try:
                snapshot = snapshots.load(key)
            except IntegrityError as error:
                finding = Finding(
                    str(snapshots.path(key)), f"can't be read: {error.__cause__ or error}"
                )
                self.faults.append(Fault(finding=finding))
                continue
            if whole or environments & snapshot.environments.keys():
                self._origins.update({origin.sha256: origin for origin in snapshot.files})
                try:
                    Parcel.of(snapshot, [0] * len(snapshot.files))
                except IntegrityError:
                    finding = Finding(str(snapshots.path(key)), "is not what its key says")
                    self.faults.append(Fault(finding=finding))

    def _sources(self) -> Mapping[str, Origin]:
        """The source archives that wheels were built of, as far as they are kept."""
        found = {}
        for origin in self._origins.values():
            # Of a commit there is none, and `source` is the commit.
            if len(origin.source) == _SHA256_DIGITS and (
                path := self.root.store.wheel(origin.source)
            ):
                found[origin.source] = Origin(
                    name=origin.name,
                    version=origin.version,
                    file=path.name,
                    sha256=origin.source,
                    url=origin.url,
                )
        return found

    def _own(
        self, environment: Environment, generation: Generation | None, finding: Finding
    ) -> None:
        relative = finding.path.removeprefix(f"{generation.path}/") if generation else ""
        self.faults.append(
            Fault(
                finding=finding,
                relative=relative,
                environment=environment.name,
                generation=generation,
            )
        )
