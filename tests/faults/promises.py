"""What always holds (docs/design.md, section 6), checked without asking the code that keeps it."""

from __future__ import annotations

import base64
import csv
import fcntl
import hashlib
import io
import json
import os
import re
import zipfile
from typing import TYPE_CHECKING

from venvctl.engine.model import LABEL_HELPER, LABEL_ROOT
from venvctl.errors import VenvctlError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from world import World

# Image → what it calls its library, once it was asked.
_PYTHONS: dict[str, str] = {}
_GENERATION = re.compile(r"generations/([0-9]+)-[0-9a-f]{32}")
# What `disk` calls a file that has not got its name yet.
_UNNAMED = re.compile(r"\..*[0-9a-f]{12}")


def broken_at_rest(world: World, allowed: Sequence[int], *, engine: bool = True) -> list[str]:
    """What is broken at this moment, whoever was killed: promises 1, 2, 3, 4, 6 and 8.

    Args:
        world: with the root and the environment.
        allowed: numbers that the current generation may have; 0 for none at all.
        engine: whether it can be asked; who runs on what is not known without.
    """
    return [
        *_current(world, allowed),
        *(_interpreters(world) if engine else ()),
        *_generations(world),
        *_store(world.root.path),
        *_locks(world.root.path),
        *_snapshots(world),
    ]


def left_over(world: World) -> list[str]:
    """What a recovery should have removed: temporaries, anywhere, and helper containers."""
    root = world.root.path
    found = [f"{path} is left in tmp" for path in (root / "tmp").glob("*")]
    found += [
        f"{path} is left without a name"
        for path in _walk(root)
        # What a killed repair left within a generation is set aside by the next one.
        if _UNNAMED.fullmatch(path.name) and path.parent.name != "quarantine"
    ]
    return found + [
        f"helper container {name} is left"
        for name in helpers(world)
        # The engine may have made it after the recovery: the next one has to know of it.
        if not (root / "helpers" / name).exists()
    ]


def helpers(world: World) -> list[str]:
    """The names of the root's helper containers."""
    return world.docker(
        "ps", "--all", "--format", "{{.Names}}",
        "--filter", f"label={LABEL_ROOT}={world.root.path}", "--filter", f"label={LABEL_HELPER}",
    ).split()  # fmt: skip


def unharmed(world: World, number: int) -> list[str]:
    """What is not as it should be after a fault, where nobody is at work any more.

    Args:
        world: with the root and the environment.
        number: of the generation that is to be current.
    """
    return [*broken_at_rest(world, (number,)), *left_over(world), *restorable(world)]


def restorable(world: World) -> list[str]:
    """Promise 6, and that the latest snapshot of the environment is the current generation's."""
    current = world.environment.current()
    if current is None:
        return []
    had = world.root.snapshots.of(world.name)
    if not had or had[-1].key != current.key:
        latest = had[-1].key if had else "none"
        return [f"the latest snapshot is {latest}, and current is {current.name}"]
    missing = world.root.store.missing(had[-1].files)
    return [f"the store lacks {file.file}" for file in missing]


def picture(root: Path) -> dict[str, tuple[int, int, int]]:
    """Every file below a root → inode, time of change, size: equal pictures mean no change."""
    return {
        str(path.relative_to(root)): (state.st_ino, state.st_mtime_ns, state.st_size)
        for path in _walk(root)
        if path.name not in {"lock", "writer", ".lock"}
        and root / "tmp" != path
        # A note goes when a late helper container does.
        and root / "helpers" not in path.parents
        for state in (path.lstat(),)
        if not path.is_dir() or path.is_symlink()
    }


def _current(world: World, allowed: Sequence[int]) -> Iterator[str]:
    link = world.environment.volume / ".venvctl/current"
    if not link.is_symlink():
        if 0 not in allowed:
            yield "there is no current generation"
        return
    match = _GENERATION.fullmatch(str(link.readlink()))
    if match is None or int(match[1]) not in allowed:
        yield f"current is {link.readlink()!s}, and should be one of {list(allowed)}"
    if not (link / "seal.json").is_file():
        yield f"current is {link.readlink()!s}, which is not sealed"


def _interpreters(world: World) -> Iterator[str]:
    """No container runs on a generation of another interpreter than its own image's."""
    link = world.environment.volume / ".venvctl/current"
    made = next((path.name for path in link.glob("lib/python*")), "")
    holders = world.docker(
        "ps", "--filter", f"volume={world.name}", "--format", "{{.Image}} {{.Names}}"
    )
    for image, name in map(str.split, holders.splitlines() if made else ()):
        if image not in _PYTHONS:
            code = "import sys; print('python%d.%d' % sys.version_info[:2])"
            _PYTHONS[image] = world.docker("run", "--rm", image, "python3", "-c", code)
        if _PYTHONS[image] != made:
            yield f"{name} has {_PYTHONS[image]}, and current is for {made}"


def _generations(world: World) -> Iterator[str]:
    """Whatever has a generation's name holds what the RECORDs of its wheels and its seal say."""
    generations = world.environment.volume / ".venvctl/generations"
    for path in generations.iterdir() if generations.is_dir() else ():
        if path.name.startswith("."):
            yield f"{path} is no generation"
            continue
        try:
            seal = json.loads((path / "seal.json").read_bytes())
        except (OSError, ValueError) as error:
            yield f"{path} has no seal: {error}"
            continue
        site_packages = next(path.glob("lib/python*/site-packages"), path)
        for package in seal["packages"]:
            wheel = world.root.store.wheel(package["sha256"])
            if wheel is None:
                yield f"{package['file']} of {path.name} is not in the store"
                continue
            for name, digest in _record(wheel):
                if _digest(site_packages / name) != digest:
                    yield f"{path.name}: {name} is not what RECORD of {wheel.name} says"
        for name, digest in seal["generated"].items():
            if _digest(path / name) != digest:
                yield f"{path.name}: {name} is not what the seal says"


def _record(wheel: Path) -> Iterator[tuple[str, str]]:
    with zipfile.ZipFile(wheel) as archive:
        record = next(name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
        for name, hash_, _ in csv.reader(io.StringIO(archive.read(record).decode())):
            if hash_:
                digest = hash_.partition("=")[2]
                yield name, base64.urlsafe_b64decode(digest + "=" * (-len(digest) % 4)).hex()


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return "missing"


def _store(root: Path) -> Iterator[str]:
    for path in root.glob("store/wheels/*/*/*"):
        if _digest(path) != path.parent.name or not path.parent.name.startswith(
            path.parent.parent.name
        ):
            yield f"{path} has the SHA-256 {_digest(path)}"
    for manifest in root.glob("store/trees/*.json"):
        tree = manifest.with_suffix("")
        if tree.is_dir():
            yield from _tree(tree)


def _tree(tree: Path) -> Iterator[str]:
    wheel = next(tree.parent.parent.glob(f"wheels/*/{tree.name.partition('-')[0]}/*"), None)
    if wheel is None:
        yield f"the tree {tree.name} has no wheel"
        return
    site_packages = next((tree / "prefix").glob("lib/python*/site-packages"), tree)
    for name, digest in _record(wheel):
        if _digest(site_packages / name) != digest:
            yield f"tree {tree.name}: {name} is not what RECORD says"


def _locks(root: Path) -> Iterator[str]:
    """A crashed writer's lock is free at once."""
    locks = [root / "lock", *root.glob("environments/*/lock"), root / "store/trees/.lock"]
    for path in locks:
        if path.exists():
            with path.open("rb") as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    yield f"{path} is still held"


def _snapshots(world: World) -> Iterator[str]:
    """A snapshot that exists can be restored: whatever it names is in the store."""
    for key in world.root.snapshots.keys():  # noqa: SIM118 - not a mapping
        try:
            snapshot = world.root.snapshots.load(key)
        except VenvctlError as error:
            yield error.message
            continue
        for file in world.root.store.missing(snapshot.files):
            yield f"snapshot {key} names {file.file}, which the store lacks"


def _walk(directory: Path) -> Iterator[Path]:
    for entry in os.scandir(directory):
        path = directory / entry.name
        yield path
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(path)
