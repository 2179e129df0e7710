"""Wheels made of source archives and commits; each is built once for each target, and kept."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.pylock import Pylock
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from venvctl import buildsystem, disk, git, wheels
from venvctl.errors import BuildError, UnavailableError
from venvctl.sandbox import Sandbox, Source
from venvctl.store import file_digest
from venvctl.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from venvctl.buildsystem import BuildSystem
    from venvctl.engine.model import Engine
    from venvctl.progress import Progress
    from venvctl.sandbox import Outcome
    from venvctl.selection import SelectedFile
    from venvctl.specification import EnvironmentSpecification
    from venvctl.store import Store
    from venvctl.target import Target

_SHORT = 12  # digits of a commit in messages
_HINT_OFFLINE = "Run it again with the network on, without --offline."


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltWheel:
    """A wheel in the store that was built of a source; `version` is as its file name has it."""

    name: str
    version: str
    file: str
    sha256: str


def source_key(file: SelectedFile) -> str:
    """The hash that a source's wheel is kept under (`Store.built`).

    It is the archive's own SHA-256 where the whole archive is built. For a part of it, and for a
    commit, whose hash stands for its content, it is one over the words that say which.
    """
    if file.kind == "vcs":
        return hashlib.sha256(f"vcs:{file.commit}:{file.subdirectory}".encode()).hexdigest()
    if file.subdirectory:
        return hashlib.sha256(f"archive:{file.sha256}:{file.subdirectory}".encode()).hexdigest()
    return file.sha256


def ensure(
    files: Sequence[SelectedFile],
    *,
    store: Store,
    target: Target,
    engine: Engine,
    image: str,
    specification: EnvironmentSpecification,
    root: Path,
    offline: bool,
    progress: Progress,
) -> dict[str, BuiltWheel]:
    """Have a wheel for each source: build those that were never built for this target.

    What a build needs (PEP 517, PEP 518) is resolved on this host, to wheels with their hashes, and
    handed to a container that has no network unless `build_network` says so. A build gets no
    credentials.

    Args:
        files: sdists and archives, which the store has, and commits.
        store: where the wheels go.
        target: the interpreter they are for.
        engine: runs the builds.
        image: ID of the image they run in, where the specification names no other.
        specification: the environment's.
        root: the root directory.
        offline: fetch nothing, and let no build use the network.
        progress: told of each wheel.

    Returns:
        The wheels by the name of their package.

    Raises:
        BuildError: a build failed, or gave another wheel than was asked for.
        UnavailableError: offline, sources or what their builds need are not here; all are named.
            Else a commit or what a build needs can't be had.
        TargetError: the image to build in has no usable interpreter.
        HostileWheelError: the wheel that was built must not be unpacked.
        DiskFullError, RootError: as `disk.translate`.
    """
    known = {file.name: _known(file, store, target) for file in files}
    found = {name: wheel for name, wheel in known.items() if wheel is not None}
    missing = [file for file in files if file.name not in found]
    if not missing:
        return found
    progress.stage("building", total=len(missing), unit="wheels")
    workshop = Workshop(
        store=store,
        target=target,
        engine=engine,
        image=image,
        builder=target,
        specification=specification,
        root=root,
        offline=offline,
    )
    if specification.build_image:
        workshop = workshop.moved(specification.build_image)
    with disk.temporary_directory(root) as directory:
        uv = workshop.uv(directory)
        builds = [_Build(file, workshop, uv) for file in missing]
        if offline:
            _check_here(builds)
        for build in builds:
            found[build.file.name] = build.run()
            progress.advance(1)
    return found


def _known(file: SelectedFile, store: Store, target: Target) -> BuiltWheel | None:
    sha256 = store.built(source_key(file), target.fingerprint)
    path = store.wheel(sha256) if sha256 else None
    if sha256 is None or path is None:
        return None
    _, version, _, _ = parse_wheel_filename(path.name)
    return BuiltWheel(name=file.name, version=str(version), file=path.name, sha256=sha256)


def _check_here(builds: Sequence[_Build]) -> None:
    """Name every package at once that can't be built with the network off."""
    obstacles = [(build.title, obstacle) for build in builds if (obstacle := build.obstacle())]
    if obstacles:
        lines = "".join(f"\n  {title}: {obstacle}" for title, obstacle in obstacles)
        what = "1 package" if len(obstacles) == 1 else f"{len(obstacles)} packages"
        raise UnavailableError(
            f"{what} can't be built with the network off:{lines}",
            hint=_HINT_OFFLINE,
        )


class _Build:
    """The build of one source."""

    def __init__(self, file: SelectedFile, workshop: Workshop, uv: Path) -> None:
        self.file = file
        self._uv = uv
        self.title = _title(file)
        self._workshop = workshop
        self._key = source_key(file)
        self._record = f"{self._key}-{workshop.builder.fingerprint}"

    def obstacle(self) -> str:
        """Why it can't be built from what is here, in words that follow its name; or ""."""
        workshop = self._workshop
        if self.file.kind == "vcs":
            return "its commit has to be fetched"
        if workshop.store.wheel(self.file.sha256) is None:
            return f"the store does not have {self.file.file}"
        lock = buildsystem.load(workshop.root, self._record)
        if lock is not None:
            lost = workshop.store.missing(buildsystem.wheels(lock, workshop.builder))
            names = ", ".join(file.file for file in lost)
            return f"the store does not have what its build needs ({names})" if lost else ""
        with disk.temporary_directory(workshop.root) as directory:
            sandbox = self._sandbox(directory)
            requires = sandbox.describe(self._source(sandbox)).requires
        return f"what its build needs was never fetched ({', '.join(requires)})" if requires else ""

    def run(self) -> BuiltWheel:
        """Build it, and keep the wheel."""
        workshop = self._workshop
        with disk.temporary_directory(workshop.root) as directory:
            sandbox = self._sandbox(directory)
            source = self._source(sandbox)
            lock = buildsystem.load(workshop.root, self._record)
            system = None
            if lock is None:
                system = sandbox.describe(source)
                lock = self._resolve(system.requires)
            outcome = self._build(sandbox, source, system, lock)
            if outcome.failure and system:
                requires = tuple(dict.fromkeys((*system.requires, *outcome.requires)))
                if requires != system.requires:
                    # "get_requires_for_build_wheel" (PEP 517): more than [build-system] lists.
                    lock = self._resolve(requires)
                    outcome = self._build(sandbox, source, None, lock)
            if outcome.failure:
                raise outcome.failure
            wheel = self._keep(sandbox.output)
        if lock is not None:
            buildsystem.save(workshop.root, self._record, lock)
        workshop.store.record_built(self._key, workshop.target.fingerprint, wheel.sha256)
        return wheel

    def _sandbox(self, directory: Path) -> Sandbox:
        workshop = self._workshop
        return Sandbox(
            directory,
            uv=self._uv,
            engine=workshop.engine,
            image=workshop.image,
            interpreter=workshop.builder.interpreter,
            network=workshop.network,
            title=self.title,
        )

    def _source(self, sandbox: Sandbox) -> Source:
        file = self.file
        if file.kind == "vcs":
            text = git.checkout(file.urls[0], file.commit, into=sandbox.source, title=self.title)
            return Source(subdirectory=file.subdirectory, archival=text)
        sandbox.add(self._workshop.store.get(file, name=self.title), file.file)
        return Source(archive=file.file, subdirectory=file.subdirectory)

    def _resolve(self, requires: Sequence[str]) -> Pylock | None:
        """Pin what the build needs; None where uv shall get it by itself, over the network."""
        workshop = self._workshop
        if not requires:
            return Pylock(lock_version=Version("1.0"), created_by="venvctl", packages=[])
        if workshop.offline:
            raise UnavailableError(
                f"{self.title} can't be built with the network off: what its build needs was never"
                f" fetched ({', '.join(requires)}).",
                hint=_HINT_OFFLINE,
            )
        try:
            return buildsystem.resolve(
                requires, workshop.builder, indexes=workshop.specification.index, title=self.title
            )
        except BuildError:
            if workshop.network:
                return None
            raise

    def _build(
        self, sandbox: Sandbox, source: Source, system: BuildSystem | None, lock: Pylock | None
    ) -> Outcome:
        sandbox.supply(self._workshop.get(lock) if lock else ())
        return sandbox.build(source, system, online=lock is None)

    def _keep(self, output: Path) -> BuiltWheel:
        """Take the wheel into the store, if it is what was asked for."""
        file, workshop = self.file, self._workshop
        with os.scandir(output) as entries:
            made = [
                Path(entry.path)
                for entry in entries
                if entry.name.endswith(".whl") and entry.is_file(follow_symlinks=False)
            ]
        if len(made) != 1:
            names = ", ".join(ascii(path.name) for path in sorted(made)) or "none"
            raise self._wrong(f"it gave {len(made)} wheels and not one ({names})")
        try:
            name, version, _, tags = parse_wheel_filename(made[0].name)
        except InvalidWheelFilename as error:
            raise self._wrong(f"{made[0].name!a} is not a wheel's file name") from error
        if name != file.name:
            raise self._wrong(f"it gave a wheel of {name}")
        if file.version and version != Version(file.version):
            raise self._wrong(
                f"it gave version {version}",
                hint="If it takes its version from git, name an image that has git in the label"
                " `venvctl.build-image`."
                if file.kind == "vcs"
                else "",
            )
        if tags.isdisjoint(workshop.target.wheel_tags()):
            shown = ", ".join(sorted(map(str, tags)))
            raise self._wrong(f"the wheel is for {shown}, which the image does not take")
        wheels.read(made[0], library=workshop.target.library)
        sha256 = file_digest(made[0])
        path = workshop.store.add(made[0], file=made[0].name, sha256=sha256, verified=True)
        return BuiltWheel(name=name, version=str(version), file=path.name, sha256=sha256)

    def _wrong(self, reason: str, *, hint: str = "") -> BuildError:
        return BuildError(
            f"{self.title} can't be used: {reason}.",
            hint=hint or "Choose another version of the package, or one that has a wheel.",
        )


def _title(file: SelectedFile) -> str:
    what = f"{file.name} {file.version}".rstrip()
    return f"{what} ({file.file or f'commit {file.commit[:_SHORT]}'})"
