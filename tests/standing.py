"""An environment that stands, with generations of real wheels, made without an engine."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from interpreters import target
from venvctl import changeover, plan
from venvctl.environments import Event
from venvctl.origin import Origin
from venvctl.progress import Silent
from venvctl.registration import Registration
from venvctl.root import Root
from venvctl.snapshots import Snapshot
from venvctl.specification import EnvironmentSpecification
from wheelhouse import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from venvctl.environments import Environment

NAME = "shop_venv"
TARGET = target("3.11.2")


class Standing:
    """One registered environment of one root; its packages are what a test says.

    Args:
        folder: where the root and the lock are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = Root(folder / "root")
        self.root.create()
        self.lock = folder / "requirements.lock"
        self.lock.write_text("# nothing\n")
        self.registration = Registration(
            specification=EnvironmentSpecification.from_labels(
                NAME,
                {"venvctl.lock": "requirements.lock", "venvctl.bytecode": "off"},
                directory=folder,
                place="the volume",
            ),
            mount="/venv",
            images={"": "nothing:here"},
            labels={},
            project="",
            directory=folder,
        )
        self.root.registry.claim(self.registration)

    @property
    def environment(self) -> Environment:
        return self.root.environment(NAME)

    def generation(self, key: str, time: str, **versions: str) -> int:
        """Make a generation of these packages, have it current, and write it down."""
        files = tuple(self._store(name, version) for name, version in sorted(versions.items()))
        snapshot = Snapshot(
            key=key * 32,
            mount="/venv",
            image="sha256:none",
            target=TARGET,
            bytecode="off",
            conflicts="last",
            created=time,
            lock_digests={},
            files=files,
            environments={},
        )
        before = self.environment.current()
        self.root.snapshots.save(snapshot)
        made = changeover.make_generation(snapshot, self.environment, self.root, Silent())
        changeover.switch(self.registration, made, self.root, restart=False)
        state = self.environment.state()
        inputs = plan.inputs(
            self.registration.specification,
            mount="/venv",
            locks={str(self.lock): "digest"},
            images={},
        )
        self.environment.save_state(dataclasses.replace(state, inputs=inputs))
        self.environment.record(
            Event(
                time=time,
                kind="sync",
                generation=made.number,
                key=made.key,
                previous=before.number if before else 0,
                reasons=(f"{self.lock} changed",),
                notes=("build: no generation has these files",),
            )
        )
        return made.number

    def _store(self, name: str, version: str) -> Origin:
        wheel = make_wheel(self.folder, name, version)
        self.root.store.add(wheel.path, file=wheel.file, sha256=wheel.sha256)
        return Origin(name=name, version=version, file=wheel.file, sha256=wheel.sha256)


def two_generations(folder: Path) -> Standing:
    """An environment that went from alpha 1.0 to alpha 1.1, with beta 2.0 beside it."""
    standing = Standing(folder)
    standing.generation("a", "2026-01-01T10:00:00.000000Z", alpha="1.0", beta="2.0")
    standing.generation("b", "2026-01-01T11:00:00.000000Z", alpha="1.1", beta="2.0")
    return standing
