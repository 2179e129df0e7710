"""Gets a selection into the store: fetches what is missing, builds what comes as source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from venvctl.errors import UnavailableError
from venvctl.lockfiles.locations import redact
from venvctl.origin import Origin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from venvctl.build import BuiltWheel
    from venvctl.lockfiles import Lock
    from venvctl.progress import Progress
    from venvctl.registration import Registration
    from venvctl.root import Root
    from venvctl.selection import SelectedFile, Selection
    from venvctl.target import Target
    from venvctl.unpacking import Unpacking


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """Files that are in the store now.

    Attributes:
        files: one wheel for each package, in name order.
        fetched: how many files had to be fetched. built: how many packages come from source.
    """

    files: tuple[Origin, ...]
    fetched: int
    built: int


def missing(
    selection: Selection, root: Root, *, target: Target, offline: bool
) -> list[SelectedFile]:
    """The files of a selection that have to be fetched; not those of what was built already.

    Args:
        selection: what is wanted.
        root: whose store.
        target: what builds are for.
        offline: none may be fetched.

    Raises:
        UnavailableError: some would have to be, and may not.
    """
    wanted = [file for file in selection.files if _is_needed(file, root, target)]
    absent = root.store.missing(wanted)
    if offline and absent:
        names = "".join(f"\n  {file.file} (SHA-256 {file.sha256})" for file in absent)
        raise UnavailableError(
            f"{len(absent)} of the lock's files are not in the store, "
            f"and --offline forbids to fetch them:{names}",
            hint="Sync once without --offline.",
        )
    return absent


def acquire(
    selection: Selection,
    absent: Sequence[SelectedFile],
    lock: Lock,
    registration: Registration,
    root: Root,
    *,
    target: Target,
    image: str,
    offline: bool,
    progress: Progress,
    unpacking: Unpacking,
) -> Acquisition:
    """Have every file of a selection in the store, and a wheel for each package.

    Args:
        selection: what is wanted.
        absent: those of its files that are `missing`.
        lock: which hosts it trusts.
        registration: its mirrors, and how builds are to go about it.
        root: whose store.
        target: what builds are for.
        image: the ID of the image that they run in.
        offline: let no build use the network.
        progress: told of both.
        unpacking: given each wheel as soon as it is in the store.

    Raises:
        UnavailableError: files can't be had; every one is named, and nothing was changed.
        IntegrityError: what came is not what the lock says.
        BuildError: a build failed.
    """
    fetching = {file.sha256 for file in absent}
    for file in selection.files:
        if file.kind == "wheel" and file.sha256 not in fetching:
            unpacking.add(file.sha256, root.store.get(file, name=file.name))
    if absent:
        _fetch(absent, lock, registration, root, progress=progress, unpacking=unpacking)
    sources = [file for file in selection.files if file.kind != "wheel"]
    built: Mapping[str, BuiltWheel] = {}
    if sources:
        from venvctl import build  # noqa: PLC0415 - few locks need it

        built = build.ensure(
            sources,
            store=root.store,
            target=target,
            engine=root.engine,
            image=image,
            specification=registration.specification,
            root=root.path,
            offline=offline,
            progress=progress,
        )
    return Acquisition(
        files=tuple(_origin(file, built.get(file.name)) for file in selection.files),
        fetched=len(absent),
        built=len(built),
    )


def _is_needed(file: SelectedFile, root: Root, target: Target) -> bool:
    """Whether its file must be in the store: not that of a source that was built already."""
    if file.kind == "wheel":
        return True
    from venvctl.build import source_key  # noqa: PLC0415 - few locks need it

    built = root.store.built(source_key(file), target.fingerprint)
    return file.kind != "vcs" and built is None


def _fetch(
    absent: Sequence[SelectedFile],
    lock: Lock,
    registration: Registration,
    root: Root,
    *,
    progress: Progress,
    unpacking: Unpacking,
) -> None:
    from venvctl import fetch  # noqa: PLC0415 - it brings an HTTP stack
    from venvctl import settings as configuration  # noqa: PLC0415 - the same
    from venvctl.credentials import NamedIndex  # noqa: PLC0415 - the same

    named = (url for pin in lock.pins for url in (pin.index.url, *pin.index.extra) if url)
    settings = fetch.FetchSettings(
        mirrors=registration.specification.index,
        # The records hold no credentials: a login in the lock's own URL is for its files too.
        indexes=tuple(NamedIndex(url=url) for url in dict.fromkeys(named)),
        insecure_hosts=frozenset(lock.insecure_hosts),
        network=configuration.load(),
    )

    def arrived(file: SelectedFile, path: Path) -> None:
        if file.kind == "wheel":
            unpacking.add(file.sha256, path, verified=True)

    fetch.fetch(absent, root.store, settings=settings, progress=progress, arrived=arrived)


def _origin(file: SelectedFile, built: BuiltWheel | None) -> Origin:
    url = redact(file.urls[0]) if file.urls else ""
    if built is None:
        return Origin(
            name=file.name, version=file.version, file=file.file, sha256=file.sha256, url=url
        )
    return Origin(
        name=file.name,
        version=built.version,
        file=built.file,
        sha256=built.sha256,
        source=file.sha256 or file.commit,
        url=url,
    )
