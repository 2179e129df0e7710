"""What an index lists for a project now: its files, and which of them were yanked.

Follows the simple repository API: PEP 503 and PEP 691, with PEP 592 (yanked files) and PEP 792
(project status).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from venvctl.transport import FinalFault

if TYPE_CHECKING:
    from venvctl.transport import Transport

_JSON = "application/vnd.pypi.simple.v1+json"
_ACCEPT = f"{_JSON}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
# Of a page that is none; the standard library's HTML parser asserts what it expects.
_FAULTS = (
    *(ValueError, KeyError, TypeError, AttributeError),
    *(RecursionError, AssertionError),
)
_PAGE_SIZE = 64 << 20  # bytes; the largest project pages of public indexes have about 10 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """One file of a project's page.

    Attributes:
        sha256: lower-case hexadecimal; "" where the index tells none.
        yanked: whether it was.
        reason: why, where the index tells.
    """

    name: str
    sha256: str
    yanked: bool = False
    reason: str = ""


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


def ask(transport: Transport, index: str, name: str) -> Listing:
    """Ask an index for a project's page.

    Args:
        transport: asks.
        index: the index URL, with or without a slash at its end.
        name: of the project, normalised (PEP 503).

    Raises:
        AbsentFault: the index has no such project.
        FinalFault, PassingFault: as `Transport.get`.
    """
    page = index.rstrip("/") + f"/{name}/"
    with transport.get(page, {"Accept": _ACCEPT}) as response:
        data = response.read(_PAGE_SIZE + 1)
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
    if len(data) > _PAGE_SIZE:
        raise FinalFault(f"is a page of more than {_PAGE_SIZE:,} bytes")
    try:
        return _from_json(json.loads(data)) if kind == _JSON else _from_html(data)
    except _FAULTS as error:
        raise FinalFault("is not a page of the simple repository API") from error


def _from_json(page: dict[str, Any]) -> Listing:
    status = page.get("project-status") or {}
    return Listing(
        files=tuple(
            ListedFile(
                name=str(file["filename"]),
                sha256=str(file["hashes"].get("sha256", "")),
                # "may be either ... true, or a string" that is the reason (PEP 691)
                yanked=file.get("yanked", False) is not False,
                reason=yanked if isinstance(yanked := file.get("yanked", ""), str) else "",
            )
            for file in page["files"]
        ),
        status=str(status.get("status", "active")),
        status_reason=str(status.get("reason") or ""),
    )


def _from_html(data: bytes) -> Listing:
    page = _Page()
    page.feed(data.decode("utf-8", "replace"))
    return Listing(files=tuple(page.files), status=page.status, status_reason=page.status_reason)


class _Page(HTMLParser):
    """Collects a page's files."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[ListedFile] = []
        self.status = "active"
        self.status_reason = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "meta" and found.get("name") == "pypi:project-status":
            self.status = found.get("content") or "active"
        elif tag == "meta" and found.get("name") == "pypi:project-status-reason":
            self.status_reason = found.get("content") or ""
        elif tag == "a" and (link := found.get("href")):
            parts = urlsplit(link)
            algorithm, _, digest = parts.fragment.partition("=")
            self.files.append(
                ListedFile(
                    name=unquote(parts.path.rpartition("/")[2]),
                    sha256=digest if algorithm == "sha256" else "",
                    yanked="data-yanked" in found,
                    reason=found.get("data-yanked") or "",
                )
            )
