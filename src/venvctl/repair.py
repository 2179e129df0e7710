"""Has damaged wheels fetched, damaged trees unpacked and damaged generations linked anew.

Nothing is written in place: what is wrong is set aside or replaced by one rename, so that a file
which other generations share, or a running process has mapped, is never half one thing and half
another. The caller is alone in the root.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from venvctl import bookkeeping, disk, fetch, generations, interpreters, trees, unpacking
from venvctl import settings as network
from venvctl.contents import SURPLUS, contents, link_target
from venvctl.errors import IntegrityError, UnavailableError
from venvctl.extraction import PREFIX
from venvctl.reconstruction import reconstruct
from venvctl.seal import Seal
from venvctl.selection import SelectedFile
from venvctl.store import file_digest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from venvctl.contents import Contents
    from venvctl.environments import Environment, Generation
    from venvctl.examination import Fault
    from venvctl.origin import Origin
    from venvctl.progress import Progress
    from venvctl.root import Root
    from venvctl.trees import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sealed:
    """A generation and what its seal says."""

    environment: Environment
    generation: Generation
    seal: Seal


def mend(faults: Sequence[Fault], root: Root, *, offline: bool, progress: Progress) -> None:
    """Repair what can be: records, then wheels, the trees made of them, then the generations.

    Args:
        faults: what an examination found.
        root: whose; the caller is alone in it.
        offline: fetch nothing.
        progress: warned of what can't be repaired, and why.

    Raises:
        EngineUnreachableError: trees are to be compiled anew, and no engine answers.
        DiskFullError, RootError: as `disk.translate`.
    """
    records = [(fault.environment, fault.finding) for fault in faults if fault.record]
    bookkeeping.mend(records, root, progress)
    sealed = list(_sealed(root))
    _mend_wheels(faults, sealed, root, offline=offline, progress=progress)
    damaged = {fault.tree for fault in faults if fault.tree}
    _mend_trees(damaged, sealed, root, progress)
    own = {fault.generation.path for fault in faults if fault.generation is not None}
    for item in sealed:
        if item.generation.path in own or any(
            package.tree in damaged for package in item.seal.packages
        ):
            _mend_generation(item, faults, damaged, root, progress)
    _mend_volumes(faults, root)
    _mend_snapshots(faults, sealed, root, progress)
    # They may lie on different file systems, which is slower and allowed.
    for path in {path.stat().st_dev: path for path in _written(root)}.values():
        disk.sync_filesystem(path)


def _written(root: Root) -> Iterator[Path]:
    yield root.path
    yield from (path for path in (root.path / "environments", root.store.trees) if path.is_dir())


def _sealed(root: Root) -> Iterator[_Sealed]:
    for environment in root.environments():
        for generation in environment.generations():
            try:
                seal = Seal.load(generation.path)
            except IntegrityError:
                continue  # nothing says what it should hold: `verify` names it
            yield _Sealed(environment=environment, generation=generation, seal=seal)


def _mend_wheels(
    faults: Sequence[Fault],
    sealed: Sequence[_Sealed],
    root: Root,
    *,
    offline: bool,
    progress: Progress,
) -> None:
    """Set damaged files aside, and fetch them and the missing ones from where they were had."""
    wanted = []
    for origin in {fault.wheel.sha256: fault.wheel for fault in faults if fault.wheel}.values():
        root.store.quarantine(origin.sha256)
        if not origin.name:
            continue  # nobody needs it: whoever comes to need it has it fetched
        if origin.source:
            progress.warn(
                f"{origin.file} was built here from source, so nobody else has it: what was made "
                "of it stays, and can't be restored any more."
            )
        else:
            wanted.append(_selected(origin))
    if not wanted:
        return
    registrations = [
        registration
        for name in sorted({item.environment.name for item in sealed})
        if (registration := root.registry.readable(name))
    ]
    mirrors = (index for each in registrations for index in each.specification.index)
    urls = [urlsplit(url) for file in wanted for url in file.urls]
    settings = fetch.FetchSettings(
        mirrors=tuple(dict.fromkeys(mirrors)),
        # Only an index that was named insecure on purpose comes into a snapshot.
        insecure_hosts=frozenset(url.netloc for url in urls if url.scheme == "http"),
        network=network.load(),
        offline=offline,
    )
    try:
        fetch.fetch(wanted, root.store, settings=settings, progress=progress)
    except (UnavailableError, IntegrityError) as error:
        progress.warn(error.message)


def _selected(origin: Origin) -> SelectedFile:
    return SelectedFile(
        name=origin.name,
        version=origin.version,
        file=origin.file,
        kind="wheel" if origin.file.endswith(".whl") else "sdist",
        sha256=origin.sha256,
        urls=(origin.url,) if origin.url else (),
    )


def _mend_trees(
    damaged: Collection[str], sealed: Sequence[_Sealed], root: Root, progress: Progress
) -> None:
    """Unpack damaged trees from their wheels again, those of one interpreter in one go."""
    groups: dict[tuple[str, bool], dict[str, tuple[_Sealed, str]]] = {}
    for item in sealed:
        for package in item.seal.packages:
            if package.tree in damaged:
                group = groups.setdefault((item.seal.target.fingerprint, package.bytecode), {})
                group[package.tree] = (item, package.origin.sha256)
    wanted = {name for group in groups.values() for name in group}
    for name in damaged:
        if name not in wanted:  # whoever comes to need it unpacks it
            trees.remove(root.store, name)
    for (_, bytecode), group in groups.items():
        item = next(iter(group.values()))[0]
        image = _image(item, root) if bytecode else ""
        if image is None:
            progress.warn(
                f"{len(group)} damaged trees stay: no image here has Python "
                f"{item.seal.target.version} ({item.seal.target.interpreter}) to compile them."
            )
            continue
        wheels = []
        for name, (_, digest) in group.items():
            path = root.store.wheel(digest)
            if path is None or file_digest(path) != digest:
                progress.warn(f"The damaged tree {name} stays: its wheel is not in the store.")
                continue
            trees.remove(root.store, name)
            wheels.append((digest, path))
        unpacking.ensure(
            root.store,
            wheels,
            item.seal.target,
            bytecode=bytecode,
            engine=root.engine,
            image=image,
            progress=progress,
        )


def _image(item: _Sealed, root: Root) -> str | None:
    registration = root.registry.readable(item.environment.name)
    candidates = [item.seal.image, *(registration.images.values() if registration else ())]
    python = registration.specification.python if registration else ""
    return interpreters.having(item.seal.target, candidates, root, python=python)


def _mend_generation(
    item: _Sealed,
    faults: Sequence[Fault],
    damaged: Collection[str],
    root: Root,
    progress: Progress,
) -> None:
    """Make a generation's directory what its seal and its trees say."""
    seal, top = item.seal, item.generation.path
    made = [
        trees.load(root.store, package.origin.sha256, seal.target, bytecode=package.bytecode)
        for package in seal.packages
    ]
    whole = [tree for tree in made if tree is not None]
    wanted = contents(seal, made)
    if not wanted.complete:
        return  # why was said where the tree could not be made
    own = [fault for fault in faults if fault.generation == item.generation]
    for fault in own:
        if fault.finding.reason == SURPLUS:
            root.store.set_aside(Path(fault.finding.path))
    for path in sorted(wanted.directories):
        _mend_directory(top / path, root)
    wrong = {fault.relative for fault in own}
    for path, (index, file) in wanted.linked.items():
        target = top / path
        if path in wrong or seal.packages[index].tree in damaged or not os.path.lexists(target):
            _mend_link(target, whole[index].path / PREFIX / path, root, executable=file.executable)
    _mend_generated(item, whole, wanted, root, progress)
    for path, leads_to in wanted.links.items():
        if link_target(str(top / path)) != leads_to:
            _make_way(top / path, root)
            disk.replace_symlink(top / path, leads_to)


def _mend_directory(path: Path, root: Root) -> None:
    if not path.is_dir() or path.is_symlink():
        root.store.set_aside(path)
        path.mkdir()
    if stat.S_IMODE(path.stat().st_mode) != 0o755:  # noqa: PLR2004 - as `generations` makes them
        path.chmod(0o755)


def _mend_link(target: Path, source: Path, root: Root, *, executable: bool) -> None:
    """Replace a file by a link of the tree's, or by a copy where it can't be linked."""
    if target.exists() and target.samefile(source) and not target.is_symlink():
        return
    _make_way(target, root)
    if not disk.replace_link(target, source):
        disk.write_file(target, source.read_bytes(), mode=0o755 if executable else 0o644)


def _mend_generated(
    item: _Sealed, made: Sequence[Tree], wanted: Contents, root: Root, progress: Progress
) -> None:
    """Write again what was generated, if this venvctl still writes the same."""
    seal = item.seal
    texts = generations.generated(
        made,
        mount=seal.mount,
        place=generations.place(seal.mount, item.generation.name),
        target=seal.target,
    )
    for path, (digest, executable) in wanted.generated.items():
        target = item.generation.path / path
        mode = 0o755 if executable else 0o644
        if not digest:  # the seal itself, which was just read
            target.chmod(mode)
            continue
        if _is(target, digest, mode):
            continue
        data, _ = texts.get(path, (b"", False))
        if sha256(data).hexdigest() != digest:
            progress.warn(
                f"{target} can't be written again: {seal.created_by} wrote another one. "
                f"`venvctl restore {item.environment.name}` makes a new generation."
            )
            continue
        _make_way(target, root)
        disk.write_file(target, data, mode=mode)


def _is(path: Path, digest: str, mode: int) -> bool:
    try:
        state = path.lstat()
        regular = stat.S_ISREG(state.st_mode) and stat.S_IMODE(state.st_mode) == mode
        return regular and file_digest(path) == digest
    except OSError:
        return False


def _mend_volumes(faults: Sequence[Fault], root: Root) -> None:
    """Put right what lies in the root of a volume; `current` is never guessed."""
    for fault in faults:
        path = Path(fault.finding.path)
        if not fault.environment or fault.generation is not None:
            continue
        if path.parent != root.environment(fault.environment).volume:
            continue
        if fault.finding.reason == SURPLUS:
            root.store.set_aside(path)
        elif fault.finding.expected:
            _make_way(path, root)
            disk.replace_symlink(path, fault.finding.expected)


def _mend_snapshots(
    faults: Sequence[Fault], sealed: Sequence[_Sealed], root: Root, progress: Progress
) -> None:
    damaged = {Path(fault.finding.path) for fault in faults}
    seals = [(item.environment, item.generation, item.seal) for item in sealed]
    for path in sorted(path for path in damaged if path.parent == root.path / "snapshots"):
        if not reconstruct(path.name, seals, root):
            progress.warn(
                f"No generation is left whose seal says what is in snapshot {path.name}: if it is "
                f"not needed, `venvctl snapshot rm {path.name}`; it can be imported again."
            )


def _make_way(path: Path, root: Root) -> None:
    """A rename replaces files and links, but no directory."""
    if path.is_dir() and not path.is_symlink():
        root.store.set_aside(path)
