"""What an index lists for a project now: its files, with everything that it tells of them.

Follows the simple repository API: PEP 503 and PEP 691, with PEP 592 (yanked files), PEP 700 (sizes,
times) and PEP 792 (project status).
"""

from __future__ import annotations

import json
import random
import re
import time
import zlib
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from venvctl.transport import FinalFault, PassingFault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from urllib3.response import BaseHTTPResponse

    from venvctl.transport import Transport

_JSON = "application/vnd.pypi.simple.v1+json"
_ACCEPT = f"{_JSON}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
# Of a page that is none; the standard library's HTML parser asserts what it expects.
_FAULTS = (
    *(ValueError, KeyError, TypeError, AttributeError),
    *(RecursionError, AssertionError, zlib.error),
)
_LENGTH = re.compile(r"[0-9]{1,18}")
_PAGE_SIZE = 64 << 20  # bytes; the largest project pages of public indexes have about 10 MB
_ATTEMPTS = 3
_LONGEST_WAIT = 60.0  # seconds
_SECONDS = 120.0  # for a whole page
_BLOCK = 256 << 10
_TOO_LARGE = f"is a page of more than {_PAGE_SIZE:,} bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """One file of a project's page.

    Attributes:
        url: where it is; it may carry credentials, so it is never shown.
        hashes: algorithm → lower-case hexadecimal digest; empty where the index tells none.
        requires_python: which Pythons it is for (PEP 440), as the index has it; "" for all.
        size: in bytes, where the index tells.
        upload_time: RFC 3339, where the index tells.
        yanked: whether it was.
        reason: why, where the index tells.
    """

    name: str
    url: str = field(default="", repr=False)
    hashes: Mapping[str, str] = field(default_factory=dict)
    requires_python: str = ""
    size: int | None = None
    upload_time: str = ""
    yanked: bool = False
    reason: str = ""

    @property
    def sha256(self) -> str:
        """Lower-case hexadecimal; "" where the index tells none."""
        return self.hashes.get("sha256", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A project's page.

    Attributes:
        status: of the project (PEP 792): ``active``, ``archived``, ``deprecated``, ``quarantined``.
        status_reason: why, where the index tells.
    """

    files: tuple[ListedFile, ...]
    status: str = "active"
    status_reason: str = ""


def ask(
    transport: Transport, index: str, name: str, *, keep: Callable[[str], bool] = lambda _: True
) -> Listing:
    """Ask an index for a project's page.

    Args:
        transport: asks.
        index: the index URL, with or without a slash at its end.
        name: of the project, normalised (PEP 503).
        keep: says of a file's name whether it is wanted; a page can have thousands of them.

    Raises:
        AbsentFault: the index has no such project.
        FinalFault, PassingFault: as `Transport.get`.
    """
    return read(transport, index.rstrip("/") + f"/{name}/", keep=keep)


def read(
    transport: Transport, url: str, *, keep: Callable[[str], bool] = lambda _: True
) -> Listing:
    """Read one page, of a project or any other with links to files.

    Raises:
        AbsentFault, FinalFault, PassingFault: as `Transport.get`.
    """
    # A page of thousands of files is a tenth of its size when compressed.
    with transport.get(url, {"Accept": _ACCEPT, "Accept-Encoding": "gzip"}) as response:
        data = _body(response)
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
        coding = response.headers.get("Content-Encoding", "").strip().lower()
    try:
        if coding == "gzip":
            data = _unpacked(data)
        if len(data) > _PAGE_SIZE:
            raise FinalFault(_TOO_LARGE)
        if kind == _JSON:
            return _from_json(json.loads(data), url, keep)
        return _from_html(data, url, keep)
    except _FAULTS as error:
        raise FinalFault("is not a page of the simple repository API") from error


def _unpacked(data: bytes) -> bytes:
    """The content of a gzip stream; of a bomb not more than a page may have."""
    stream = zlib.decompressobj(wbits=31)
    unpacked = stream.decompress(data, _PAGE_SIZE + 1)
    if not stream.eof and len(unpacked) <= _PAGE_SIZE:
        raise PassingFault("ends in the middle")
    return unpacked


def _body(response: BaseHTTPResponse) -> bytes:
    """All of it, unless it is endless, or comes so slowly that it might as well be."""
    blocks = []
    size = 0
    end = time.monotonic() + _SECONDS
    while block := response.read1(_BLOCK, decode_content=False):
        blocks.append(block)
        size += len(block)
        if size > _PAGE_SIZE:
            raise FinalFault(_TOO_LARGE)
        if time.monotonic() > end:
            raise PassingFault(f"did not end within {_SECONDS:g} seconds")
    announced = response.headers.get("Content-Length", "")
    if _LENGTH.fullmatch(announced) and size < int(announced):
        raise PassingFault(f"ends after {size:,} of {int(announced):,} bytes")
    return b"".join(blocks)


def patiently(
    transport: Transport, index: str, name: str, *, keep: Callable[[str], bool] = lambda _: True
) -> Listing:
    """The same as `ask`, up to three times.

    Raises:
        AbsentFault, FinalFault, PassingFault: as `ask`.
    """
    for attempt in range(1, _ATTEMPTS):
        try:
            return ask(transport, index, name, keep=keep)
        except PassingFault as fault:
            if (fault.retry_after or 0.0) > _LONGEST_WAIT:
                raise  # to ask earlier than it wants would make it worse
            # Full jitter, as in `fetch`.
            time.sleep(fault.retry_after or random.uniform(0, 0.5 * 2**attempt))  # noqa: S311 - no secret
    return ask(transport, index, name, keep=keep)


def locate(transport: Transport, index: str, *, name: str, sha256: str) -> str | None:
    """Where an index has a file of that hash; None if it has none.

    Args:
        transport: asks.
        index: the index URL, with or without a slash at its end.
        name: of the project, normalised (PEP 503).
        sha256: lower-case hexadecimal.

    Raises:
        FinalFault, PassingFault: as `Transport.get`.
    """
    for file in patiently(transport, index, name).files:
        if file.sha256 == sha256:
            return file.url
    return None


def _from_json(page: dict[str, Any], url: str, keep: Callable[[str], bool]) -> Listing:
    status = page.get("project-status") or {}
    return Listing(
        files=tuple(
            ListedFile(
                name=str(file["filename"]),
                url=urljoin(url, str(file["url"])),
                hashes=_lower(file["hashes"]),
                requires_python=str(file.get("requires-python") or ""),
                size=size if isinstance(size := file.get("size"), int) else None,
                upload_time=str(file.get("upload-time") or ""),
                # "may be either ... true, or a string" that is the reason (PEP 691)
                yanked=file.get("yanked", False) is not False,
                reason=yanked if isinstance(yanked := file.get("yanked", ""), str) else "",
            )
            for file in page["files"]
            if keep(file["filename"])
        ),
        status=str(status.get("status", "active")),
        status_reason=str(status.get("reason") or ""),
    )


def _lower(hashes: Mapping[str, str]) -> dict[str, str]:
    return {str(name).lower(): str(digest).lower() for name, digest in hashes.items()}


def _from_html(data: bytes, url: str, keep: Callable[[str], bool]) -> Listing:
    page = _Page(url, keep)
    page.feed(data.decode("utf-8", "replace"))
    return Listing(files=tuple(page.files), status=page.status, status_reason=page.status_reason)


class _Page(HTMLParser):
    """Collects a page's files."""

    def __init__(self, url: str, keep: Callable[[str], bool]) -> None:
        super().__init__()
        self._base = url
        self._keep = keep
        self.files: list[ListedFile] = []
        self.status = "active"
        self.status_reason = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "base" and (link := found.get("href")):
            self._base = urljoin(self._base, link)
        elif tag == "meta" and found.get("name") == "pypi:project-status":
            self.status = found.get("content") or "active"
        elif tag == "meta" and found.get("name") == "pypi:project-status-reason":
            self.status_reason = found.get("content") or ""
        elif tag == "a" and (link := found.get("href")):
            target, fragment = urldefrag(link)
            algorithm, _, digest = fragment.partition("=")
            name = unquote(urlsplit(target).path.rpartition("/")[2])
            if not self._keep(name):
                return
            self.files.append(
                ListedFile(
                    name=name,
                    url=urljoin(self._base, target),
                    hashes=_lower({algorithm: digest}) if digest else {},
                    requires_python=found.get("data-requires-python") or "",
                    yanked="data-yanked" in found,
                    reason=found.get("data-yanked") or "",
                )
            )
