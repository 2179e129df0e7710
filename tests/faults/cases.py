"""The verbs that are killed, or lose their power: what each starts from, and who recovers how.

Each function prepares an arena and gives what makes the next case in it, with versions that nobody
has seen before.
"""

from __future__ import annotations

import dataclasses
import shutil
from typing import TYPE_CHECKING

from arena import Case
from venvctl.backend import Here
from venvctl.cli.display import Quiet
from venvctl.collection import collect
from venvctl.errors import IntegrityError, RolloutFailedError
from venvctl.project import ComposeOptions
from venvctl.restore import restore
from venvctl.root import Root
from venvctl.sync import SyncOptions, SyncResult, sync
from venvctl.transfer import export_snapshot, import_snapshot
from venvctl.up import PATIENCE, UpRequest, up
from venvctl.verification import verify
from venvctl.workplace import Workplace
from wheelhouse import make_wheel
from world import SERVER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from arena import Arena
    from engine_fixtures import Unique

    Make = Callable[[], Case]


def first_sync(arena: Arena, unique: Unique) -> Make:
    """A lock, and nothing else yet."""
    world = arena.world

    def make() -> Case:
        arena.next_lock()
        shutil.rmtree(world.root.path / "targets", ignore_errors=True)
        world.name = unique(f"env-{arena.count}")
        return Case(
            verb="sync",
            arguments={"registration": world.registration.to_dict()},
            old=0,
            new=1,
            ends_on=(1, 2),
            recover=world.sync,
        )

    return make


def update(arena: Arena) -> Make:
    """A lock that selects what nobody has seen before."""

    def make() -> Case:
        arena.next_lock()
        new = arena.next_number()
        return Case(
            verb="sync",
            arguments={"registration": arena.world.registration.to_dict()},
            old=arena.number(),
            new=new,
            # A kill may cost a number that nothing has got.
            ends_on=(new, new + 1),
            recover=arena.world.sync,
        )

    return make


def going_back(arena: Arena) -> Make:
    """`venvctl rollback`, forth and back between two generations."""
    world = arena.world
    arena.next_lock()
    world.sync()

    def make() -> Case:
        left = arena.number()
        (to,) = {item.number for item in world.environment.generations()} - {left}
        return Case(
            verb="rollback",
            arguments={"to": to},
            old=left,
            new=to,
            ends_on=(left, to),
            recover=world.sync,
        )

    return make


def restore_of_a_lost_volume(arena: Arena) -> Make:
    """The volume's directory, or all of the environment's, is gone."""
    world = arena.world

    def recover() -> None:
        try:
            world.sync()
        except IntegrityError as error:
            assert f"`venvctl restore {world.name}` rebuilds it" in error.hint  # noqa: PT017
            restore(world.name, world.root, snapshot=None, progress=world.progress)
            world.sync()

    def make() -> Case:
        lost = world.environment
        new = arena.next_number()
        shutil.rmtree(lost.volume if arena.count % 2 else lost.directory)
        arena.count += 1
        return Case(
            verb="restore",
            arguments={},
            old=0,
            new=new,
            ends_on=tuple(range(new, new + 4)),
            recover=recover,
        )

    return make


def bad_update(arena: Arena) -> Make:
    """A generation that ends its container at once, so that the sync goes back."""
    world = arena.world

    def recover() -> SyncResult | None:
        try:
            return world.sync()
        except RolloutFailedError:
            return None

    def make() -> Case:
        arena.count += 1
        bad = make_wheel(
            world.folder,
            "alpha",
            f"{arena.count}.0",
            files={"alpha/__init__.py": "raise SystemExit(3)"},
        )
        world.index.add(bad.path)
        world.write_lock(bad)
        old, new = arena.number(), arena.next_number()
        return Case(
            verb="sync",
            arguments={"registration": world.registration.to_dict()},
            old=old,
            new=new,
            ends_on=(old,),
            recover=recover,
            goes_back=True,
        )

    return make


def another_interpreter(arena: Arena, image: str) -> Make:
    """The registration names an image with another Python than the one that holders run."""
    world = arena.world
    own, before = world.image, world.lock.read_text()

    def recover() -> None:
        world.image = own
        world.lock.write_text(before)
        world.sync()

    def make() -> Case:
        arena.next_lock()
        world.image = image
        number = arena.number()
        return Case(
            verb="sync",
            arguments={"registration": world.registration.to_dict()},
            old=number,
            new=number,
            ends_on=(number,),
            recover=recover,
            goes_back=True,
        )

    return make


def hostile_update(arena: Arena) -> Make:
    """A lock that selects a wheel with a member that leads out of its tree."""
    world = arena.world
    before = world.lock.read_text()

    def recover() -> None:
        world.lock.write_text(before)
        world.sync()

    def make() -> Case:
        arena.count += 1
        up = "../" * 12 + str(world.folder).lstrip("/")
        hostile = make_wheel(
            world.folder,
            "alpha",
            f"{arena.count}.0",
            files={"alpha/__init__.py": "", f"alpha/{up}/escaped.py": "x = 1\n"},
        )
        world.index.add(hostile.path)
        world.write_lock(hostile)
        number = arena.number()
        return Case(
            verb="sync",
            arguments={"registration": world.registration.to_dict()},
            old=number,
            new=number,
            ends_on=(number,),
            recover=recover,
            goes_back=True,
        )

    return make


def repair(arena: Arena) -> Make:
    """A module was written over, and its tree and every generation share it."""
    world = arena.world
    arena.next_lock()
    world.sync()

    def make() -> Case:
        number = arena.number()
        module = next(world.environment.volume.glob("lib/*/site-packages/alpha/__init__.py"))
        module.write_text("VERSION = 'evil'\n")
        return Case(
            verb="repair",
            arguments={},
            old=number,
            new=number,
            ends_on=(number,),
            recover=lambda: verify([world.name], world.root, repair=True, progress=world.progress),
            damaged="alpha/__init__.py",
            done=lambda: "evil" not in module.read_text(),
        )

    return make


def collection(arena: Arena) -> Make:
    """Generations, snapshots and wheels that nothing reaches, beside holders of an older one."""
    world = arena.world
    world.labels = {**world.labels, "venvctl.keep": "1", "venvctl.keep-snapshots": "1"}
    arena.forgetful = False

    def make() -> Case:
        arena.next_lock()
        arena.holders_on = world.sync().generation if arena.running else 0
        for _ in range(3):
            arena.next_lock()
            world.sync(SyncOptions(restart=False))
        number = arena.number()
        doomed = len(world.environment.generations())
        return Case(
            verb="collect",
            arguments={},
            old=number,
            new=number,
            ends_on=(number,),
            recover=lambda: collect(world.root, dry_run=False, progress=world.progress),
            done=lambda: len(world.environment.generations()) < doomed,
        )

    return make


def snapshot_import(arena: Arena, unique: Unique) -> Make:
    """A snapshot that comes from another root."""
    world = arena.world
    home = Root(world.folder / "elsewhere", engine=world.root.engine)
    world.labels = {"venvctl.bytecode": "off"}

    def make() -> Case:
        arena.next_lock()
        there = dataclasses.replace(world, root=home, name=unique(f"there-{arena.count}"))
        file = world.folder / "snapshot.tar"
        file.unlink(missing_ok=True)
        key = there.sync().key
        export_snapshot(key, file, home, progress=world.progress)
        return Case(
            verb="import",
            arguments={"file": str(file)},
            old=0,
            new=0,
            ends_on=(0,),
            recover=lambda: import_snapshot(file, world.root, progress=world.progress),
            done=lambda: key in world.root.snapshots,
        )

    return make


def snapshot_removal(arena: Arena, unique: Unique) -> Make:
    """`venvctl snapshot rm` of one that nobody uses any more."""
    world = arena.world
    made = snapshot_import(arena, unique)

    def make() -> Case:
        made().recover()
        (key,) = world.root.snapshots.keys()

        def remove() -> None:
            if key in world.root.snapshots:
                world.root.snapshots.remove(key)
            collect(world.root, dry_run=False, progress=world.progress)

        return Case(
            verb="cli",
            arguments={"words": ["snapshot", "rm", key]},
            old=0,
            new=0,
            ends_on=(0,),
            recover=remove,
            done=lambda: key not in world.root.snapshots,
        )

    return make


def addition(arena: Arena, unique: Unique) -> Make:
    """`venvctl env add`, which registers and syncs."""
    world = arena.world

    def make() -> Case:
        arena.next_lock()
        world.name = unique(f"added-{arena.count}")
        words = ["env", "add", world.name, "--lock", str(world.lock), "--image", world.image]

        def again() -> None:
            registration = world.root.registry.find(world.name) or world.registration
            sync(registration, world.root, SyncOptions(), world.progress)

        return Case(
            verb="cli",
            arguments={"words": words},
            old=0,
            new=1,
            ends_on=(1, 2),
            recover=again,
            done=lambda: world.name in world.root.registry.names(),
        )

    return make


def removal(arena: Arena, unique: Unique) -> Make:
    """`venvctl env rm` of an environment that no container has."""
    world = arena.world

    def make() -> Case:
        arena.next_lock()
        world.name = unique(f"gone-{arena.count}")
        number = world.sync().generation
        here, name = world.environment.directory, world.name

        def remove() -> None:
            arena.killer.run("cli", name, {"words": ["env", "rm", name]})
            # Where it was gone already, nobody was at work: the next who is sweeps.
            collect(world.root, dry_run=False, progress=world.progress)

        return Case(
            verb="cli",
            arguments={"words": ["env", "rm", name]},
            old=number,
            new=0,
            ends_on=(0,),
            # Its name in the index is gone, or nothing is.
            may_be_gone=True,
            recover=remove,
            done=lambda: not here.exists() and world.root.engine.volume(name) is None,
        )

    return make


def compose_up(arena: Arena, directory: Path) -> Make:
    """`venvctl up` of a project with two services, again and again, with another lock each time."""
    world = arena.world
    world.folder = directory
    world.name = f"{directory.name}_venv"
    arena.next_lock()
    command = SERVER.replace("\n", "\n        ")
    service = f"""
    image: {world.image}
    labels: {{venvctl.grace: 0.3s}}
    volumes: ["venv:/venv"]
    command:
      - /venv/bin/python
      - -c
      - |
        {command}
"""
    (directory / "compose.yaml").write_text(
        f"services:\n  web:{service}  worker:{service}"
        "volumes:\n  venv:\n    labels:\n"
        "      venvctl.lock: requirements.lock\n      venvctl.bytecode: 'off'\n"
    )

    def go() -> object:
        request = UpRequest(options=ComposeOptions(), cwd=directory)
        return up(request, Workplace(Here(world.root, wait=PATIENCE)), Quiet())

    go()
    for container in world.root.engine.containers(volume=world.name):
        arena.running.append(container.id)
        world.wait_for_line(container.name, f"start {arena.count}.0 1")

    def make() -> Case:
        arena.next_lock()
        new = arena.next_number()
        return Case(
            verb="cli",
            arguments={"words": ["up"], "cwd": str(directory)},
            old=arena.number(),
            new=new,
            ends_on=(new, new + 1),
            recover=go,
        )

    return make
