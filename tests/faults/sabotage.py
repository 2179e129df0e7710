"""Ways to break venvctl on purpose, each of which the harness has to notice.

A check that can't fail says nothing: `tests/faults/test_harness.py` has a child break itself in one
of these ways, kills it, and wants to see which promise the harness misses then.
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

from venvctl import archives, changeover, collection, disk, interpreters, rollout, store
from venvctl.environments import Environment
from venvctl.unpacking import Unpacking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from venvctl.collection import Garbage
    from venvctl.engine.model import Container
    from venvctl.environments import Generation
    from venvctl.progress import Progress
    from venvctl.root import Root
    from venvctl.state import State
    from venvctl.trees import Tree


def _replace(where: object, name: str, by: Callable[..., object]) -> None:
    setattr(where, name, by)


def _no_fsync() -> None:
    """Files and directories are not flushed."""
    _replace(os, "fsync", lambda _: None)


def _no_directory_fsync() -> None:
    """Names are not flushed."""
    _replace(disk, "sync_directory", lambda _: None)


def _no_syncfs() -> None:
    """A generation and its trees get their names before they are on disk."""
    _replace(disk, "sync_filesystem", lambda _: None)


def _in_place() -> None:
    """Files are written over, half by half."""

    def write_file(path: Path, data: bytes, *, mode: int = 0o644) -> None:
        with path.open("wb", buffering=0) as stream:
            stream.write(data[: len(data) // 2])
            disk._tell("write", path)
            stream.write(data[len(data) // 2 :])
        path.chmod(mode)

    _replace(disk, "write_file", write_file)


def _wheel_in_place() -> None:
    """A wheel has its name before it has its content."""

    def keep(_: store.Store, source: Path, target: Path) -> Path:
        disk.make_directory(target.parent)
        data = source.read_bytes()
        with target.open("wb", buffering=0) as stream:
            stream.write(data[:100])
            disk._tell("write", target)
            stream.write(data[100:])
        source.unlink()
        return target

    _replace(store.Store, "_keep", keep)


def _half_a_switch() -> None:
    """`current` goes before it comes again."""

    def switch(self: Environment, generation: Generation) -> None:
        (self._private / "current").unlink(missing_ok=True)
        disk._tell("unlink", self._private / "current")
        original(self, generation)

    original = Environment.switch
    _replace(Environment, "switch", switch)


def _switch_to_nothing() -> None:
    """`current` names a generation that is only being made."""

    def link(*arguments: object, **named: object) -> Generation:
        environment = arguments[2]
        assert isinstance(environment, Environment)
        name = f"generations/{environment.next_number()}-{'0' * 32}"
        disk.replace_symlink(environment._private / "current", name)
        return original(*arguments, **named)  # type: ignore[arg-type]

    original = changeover.link
    _replace(changeover, "link", link)


def _nothing_pending() -> None:
    """Whom a rollout has to reach is in nobody's memory but its own."""

    def save_state(self: Environment, state: State) -> None:
        memory.clear()
        memory.append(state)
        original(self, dataclasses.replace(state, pending={}))

    def state(self: Environment) -> State:
        return memory[0] if memory else before(self)

    memory: list[State] = []
    original, before = Environment.save_state, Environment.state
    _replace(Environment, "save_state", save_state)
    _replace(Environment, "state", state)


def _start_stopped() -> None:
    """A rollout starts what its user stopped."""
    original = rollout.decide

    def to_reach(containers: Iterable[Container], volume: str) -> dict[str, str]:
        # Of this environment alone: others' tests run on the same engine.
        return {one.id: one.started_at for one in containers if volume in one.mounts}

    def decide(*arguments: Any, reviving: bool = False) -> list[rollout.Step]:
        del reviving
        return original(*arguments, reviving=True)

    _replace(rollout, "to_reach", to_reach)
    _replace(rollout, "decide", decide)


def _wheels_first() -> None:
    """A collection takes the wheels before what is made of them."""

    def remove(garbage: Garbage, root: Root, progress: Progress) -> None:
        for wheel in garbage.wheels:
            root.store.remove(wheel.sha256)
        original(garbage, root, progress)

    original = collection._remove
    _replace(collection, "_remove", remove)


def _snapshot_first() -> None:
    """An import writes the snapshot down before its wheels are there."""
    original = store.Store.add

    def add(self: store.Store, source: Path, *, file: str, sha256: str, verified: bool) -> Path:
        # The name is there at once, and the content when all is done.
        (self.wheels / sha256[:2] / sha256).mkdir(parents=True)
        (self.wheels / sha256[:2] / sha256 / file).write_bytes(b"soon")
        disk._tell("write", source)
        (self.wheels / sha256[:2] / sha256 / file).unlink()
        return original(self, source, file=file, sha256=sha256, verified=verified)

    _replace(store.Store, "add", add)


def _tree_in_place() -> None:
    """What a tree lost is linked all the same."""
    original = Unpacking.finish

    def finish(*arguments: object, **named: object) -> list[Tree]:
        made = original(*arguments, **named)  # type: ignore[arg-type]
        for tree in made:
            names = (file.path for file in tree.manifest.files)
            late = next(name for name in names if name.endswith("late.py"))
            file = tree.path / "prefix" / late
            file.chmod(0o644)
            file.write_bytes(b"")
        return made

    _replace(Unpacking, "finish", finish)


def _any_name() -> None:
    """A wheel's members are written wherever they say."""
    _replace(archives, "name_fault", lambda *_, **__: "")
    _replace(archives, "_member_fault", lambda *_, **__: "")


def _any_interpreter() -> None:
    """A generation is for any interpreter that there is."""
    _replace(interpreters, "check_holders", lambda *_, **__: None)


SABOTAGE: Mapping[str, Callable[[], None]] = {
    "no fsync": _no_fsync,
    "no fsync of directories": _no_directory_fsync,
    "no syncfs": _no_syncfs,
    "files written in place": _in_place,
    "wheels written in place": _wheel_in_place,
    "half a switch": _half_a_switch,
    "a switch to nothing": _switch_to_nothing,
    "nothing pending": _nothing_pending,
    "the stopped started": _start_stopped,
    "wheels collected first": _wheels_first,
    "snapshots before their wheels": _snapshot_first,
    "trees that changed": _tree_in_place,
    "members of any name": _any_name,
    "any interpreter": _any_interpreter,
}
