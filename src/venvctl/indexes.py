"""What package indexes say of pinned versions: every file of each, with its Requires-Python.

Asked by the simple repository API itself (`listing`): no resolver's answer has all of it.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    canonicalize_version,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from venvctl import listing
from venvctl.credentials import NamedIndex
from venvctl.errors import UnavailableError
from venvctl.lockfiles import uv_command
from venvctl.lockfiles.locations import check_url, redact
from venvctl.lockfiles.model import Index
from venvctl.transport import AbsentFault, FinalFault, PassingFault

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from venvctl.listing import ListedFile, Listing
    from venvctl.transport import Transport

_PARALLEL = 16
_UV_DEFAULT = re.compile(r"by\s+default:\s+<(https://[^>\s]+)>")
_FORBIDDEN = "answers 403"  # what some indexes say of a project that they don't have
_NAMES_SHOWN = 5
_HINT_ASK = "Check the index and the network; the environment stays as it is until then."
_HINT_LOGIN = (
    "Give it a login: in netrc, in UV_INDEX_NAME_USERNAME and _PASSWORD, or in a keyring"
    " (docs/indexes.md)."
)


@functools.lru_cache(maxsize=1024)  # the same few hundred times, for thousands of files
def _suits(requires_python: str, version: str) -> bool:
    try:
        specifiers = SpecifierSet(requires_python)
    except InvalidSpecifier:
        return True
    return specifiers.contains(Version(version).base_version, prereleases=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """Which indexes venvctl's own configuration names, for locks that don't.

    Attributes:
        url: the default index; empty means what variables say, else uv's own.
        extra: further indexes.
        insecure_hosts: hosts that may be spoken to without HTTPS.
    """

    url: str = field(default="", repr=False)
    extra: tuple[str, ...] = field(default=(), repr=False)
    insecure_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """One file of one version, as an index lists it.

    Attributes:
        name: file name. url: without credentials. path: of a local file, where there is no URL.
        hashes: algorithm → hex digest. size: in bytes, where the index tells.
        upload_time: RFC 3339, where the index tells.
        requires_python: which Pythons it is for (PEP 440); "" for all.
    """

    name: str
    url: str
    hashes: Mapping[str, str]
    path: str = ""
    size: int | None = None
    upload_time: str = ""
    requires_python: str = ""

    @property
    def is_wheel(self) -> bool:
        """Whether it is a wheel; else it is an sdist."""
        return self.name.endswith(".whl")

    def hash_texts(self) -> set[str]:
        """Its hashes as a lock writes them: ``sha256:<hex>``."""
        return {f"{algorithm}:{digest}" for algorithm, digest in self.hashes.items()}

    def suits(self, version: str) -> bool:
        """Whether it is for a Python, by its Requires-Python; one that can't be read is ignored.

        So do pip and uv; both take a pre-release of Python for its final version's equal.
        """
        return _suits(self.requires_python, version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What indexes said.

    Attributes:
        files: (name, version) → its files, of those that an index has.
        reasons: (name, version) → why it can't be used, of those that none has. The versions are
            canonical, since an index may write 1.0 where a lock writes 1.
    """

    files: Mapping[tuple[str, str], tuple[IndexFile, ...]]
    reasons: Mapping[tuple[str, str], str]

    def tells_of(self, pin: tuple[str, str]) -> bool:
        """Whether a pin was asked for, by its name and canonical version."""
        return pin in self.files or pin in self.reasons


def effective(index: Index, options: IndexOptions) -> Index:
    """The indexes to ask: those that the lock names, else the configured ones, else variables'.

    Variables are those of uv and, where uv has none, those of pip.
    """
    links = index.find_links or _urls("UV_FIND_LINKS", separator=",")
    if index.disabled:
        return Index(find_links=links, disabled=True)
    default = (
        *filter(None, (index.url, options.url)),
        *_urls("UV_DEFAULT_INDEX"),
        *_urls("UV_INDEX_URL"),
        *_urls("PIP_INDEX_URL"),
    )
    more = _urls("UV_INDEX") + _urls("UV_EXTRA_INDEX_URL") or _urls("PIP_EXTRA_INDEX_URL")
    return Index(
        url=next(iter(default), ""),
        extra=tuple(dict.fromkeys((*index.extra, *options.extra, *more))),
        find_links=links,
    )


@functools.cache
def default_url() -> str:
    """The index that is asked where nobody names one: uv's own, as uv tells it."""
    with uv_command.directory({}) as directory:
        done = uv_command.run(["help", "pip", "compile"], within=directory)
    match = _UV_DEFAULT.search(done.stdout)
    if match is None:
        raise UnavailableError(
            "No index is known: uv does not tell its own.",
            hint="Name one in the configuration file (docs/indexes.md).",
        )
    return match[1]


def ask(
    pins: Sequence[tuple[str, str]],
    index: Index,
    *,
    transport: Transport,
    insecure_hosts: Collection[str] = (),
) -> Answer:
    """Ask for all files of pinned versions: one page of each index for each name.

    All indexes count alike, as for pip; what may be taken is for the hashes to say. Of two files of
    one name and content the first counts: links, then further indexes, then the default one.

    Args:
        pins: normalized name and version of each.
        index: where to ask, see `effective`.
        transport: asks.
        insecure_hosts: hosts that may be spoken to without HTTPS.

    Raises:
        LockError: an index is neither HTTPS nor of an insecure host.
        UnavailableError: an index gives no answer, so what it has can't be known.
    """
    urls = [] if index.disabled else [*index.extra, index.url or default_url()]
    for url in urls:
        check_url(url, "The index", insecure_hosts)
    wanted: dict[str, list[str]] = {}
    for name, version in pins:
        wanted.setdefault(name, []).append(version)
    pages = _pages(wanted, urls, transport)
    links = [_links(link, transport, insecure_hosts) for link in index.find_links]
    files: dict[tuple[str, str], tuple[IndexFile, ...]] = {}
    reasons: dict[tuple[str, str], str] = {}
    for name, version in pins:
        key = (name, canonicalize_version(version))
        said = [pages[url, name] for url in urls]
        listings = [*links, *(each for each in said if each is not None)]
        fits = _fits(name, [version])
        found = [file for each in listings for file in each.files if fits(file.name)]
        if hashed := tuple(_indexed(file) for file in found if file.hashes or _is_local(file)):
            files[key] = _distinct(hashed)
        else:
            reasons[key] = _reason(name, version, listings, found)
    return Answer(files=files, reasons=reasons)


def _pages(
    wanted: Mapping[str, Sequence[str]], urls: Sequence[str], transport: Transport
) -> dict[tuple[str, str], Listing | None]:
    """The files of some versions by index and name; None where an index has no such project."""

    def one(place: tuple[str, str]) -> Listing | FinalFault | PassingFault:
        url, name = place
        try:
            return listing.patiently(transport, url, name, keep=_fits(name, wanted[name]))
        except (FinalFault, PassingFault) as fault:
            return fault

    places = [(url, name) for name in wanted for url in urls]
    with ThreadPoolExecutor(_PARALLEL) as pool:
        found = dict(zip(places, pool.map(one, places), strict=True))
    pages: dict[tuple[str, str], Listing | None] = {}
    faults: dict[str, tuple[list[str], str]] = {}
    for (url, name), answer in found.items():
        if isinstance(answer, FinalFault | PassingFault):
            pages[url, name] = None
            if not isinstance(answer, AbsentFault) and not str(answer).startswith(_FORBIDDEN):
                faults.setdefault(url, ([], str(answer)))[0].append(name)
        else:
            pages[url, name] = answer
    for url, (names, words) in faults.items():
        raise UnavailableError(
            f"The index {redact(url)} can't be asked for {_listed(names)}: it {words}.",
            hint=_HINT_LOGIN if words.startswith("answers 401") else _HINT_ASK,
        )
    return pages


def _links(link: str, transport: Transport, insecure_hosts: Collection[str]) -> Listing:
    """What a directory, or a page with links, has."""
    local = Path(link.removeprefix("file://"))
    if "://" not in link or link.startswith("file://"):
        if not os.path.isdir(local):  # noqa: PTH112 - Path raises on a name that is too long
            raise UnavailableError(
                f"The directory {local} of --find-links does not exist.",
                hint="Correct the path.",
            )
        return listing.Listing(
            files=tuple(
                listing.ListedFile(name=path.name, url=f"file://{path}")
                for path in sorted(local.iterdir())
            )
        )
    check_url(link, "The page", insecure_hosts)
    try:
        return listing.read(transport, link)
    except (FinalFault, PassingFault) as fault:
        raise UnavailableError(
            f"The page {redact(link)} of --find-links can't be had: it {fault}.", hint=_HINT_ASK
        ) from fault


def _fits(name: str, versions: Sequence[str]) -> Callable[[str], bool]:
    """Whether a file's name is of one of some versions, or of one with a local label (PEP 440).

    "If the specified version identifier is a public version identifier (no local version label),
    then the local version label of any candidate versions MUST be ignored when matching versions."
    """
    wanted = [Version(version) for version in versions]

    @functools.cache
    def is_wanted(text: str) -> bool:
        try:
            found = Version(text)
        except InvalidVersion:
            return False
        public = Version(found.public) if found.local else found
        return any(each in {found, public} for each in wanted)

    # By the version's text first: a page can have thousands of files.
    return lambda file: is_wanted(_version_text(file)) and _names(file) == name


def _version_text(file: str) -> str:
    if file.endswith(".whl"):
        return file.partition("-")[2].partition("-")[0]
    # An index may have an sdist as .tar.gz and as .zip; PEP 625 settled on the former.
    for ending in (".tar.gz", ".zip"):
        if file.endswith(ending):
            return file.removesuffix(ending).rpartition("-")[2]
    return ""


def _names(file: str) -> str:
    """The package that a file is of, by its name; "" where it is none."""
    try:
        if file.endswith(".whl"):
            return parse_wheel_filename(file)[0]
        return parse_sdist_filename(file)[0]
    except InvalidWheelFilename:
        return ""
    except InvalidSdistFilename:
        return canonicalize_name(file.rpartition("-")[0])


def _is_local(file: ListedFile) -> bool:
    return file.url.startswith("file://")


def _indexed(file: ListedFile) -> IndexFile:
    if _is_local(file):
        path = Path(file.url.removeprefix("file://"))
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return IndexFile(name=file.name, url="", path=str(path), hashes={"sha256": digest})
    return IndexFile(
        name=file.name,
        url=redact(file.url),
        hashes=file.hashes,
        size=file.size,
        upload_time=file.upload_time,
        requires_python=file.requires_python,
    )


def _distinct(files: Iterable[IndexFile]) -> tuple[IndexFile, ...]:
    """Each name and content once, in name order; two indexes may have both under one name."""
    found: dict[tuple[str, str], IndexFile] = {}
    for file in files:
        found.setdefault((file.name, file.hashes.get("sha256", "")), file)
    return tuple(sorted(found.values(), key=lambda file: file.name))


def _reason(
    name: str, version: str, listings: Sequence[Listing], unhashed: Sequence[ListedFile]
) -> str:
    """Why a pin can't be had."""
    if unhashed:
        return f"it tells no hash of {unhashed[0].name}, so nothing vouches for the file"
    if not listings:
        return f"it has no project {name}"
    return f"it has no version {version} of {name}"


def _urls(variable: str, *, separator: str | None = None) -> tuple[str, ...]:
    items = (text.strip() for text in os.environ.get(variable, "").split(separator))
    return tuple(NamedIndex.parse(text).url for text in items if text)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
