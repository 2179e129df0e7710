"""A package index on 127.0.0.1 for tests, which can be told to misbehave.

It speaks the simple repository API (PEP 503 as HTML, PEP 691 as JSON) and serves the files.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import quote, unquote

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

_JSON = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How the answer for one path goes wrong.

    Attributes:
        status: answered instead of the file. headers: sent with it.
        truncate_at: the connection is closed after so many bytes of the file.
        content: sent in place of the file.
        redirect: answered as 302 to this URL.
        stall_after: so many bytes are sent, and then nothing until the index stops.
        stall_headers: not even a complete header is sent.
        drip: the file is sent in single bytes, with so many seconds between them.
        drip_headers: headers without end are sent so.
        wrong_range: a request for a range is answered as 206 from this offset.
        ignore_range: a request for a range is answered as a whole.
        times: how many requests it spoils; the ones after are answered properly. 0: all.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    truncate_at: int | None = None
    content: bytes | None = None
    redirect: str = ""
    stall_after: int | None = None
    stall_headers: bool = False
    drip: float = 0.0
    drip_headers: float = 0.0
    wrong_range: int | None = None
    ignore_range: bool = False
    times: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as the index saw it; header names are in lower case."""

    path: str
    headers: Mapping[str, str]


class LocalIndex:
    """Serves files below ``/files/`` and the simple API below ``/simple/``; a context manager.

    Args:
        user, password: when given, everything needs basic authentication.
        context: when given, HTTPS is spoken with it.
        html_only: answers as PEP 503 alone says, whatever was asked for.
    """

    def __init__(
        self,
        *,
        user: str = "",
        password: str = "",
        context: ssl.SSLContext | None = None,
        html_only: bool = False,
    ) -> None:
        self.user = user
        self.password = password
        self.html_only = html_only
        self.requests: list[Request] = []
        self._scheme = "https" if context else "http"
        self._files: dict[str, tuple[str, bytes]] = {}
        self._yanked: dict[str, str] = {}
        self._pythons: dict[str, str] = {}
        self.hashes = True  # whether pages tell them
        self._statuses: dict[str, tuple[str, str]] = {}
        self._faults: dict[str, Fault] = {}
        self._spoiled: dict[str, int] = {}
        self._guard = threading.Lock()
        self.stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.index = self
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def host(self) -> str:
        """``127.0.0.1:PORT``."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """The index URL, with a slash at its end."""
        return f"{self._scheme}://{self.host}/simple/"

    def url_with(self, user: str, password: str) -> str:
        """The index URL with credentials in it."""
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"{self._scheme}://{login}@{self.host}/simple/"

    def add(self, path: Path, *, name: str = "", requires_python: str = "") -> str:
        """Publish a wheel or source archive; says its URL.

        Args:
            path: the file.
            name: the package's, when the file's name does not begin with it.
            requires_python: what pages tell of it.
        """
        name = canonicalize_name(name or path.name.split("-")[0])
        if requires_python:
            self._pythons[path.name] = requires_python
        self._files[path.name] = (name, path.read_bytes())
        return self.file_url(path.name)

    def remove(self, file: str) -> None:
        """Delete a file, as an index may."""
        del self._files[file]

    def yank(self, file: str, reason: str = "") -> None:
        """Say of a file that it is not to be used any more (PEP 592)."""
        self._yanked[file] = reason

    def set_status(self, name: str, status: str, reason: str = "") -> None:
        """Give a project a status (PEP 792)."""
        self._statuses[name] = (status, reason)

    def file_url(self, file: str) -> str:
        """Where a file is, or would be."""
        return f"{self._scheme}://{self.host}/files/{quote(file)}"

    def fault(self, file: str, fault: Fault) -> None:
        """Let the answers for a file go wrong from now on.

        Args:
            file: its name, a path with a leading slash, or a whole URL as a proxy is asked for it.
            fault: how.
        """
        path = file if file.startswith("/") or "://" in file else f"/files/{file}"
        with self._guard:
            self._faults[path] = fault
            self._spoiled[path] = 0

    def heal(self) -> None:
        """Forget all faults."""
        with self._guard:
            self._faults.clear()

    def requested(self, file: str) -> list[Request]:
        """The requests for a file so far."""
        return [request for request in self.requests if request.path == f"/files/{file}"]

    def take_fault(self, path: str) -> Fault:
        """The fault for this request, which counts against its `times`."""
        with self._guard:
            fault = self._faults.get(path, Fault())
            if fault.times and self._spoiled[path] >= fault.times:
                return Fault()
            self._spoiled[path] = self._spoiled.get(path, 0) + 1
            return fault

    def content(self, path: str) -> bytes | None:
        """What a file's path serves."""
        found = self._files.get(path.removeprefix("/files/"))
        return found[1] if found and path.startswith("/files/") else None

    def page(self, name: str, *, as_json: bool) -> bytes | None:
        """One project's page of the simple API."""
        files = {file: data for file, (owner, data) in self._files.items() if owner == name}
        if not files:
            return None
        digests = {file: hashlib.sha256(data).hexdigest() for file, data in files.items()}
        if as_json:
            listed = [
                {
                    "filename": file,
                    "url": f"../../files/{quote(file)}",
                    "hashes": {"sha256": digests[file]} if self.hashes else {},
                    "size": len(data),
                    **({"requires-python": text} if (text := self._pythons.get(file)) else {}),
                    **({"yanked": self._yanked[file] or True} if file in self._yanked else {}),
                }
                for file, data in files.items()
            ]
            page = {"meta": {"api-version": "1.1"}, "name": name, "versions": [], "files": listed}
            if name in self._statuses:
                status, reason = self._statuses[name]
                page["project-status"] = {"status": status, "reason": reason}
            return json.dumps(page).encode()
        links = "".join(
            f'<a href="../../files/{quote(file)}{self._fragment(digests[file])}"{self._mark(file)}>'
            f"{html.escape(file)}</a>\n"
            for file in files
        )
        status, reason = (html.escape(text) for text in self._statuses.get(name, ("active", "")))
        meta = (
            f'<meta name="pypi:project-status" content="{status}">'
            f'<meta name="pypi:project-status-reason" content="{reason}">'
        )
        head = f"<head>{meta}</head>" if name in self._statuses else ""
        return f"<!DOCTYPE html><html>{head}<body>\n{links}</body></html>\n".encode()

    def _fragment(self, digest: str) -> str:
        return f"#sha256={digest}" if self.hashes else ""

    def _mark(self, file: str) -> str:
        marks = {"yanked": self._yanked, "requires-python": self._pythons}
        return "".join(
            f' data-{name}="{html.escape(found[file])}"'
            for name, found in marks.items()
            if file in found
        )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    index: LocalIndex

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what many of the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Keep quiet."""

    def do_GET(self) -> None:
        index = self.server.index
        path = unquote(self.path.partition("?")[0])
        headers = {name.lower(): value for name, value in self.headers.items()}
        index.requests.append(Request(path=path, headers=headers))
        if index.user and headers.get("authorization") != self._expected():
            self._answer(401, b"", {"WWW-Authenticate": 'Basic realm="index"'})
            return
        if path.startswith("/simple/") and path.endswith("/") and path.count("/") == 3:
            self._page(path)
            return
        fault = index.take_fault(path)
        content = index.content(path) if fault.content is None else fault.content
        if fault.stall_headers:
            self.wfile.write(b"HTTP/1.1 200 O")
            self.wfile.flush()
            index.stopping.wait()
            self.close_connection = True
        elif fault.drip_headers:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            self._drip(b"X-Slow: y\r\n" * 1000, fault.drip_headers)
        elif fault.redirect:
            self._answer(302, b"", {"Location": fault.redirect})
        elif fault.status:
            self._answer(fault.status, b"", fault.headers)
        elif content is None:
            self._answer(404, b"", {})
        elif path.endswith("/"):
            self._answer(200, content, {"Content-Type": "text/html"})
        else:
            self._file(content, headers.get("range", ""), fault)

    def do_HEAD(self) -> None:
        """Say that files are only had whole; uv asks so before it reads a wheel's metadata."""
        self._answer(405, b"", {})

    def _expected(self) -> str:
        pair = f"{self.server.index.user}:{self.server.index.password}"
        return "Basic " + base64.b64encode(pair.encode()).decode()

    def _page(self, path: str) -> None:
        index = self.server.index
        fault = index.take_fault(path)
        as_json = _JSON in self.headers.get("Accept", "") and not index.html_only
        page = fault.content or index.page(canonicalize_name(path.split("/")[2]), as_json=as_json)
        if fault.status or page is None:
            self._answer(fault.status or 404, b"", fault.headers)
            return
        headers = {"Content-Type": _JSON if as_json else "text/html", **fault.headers}
        if "gzip" in self.headers.get("Accept-Encoding", "") and fault.content is None:
            page = gzip.compress(page)
            headers["Content-Encoding"] = "gzip"
        if fault.drip or fault.truncate_at is not None:
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self._drip(page[: fault.truncate_at], fault.drip)
            return
        self._answer(200, page, headers)

    def _file(self, content: bytes, wanted: str, fault: Fault) -> None:
        start = 0
        status = 200
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "Accept-Ranges": "bytes"}
        if wanted.startswith("bytes=") and not fault.ignore_range:
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            start = start if fault.wrong_range is None else fault.wrong_range
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        end = fault.truncate_at if fault.stall_after is None else fault.stall_after
        if fault.drip:
            self._drip(body, fault.drip)
            return
        self.wfile.write(body if end is None else body[: max(0, end - start)])
        self.wfile.flush()
        if fault.stall_after is not None:
            self.server.index.stopping.wait()
        self.close_connection = end is not None

    def _drip(self, data: bytes, pause: float) -> None:
        for place in range(len(data)):
            self.wfile.write(data[place : place + 1])
            self.wfile.flush()
            if pause and self.server.index.stopping.wait(pause):
                break
        self.close_connection = True

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
