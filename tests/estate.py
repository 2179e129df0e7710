"""A root with real wheels, trees and generations, made without an engine: nothing is compiled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from interpreters import target
from venvctl import changeover, timestamps
from venvctl.environments import Event
from venvctl.origin import Origin
from venvctl.progress import Silent
from venvctl.registration import Registration
from venvctl.root import Root
from venvctl.snapshots import Snapshot, Use
from venvctl.specification import EnvironmentSpecification
from wheelhouse import BuiltWheel, make_wheel

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from venvctl.engine.model import Engine
    from venvctl.environments import Environment, Generation

TARGET = target("3.11.2")
SITE = "lib/python3.11/site-packages"
# Whoever asks this engine something fails.
NO_ENGINE = cast("Engine", None)


@dataclass(slots=True)
class Estate:
    """One root; everything in it is made as a sync makes it.

    Attributes:
        folder: the root is a folder in it, and the wheels lie there.
        urls: file name → where a wheel can be had again.
        labels: of every environment's volume.
    """

    folder: Path
    engine: Engine = NO_ENGINE
    urls: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    progress: Silent = field(default_factory=Silent)

    @property
    def root(self) -> Root:
        return Root(self.folder / "root", engine=self.engine)

    def environment(self, name: str) -> Environment:
        return self.root.environment(name)

    def registration(self, name: str) -> Registration:
        labels = {"venvctl.lock": "requirements.lock", "venvctl.bytecode": "off", **self.labels}
        return Registration(
            specification=EnvironmentSpecification.from_labels(
                name, labels, directory=self.folder, place="the volume"
            ),
            mount="/venv",
            images={"": "image"},
            labels={},
            project="",
            directory=self.folder,
        )

    def wheel(
        self,
        name: str,
        version: str = "1.0",
        *,
        files: Mapping[str, bytes | str] | None = None,
        entry_points: str = "",
    ) -> BuiltWheel:
        return make_wheel(self.folder, name, version, files=files, entry_points=entry_points)

    def snapshot(self, key: str, *wheels: BuiltWheel) -> Snapshot:
        """A snapshot of some wheels, which come into the store.

        Args:
            key: one hexadecimal digit that stands for all of the key.
            wheels: in name order.
        """
        root = self.root
        root.create()
        for wheel in wheels:
            root.store.add(wheel.path, file=wheel.file, sha256=wheel.sha256)
        snapshot = Snapshot(
            key=key * 32,
            mount="/venv",
            image="sha256:image",
            target=TARGET,
            bytecode="off",
            conflicts="last",
            created=timestamps.now(),
            lock_digests={},
            files=tuple(
                Origin(
                    name=wheel.name,
                    version=wheel.version,
                    file=wheel.file,
                    sha256=wheel.sha256,
                    url=self.urls.get(wheel.file, ""),
                )
                for wheel in wheels
            ),
            environments={},
        )
        if snapshot.key not in root.snapshots:
            root.snapshots.save(snapshot)
        return snapshot

    def generation(self, name: str, snapshot: Snapshot) -> Generation:
        """A generation of a snapshot, not current yet."""
        root = self.root
        root.registry.claim(self.registration(name))
        return changeover.make_generation(snapshot, self.environment(name), root, self.progress)

    def switch(self, name: str, generation: Generation, *, time: str = "") -> None:
        """Make it current, and say so in the history and in its snapshot."""
        environment = self.environment(name)
        current = environment.current()
        environment.switch(generation)
        time = time or timestamps.now()
        use = Use(since=time, number=generation.number, registration=self.registration(name))
        self.root.snapshots.mark_current(generation.key, use)
        previous = current.number if current else 0
        environment.record(
            Event(time=time, kind="sync", generation=generation.number, previous=previous)
        )

    def add(self, name: str, key: str, *wheels: BuiltWheel, time: str = "") -> Generation:
        """A snapshot, and the generation made of it, which is current."""
        generation = self.generation(name, self.snapshot(key, *wheels))
        self.switch(name, generation, time=time)
        return generation
