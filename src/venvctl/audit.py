"""What has become of an environment's files since: at their index, in the store, in advisories."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from venvctl import advisories, disk, listing
from venvctl import settings as configuration
from venvctl.credentials import NamedIndex, redact
from venvctl.errors import UnavailableError
from venvctl.provenance import Provenance
from venvctl.seal import Seal
from venvctl.store import file_digest
from venvctl.transport import AbsentFault, FinalFault, PassingFault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from venvctl.advisories import Vulnerability
    from venvctl.listing import Listing
    from venvctl.origin import Origin
    from venvctl.progress import Progress
    from venvctl.root import Root
    from venvctl.transport import Transport

_PARALLEL = 8
_BLOCK = 1 << 20
_ARCHIVE_SIZE = 2 << 30  # bytes of a downloaded archive of advisories
_COMMIT = re.compile(r"[0-9a-f]{40}")


class Status(StrEnum):
    """What an index says of a file now, the worst last.

    Attributes:
        AVAILABLE: it is listed, as it was.
        UNASKED: it never was in an index, or nobody was to be asked.
        UNKNOWN: the index can't be asked.
        YANKED: it is listed, and not to be used any more (PEP 592).
        QUARANTINED: its whole project is not to be used (PEP 792).
        REPLACED: another file has its name.
        DELETED: it is gone.
    """

    AVAILABLE = "available"
    UNASKED = "unasked"
    UNKNOWN = "unknown"
    YANKED = "yanked"
    QUARANTINED = "quarantined"
    REPLACED = "replaced"
    DELETED = "deleted"


# What `--strict` fails for; an index that can't be asked is no finding about the environment.
FINDINGS = frozenset({Status.YANKED, Status.QUARANTINED, Status.REPLACED, Status.DELETED})
# The best of what several indexes say: a file that one of them still has can be had.
_ORDER = (
    Status.AVAILABLE,
    Status.YANKED,
    Status.QUARANTINED,
    Status.UNKNOWN,
    Status.REPLACED,
    Status.DELETED,
    Status.UNASKED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """What is asked, and of whom.

    Attributes:
        indexes: URLs to ask instead of those that the lock and the configuration name.
        insecure_hosts: ``host`` or ``host:port`` that may be asked over plain HTTP, besides the
            lock's own.
        offline: ask nobody.
        hashes: whether the store's files are hashed again.
        advisories: a directory or zip archive with OSV records, or the URL of such an archive.
    """

    indexes: tuple[str, ...] = field(default=(), repr=False)
    insecure_hosts: tuple[str, ...] = ()
    offline: bool = False
    hashes: bool = False
    advisories: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedFile:
    """One package's file.

    Attributes:
        file: the wheel. sha256: its digest.
        source: the digest of what it was built from; that is then what an index is asked for.
        status: what the index says. reason: why, in the index's words or ours.
        index: which one, without credentials.
        stored: ``yes``, ``missing`` or ``damaged``.
    """

    name: str
    version: str
    file: str
    sha256: str
    source: str
    status: Status
    reason: str
    index: str
    stored: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditResult:
    """What was found of one generation.

    Attributes:
        advisories: how many records were read; None where no source is configured.
    """

    environment: str
    generation: int
    key: str
    files: tuple[AuditedFile, ...]
    advisories: int | None
    vulnerabilities: tuple[Vulnerability, ...]

    @property
    def findings(self) -> int:
        """How many things a person should look at."""
        bad = sum(file.status in FINDINGS for file in self.files)
        lost = sum(file.stored != "yes" for file in self.files)
        return bad + lost + len(self.vulnerabilities)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What one index says of one file."""

    status: Status
    reason: str = ""
    index: str = ""


def audit(name: str, root: Root, *, settings: AuditSettings, progress: Progress) -> AuditResult:
    """Look at what has become of the files of an environment's current generation.

    Args:
        name: the environment's.
        root: where it is kept.
        settings: what is asked.
        progress: told of packages, and warned of what can't be known.

    Raises:
        UsageError: there is no such environment, or it has no generation.
        IntegrityError: its seal can't be read.
        ConfigurationError, UnavailableError: the advisories can't be had.
    """
    seal = Seal.load(root.generation(name).path)
    origins = [package.origin for package in seal.packages]
    network = configuration.load()
    places = Provenance(root.registry.find(name), settings.indexes, progress, network.options())
    hosts = {*settings.insecure_hosts, *places.insecure_hosts}
    names = () if settings.offline else (origin.name for origin in origins)
    named = [NamedIndex(url=url) for url in places.all(names)]
    transport = network.transport(named, hosts, connections=_PARALLEL)
    try:
        said = _ask(origins, places, transport, settings, progress)
        found = _examine(origins, transport, root, settings) if settings.advisories else None
    finally:
        transport.close()
    return AuditResult(
        environment=name,
        generation=seal.number,
        key=seal.key,
        files=tuple(
            AuditedFile(
                name=origin.name,
                version=origin.version,
                file=origin.file,
                sha256=origin.sha256,
                source=origin.source,
                status=each.status,
                reason=each.reason,
                index=each.index,
                stored=_stored(origin, root, hashes=settings.hashes),
            )
            for origin, each in zip(origins, said, strict=True)
        ),
        advisories=found.records if found else None,
        vulnerabilities=found.vulnerabilities if found else (),
    )


def _ask(
    origins: Sequence[Origin],
    places: Provenance,
    transport: Transport,
    settings: AuditSettings,
    progress: Progress,
) -> list[_Said]:
    if settings.offline:
        return [_Said(status=Status.UNASKED, reason="the network is off") for _ in origins]
    progress.stage("asking", total=len(origins))

    def one(origin: Origin) -> _Said:
        said = _of_file(origin, places, transport)
        progress.advance(1)
        return said

    with ThreadPoolExecutor(_PARALLEL) as pool:
        return list(pool.map(one, origins))


def _of_file(origin: Origin, places: Provenance, transport: Transport) -> _Said:
    """What is said of one file, by whoever says the best."""
    if _COMMIT.fullmatch(origin.source):
        return _Said(status=Status.UNASKED, reason="it was built from a commit")
    if origin.name in places.direct:
        return _of_url(origin, transport)
    said = [_of_index(origin, index, transport) for index in places.of(origin.name)]
    if not said:
        return _Said(status=Status.UNKNOWN, reason="no index is known; name one with --index")
    return min(said, key=lambda each: _ORDER.index(each.status))


def _of_index(origin: Origin, index: str, transport: Transport) -> _Said:
    shown = redact(index)
    try:
        page = listing.patiently(transport, index, origin.name)
    except AbsentFault:
        return _Said(status=Status.DELETED, reason="the project is gone", index=shown)
    except (FinalFault, PassingFault) as fault:
        return _Said(status=Status.UNKNOWN, reason=f"it {fault}", index=shown)
    status, reason = judge(origin, page)
    return _Said(status=status, reason=reason, index=shown)


def judge(origin: Origin, page: Listing) -> tuple[Status, str]:
    """What a project's page says of a file, and why."""
    wanted = origin.source or origin.sha256
    same = [file for file in page.files if file.sha256 == wanted]
    if not same:
        named = [file for file in page.files if file.name == origin.file and not origin.source]
        if not named:
            return Status.DELETED, ""
        if not named[0].sha256:
            return Status.UNKNOWN, "the index tells no SHA-256 of it"
        return Status.REPLACED, f"its SHA-256 is now {named[0].sha256}"
    if same[0].yanked:
        return Status.YANKED, same[0].reason
    if page.status == "quarantined":
        return Status.QUARANTINED, page.status_reason
    return Status.AVAILABLE, ""


def _of_url(origin: Origin, transport: Transport) -> _Said:
    """A file that no index has: whether it is still where it was had."""
    if not origin.url or origin.url.startswith("file:"):
        return _Said(status=Status.UNASKED, reason="it is a local file")
    try:
        with transport.get(origin.url):
            return _Said(status=Status.AVAILABLE, index=redact(origin.url))
    except AbsentFault:
        return _Said(status=Status.DELETED, index=redact(origin.url))
    except (FinalFault, PassingFault) as fault:
        return _Said(status=Status.UNKNOWN, reason=f"it {fault}", index=redact(origin.url))


def _stored(origin: Origin, root: Root, *, hashes: bool) -> str:
    path = root.store.wheel(origin.sha256)
    if path is None:
        return "missing"
    return "damaged" if hashes and file_digest(path) != origin.sha256 else "yes"


def _examine(
    origins: Sequence[Origin],
    transport: Transport,
    root: Root,
    settings: AuditSettings,
) -> advisories.Examination:
    source = settings.advisories
    versions: Mapping[str, str] = {origin.name: origin.version for origin in origins}
    if "://" not in source:
        return advisories.examine(Path(source), versions)
    if settings.offline:
        raise UnavailableError(
            f"The advisories {redact(source)} can't be had: --offline forbids to ask for them.",
            hint="Name a directory with records in the OSV format.",
        )
    with disk.temporary_directory(root.path) as temporary:
        path = temporary / "advisories.zip"
        try:
            _download(source, path, transport)
        except (FinalFault, PassingFault) as fault:
            raise UnavailableError(
                f"The advisories can't be had: {redact(source)} {fault}.",
                hint="Check the URL, or name a directory with records in the OSV format.",
            ) from fault
        return advisories.examine(path, versions)


def _download(url: str, path: Path, transport: Transport) -> None:
    with transport.get(url) as response, path.open("wb") as target, disk.translate(path):
        size = 0
        while block := response.read1(_BLOCK):
            size += len(block)
            if size > _ARCHIVE_SIZE:
                raise FinalFault(f"has more than {_ARCHIVE_SIZE:,} bytes")
            target.write(block)
