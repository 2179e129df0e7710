"""Finds a file by its hash in another index (simple repository API, PEP 503 and PEP 691)."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urldefrag, urljoin

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


def locate(transport: Transport, index: str, *, name: str, sha256: str) -> str | None:
    """Where an index has a file of that hash; None if it has none.

    Args:
        transport: asks.
        index: the index URL, with or without a slash at its end.
        name: of the package, normalised (PEP 503).
        sha256: lower-case hexadecimal.

    Raises:
        FinalFault, PassingFault: as `Transport.get`.
    """
    page = index.rstrip("/") + f"/{name}/"
    with transport.get(page, {"Accept": _ACCEPT}) as response:
        data = response.read(_PAGE_SIZE + 1)
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
    if len(data) > _PAGE_SIZE:
        raise FinalFault(f"is a page of more than {_PAGE_SIZE:,} bytes")
    try:
        found = _in_json(data, sha256) if kind == _JSON else _in_html(data, sha256)
    except _FAULTS as error:
        raise FinalFault("is not a page of the simple repository API") from error
    return None if found is None else urljoin(page, found)


def _in_json(data: bytes, sha256: str) -> str | None:
    for file in json.loads(data)["files"]:
        if file["hashes"].get("sha256") == sha256:
            return str(file["url"])
    return None


def _in_html(data: bytes, sha256: str) -> str | None:
    anchors = _Anchors()
    anchors.feed(data.decode("utf-8", "replace"))
    for link in anchors.links:
        url, fragment = urldefrag(link)
        if fragment == f"sha256={sha256}":
            return url
    return None


class _Anchors(HTMLParser):
    """Collects the targets of a page's links."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if tag == "a" and name == "href" and value]
