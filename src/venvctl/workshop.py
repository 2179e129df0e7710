"""Where builds are done: the image, the uv that it can run, and the wheels that builds need."""

from __future__ import annotations

import platform
import zipfile
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from uv import find_uv_bin

from venvctl import buildsystem, disk, fetch
from venvctl import settings as configuration
from venvctl.errors import BuildError, UnavailableError
from venvctl.probe import Probe
from venvctl.progress import Silent

if TYPE_CHECKING:
    from packaging.pylock import Pylock

    from venvctl.engine.model import Engine
    from venvctl.specification import EnvironmentSpecification
    from venvctl.store import Store
    from venvctl.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What all builds of one sync share.

    Attributes:
        target: the interpreter that wheels are for.
        image: ID of the image that builds run in. builder: the interpreter there.
        offline: fetch nothing, and let no build use the network.
    """

    store: Store
    target: Target
    engine: Engine
    image: str
    builder: Target
    specification: EnvironmentSpecification
    root: Path
    offline: bool

    @property
    def network(self) -> bool:
        """Whether a build may use the network."""
        return self.specification.build_network and not self.offline

    def moved(self, name: str) -> Workshop:
        """The same in another image; what is built there must run in the service's.

        Raises:
            BuildError: it would not.
            TargetError: that image has no usable interpreter.
            UnavailableError: it is not here, and may not be pulled.
        """
        image = self.engine.image(name)
        if image is None and not self.offline:
            image = self.engine.pull(name)
        if image is None:
            raise UnavailableError(
                f"The image {name} to build in is not here, and --offline forbids to pull it.",
                hint=f"`docker pull {name}`",
            )
        target = self.target
        there = Probe(self.root, self.engine).ask(image.id, self.specification.python, name=name)
        # An older C library is fine: all that it lets through is among the service's tags too.
        foreign = [tag for tag in there.tags if tag not in set(target.tags)]
        if foreign:
            raise BuildError(
                f"What is built in the image {name} with Python {there.version} can be for"
                f" {foreign[0]}, and the service's Python {target.version} does not take that.",
                hint="Give `venvctl.build-image` an image with the same Python, and with the same"
                " or an older C library.",
            )
        return replace(self, image=image.id, builder=there)

    def get(self, lock: Pylock) -> list[Path]:
        """Have the wheels that a lock of `buildsystem` names in the store; says where they are."""
        files = buildsystem.wheels(lock, self.builder)
        settings = fetch.FetchSettings(
            mirrors=self.specification.index, network=configuration.load(), offline=self.offline
        )
        fetch.fetch(files, self.store, settings=settings, progress=Silent())
        return [self.store.get(file, name=file.file) for file in files]

    def uv(self, directory: Path) -> Path:
        """The program uv as the image can run it: this host's own, or that for another C library.

        Args:
            directory: a temporary one below the root, where it may be put.
        """
        if any(tag.endswith(f"manylinux_2_17_{platform.machine()}") for tag in self.builder.tags):
            return Path(find_uv_bin())
        version = metadata.version("uv")
        record = f"uv-{version}-{self.builder.fingerprint}"
        lock = buildsystem.load(self.root, record)
        if lock is None:
            if self.offline:
                raise UnavailableError(
                    f"Nothing can be built for {self.builder.tags[0]} with the network off: the uv"
                    " that such an image can run was never fetched.",
                    hint="Run it again with the network on, without --offline.",
                )
            lock = buildsystem.resolve(
                [f"uv=={version}"],
                self.builder,
                indexes=self.specification.index,
                title="The tool uv",
            )
            buildsystem.save(self.root, record, lock)
        program = directory / "uv"
        with zipfile.ZipFile(self.get(lock)[0]) as wheel, disk.translate(program):
            program.write_bytes(wheel.read(f"uv-{version}.data/scripts/uv"))
            program.chmod(0o755)
        return program
