"""Pin records: the files that an index had for a pin when it was first asked, kept for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.pylock import Package, PackageSdist, PackageWheel, Pylock
from packaging.utils import (
    InvalidSdistFilename,
    canonicalize_name,
    parse_sdist_filename,
)
from packaging.version import Version

from venvctl import indexes
from venvctl.asking import Wanted, ask
from venvctl.errors import UnavailableError
from venvctl.indexes import IndexFile, IndexOptions
from venvctl.lockfiles.entries import holds, place_of, wheel_parts
from venvctl.pinstore import PinRecord, PinStore
from venvctl.selection import offered, selected_twice, some

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from venvctl.asking import MakeTransport, Said
    from venvctl.lockfiles.model import Lock, Pin
    from venvctl.target import Target

__all__ = ["PinRecord", "PinStore", "resolve"]


def resolve(
    lock: Lock,
    target: Target,
    store: PinStore,
    *,
    transport: MakeTransport | None,
    index: IndexOptions | None = None,
    refresh: bool = False,
    accept: Collection[str] = (),
    stored: Callable[[str], str] = lambda _: "",
    said: Said | None = None,
) -> Pylock:
    """Complete a lock by the files of its pins, as far as they apply to a target.

    The index is asked only for pins that have no record, and all at once.

    Args:
        lock: what was read.
        target: the interpreter it is for.
        store: the records.
        transport: makes what asks the index, of the indexes whose logins it may use and the hosts
            that it may ask without HTTPS; None: nothing may be asked.
        index: indexes for a lock that names none.
        refresh: ask for every pin again; what is on record must not have changed.
        accept: packages whose files may have changed at the index: they are asked for again, and
            what it has now is what counts from then on.
        stored: the name of the file that the store keeps under a SHA-256, or ""; asked only for a
            pin of which neither record nor index has an allowed file.
        said: what `asking.ask_ahead` was told a moment ago.

    Raises:
        SelectionError: a package is pinned twice for this target.
        UnavailableError: no file can be had for some pins; all are named.
        ChangedFileError: the index now serves another file than the one on record.
    """
    options = index or IndexOptions()
    pins, direct = _applicable(lock, target)
    wanted = [Wanted(pin, indexes.effective(pin.index, options)) for pin in pins]
    for each in wanted:
        each.record = store.load(each.pin, source=each.source, python=target.python_version)
        each.accepted = each.pin.name in accept
    missing = [each for each in wanted if refresh or each.accepted or not each.is_known]
    if missing and transport:
        ask(
            missing,
            store,
            target,
            transport=transport,
            insecure_hosts=(*lock.insecure_hosts, *options.insecure_hosts),
            said=said or {},
        )
    packages = [_package(each, target, stored) for each in wanted]
    lost = [each for each, package in zip(wanted, packages, strict=True) if not package]
    _check_had(lost, target)
    return Pylock(
        lock_version=lock.pylock.lock_version,
        environments=lock.pylock.environments,
        requires_python=lock.pylock.requires_python,
        extras=lock.pylock.extras,
        dependency_groups=lock.pylock.dependency_groups,
        default_groups=lock.pylock.default_groups,
        created_by=lock.pylock.created_by,
        packages=[*direct, *filter(None, packages)],
    )


def _applicable(lock: Lock, target: Target) -> tuple[list[Pin], list[Package]]:
    """The pins that apply to a target, and the packages that may.

    A pin that stands there twice counts once.
    """
    environment = target.marker_environment()
    pins, packages = list(lock.pins), list(lock.pylock.packages)
    if lock.graph is not None:
        needed = lock.graph.reached(environment)
        pins = [pin for pin in pins if pin.place in needed]
        packages = [package for package in packages if place_of(package) in needed]
    found: dict[str, Pin] = {}
    for pin in pins:
        if pin.marker is not None and not holds(pin.marker, environment, pin.place):
            continue
        other = found.setdefault(pin.name, pin)
        if (Version(other.version), other.hashes) != (Version(pin.version), pin.hashes):
            raise selected_twice(
                pin.name, (other.version, other.place), (pin.version, pin.place), target
            )
    return list(found.values()), packages


def _package(each: Wanted, target: Target, stored: Callable[[str], str]) -> Package | None:
    """The package with the files that are allowed and suit the Python; None where there is none."""
    pin = each.pin
    files = [file for file in each.allowed() if file.suits(target.version)]
    if not files:
        digests = [text.removeprefix("sha256:") for text in pin.hashes if text[:7] == "sha256:"]
        files = [
            IndexFile(name=name, url="", hashes={"sha256": digest})
            for digest in digests
            if not any(file.hashes.get("sha256") == digest for file in each.recorded)
            if (name := stored(digest)) and _is_of(name, pin)
        ]
    if not files:
        return None
    version, files = _best_version(files, target)
    wheels = [
        PackageWheel(
            name=file.name,
            url=file.url or None,
            path=file.path or None,
            size=file.size,
            hashes=file.hashes,
        )
        for file in files
        if file.is_wheel
    ]
    sdists = [
        PackageSdist(
            name=file.name,
            url=file.url or None,
            path=file.path or None,
            size=file.size,
            hashes=file.hashes,
        )
        # An index may have one as .tar.gz and as .zip; PEP 625 settled on the former.
        for file in sorted(files, key=lambda file: file.name.endswith(".zip"))
        if not file.is_wheel
    ]
    return Package(
        name=canonicalize_name(pin.name),
        version=version or Version(pin.version),
        sdist=sdists[0] if sdists else None,
        wheels=wheels or None,
        tool={"venvctl": {"place": pin.place, "recorded": not pin.hashes}},
    )


def _best_version(
    files: Sequence[IndexFile], target: Target
) -> tuple[Version | None, list[IndexFile]]:
    """The files of one version: of several with local labels (1.0+cpu) the highest that suits.

    A pin without a label means any of them (PEP 440), and pip and uv take the highest.
    """
    groups: dict[Version | None, list[IndexFile]] = {}
    for file in files:
        groups.setdefault(_version(file.name), []).append(file)
    if len(groups) == 1:
        return next(iter(groups.items()))
    tags = set(target.wheel_tags())
    ordered = sorted(groups.items(), key=lambda item: item[0] or Version("0"), reverse=True)
    for version, group in ordered:
        if any(
            not file.is_wheel or not tags.isdisjoint(wheel_parts(file.name)[-1]) for file in group
        ):
            return version, group
    return ordered[0]


def _is_of(file: str, pin: Pin) -> bool:
    """Whether a file of the store is the pin's: its hash alone says nothing of name and version."""
    try:
        name, version, *_ = (
            wheel_parts(file) if file.endswith(".whl") else parse_sdist_filename(file)
        )
    except InvalidSdistFilename:
        return True  # from before PEP 625
    return (name, version) == (canonicalize_name(pin.name), Version(pin.version))


def _version(file: str) -> Version | None:
    """The version as the file has it: 1 and 1.0 are one version, and must be one selection."""
    if file.endswith(".whl"):
        return wheel_parts(file)[1]
    try:
        return parse_sdist_filename(file)[1]
    except InvalidSdistFilename:
        return None  # from before PEP 625


def _check_had(lost: Sequence[Wanted], target: Target) -> None:
    """Name every pin at once that no file can be had for."""
    if not lost:
        return
    lines = []
    for each in lost:
        if each.reason:
            why = f"the index can't give it: {each.reason}"
        elif each.record is None:
            why = "it has no pin record, and the index may not be asked"
        elif allowed := each.allowed():
            asked = ", ".join(sorted({file.requires_python for file in allowed}))
            why = f"its files are for Python {asked}, and the image has {target.version}"
            wheels = [file.name for file in allowed if file.is_wheel]
            tags = {tag for name in wheels for tag in wheel_parts(name)[-1]}
            if tags and tags.isdisjoint(target.wheel_tags()):
                why += f"; they offer {offered(wheels)}, and it takes {some(target.tags)}"
        else:
            names = ", ".join(file.name for file in each.record.files) or "no files"
            why = f"the lock's hashes or options allow none of the index's files ({names})"
        lines.append(f"{each.pin.name} {each.pin.version} ({each.pin.place}): {why}")
    raise UnavailableError(
        f"No file can be had for {len(lost)} of the lock's pins. {'; '.join(lines)}.",
        hint="Make the lock again, or sync once where the index can be reached and has them.",
    )
