"""One HTTP request as an index needs it: private CAs, proxies, credentials, safe redirects."""

from __future__ import annotations

import email.utils
import errno
import os
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, LocationParseError

from venvctl.credentials import origin, redact, separate
from venvctl.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from urllib3.response import BaseHTTPResponse

    from venvctl.credentials import Credentials

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAXIMUM_REDIRECTS = 8
_OK = frozenset({200, 206})
_UNAUTHORIZED = 401
_ABSENT = frozenset({404, 410})
_REQUEST_TIMEOUT = 408
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_CONNECT_TIMEOUT = 15.0  # seconds


class FinalFault(Exception):  # noqa: N818 - what befell a request, and no error until all have failed
    """An answer that will not get better by asking again; words that follow a URL."""


class AbsentFault(FinalFault):
    """What was asked for is not there, as the index itself says."""


class PassingFault(Exception):  # noqa: N818 - the same
    """An answer that may be another one later; words that follow a URL.

    Args:
        reason: the words.
        retry_after: seconds that the index asks to wait, if it does.
    """

    def __init__(self, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class SilentFault(PassingFault):
    """No answer at all: nobody is there, or a firewall is between."""


class Transport:
    """Requests over kept connections, from any thread.

    TLS trusts what SSL_CERT_FILE and SSL_CERT_DIR name, else the system's own authorities, and
    those of `ca_file` besides. Proxies are those of HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY.

    Args:
        credentials: for URLs that have none in themselves.
        insecure_hosts: ``host`` or ``host:port`` that may be asked over plain HTTP.
        connections: kept for each host.
        stall: seconds without a byte, and for all headers, after which an answer is given up.
        ca_file: PEM certificates to trust besides.
        proxies: URLs of proxies by scheme, and what goes without under ``no``, as
            `getproxies_environment` gives them, where the variables name none.

    Raises:
        ConfigurationError: certificates can't be read.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        insecure_hosts: Collection[str] = (),
        connections: int = 16,
        stall: float = 30.0,
        ca_file: Path | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> None:
        self._credentials = credentials
        self._proxies = {**(proxies or {}), **getproxies_environment()}
        self._insecure_hosts = frozenset(host.lower() for host in insecure_hosts)
        self._timeout = urllib3.Timeout(connect=min(_CONNECT_TIMEOUT, stall), read=stall)
        self._context = _trust(ca_file)
        self._options: dict[str, Any] = {
            "maxsize": connections,
            "ssl_context": self._context,
            "retries": False,
        }
        self._direct = _watched(urllib3.PoolManager(**self._options), stall)
        self._stall = stall
        self._managers: dict[str, urllib3.PoolManager] = {}
        self._guard = threading.Lock()
        self._open: set[BaseHTTPResponse] = set()

    def close(self) -> None:
        """End every request that is under way, in whatever thread, and all kept connections."""
        with self._guard:
            for response in self._open:
                response.shutdown()
        for manager in (self._direct, *self._managers.values()):
            manager.clear()

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Iterator[BaseHTTPResponse]:
        """Ask for a URL and give the answer, 200 or 206, with its body unread.

        Raises:
            FinalFault: refused, not there, or not safe to ask.
            PassingFault: no answer, a broken one, or one that says to come back.
        """
        try:
            response = self._follow(url, dict(headers or {}))
        except (LocationParseError, ValueError) as error:
            raise FinalFault("is not a URL that can be asked") from error
        except (HTTPError, OSError) as error:
            cause = _cause(error)
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise FinalFault(
                    f"can't be trusted: {cause.verify_message}. SSL_CERT_FILE can name a file with "
                    "the authority that signed it"
                ) from error
            raise SilentFault(f"gives no answer ({_words(error)})") from error
        with self._guard:
            self._open.add(response)
        try:
            yield response
        except (HTTPError, OSError) as error:
            if isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError):
                raise  # not the network: what the caller does with the bytes
            raise PassingFault(f"stops in the middle ({_words(error)})") from error
        finally:
            with self._guard:
                self._open.discard(response)
            # A body that was not read to its end would be the next answer on that connection.
            response.close()
            response.release_conn()

    def _follow(self, url: str, headers: dict[str, str]) -> BaseHTTPResponse:
        """The answer after all redirects; credentials stay with the origin they are for."""
        url, own = separate(url)
        first = origin(url)
        self._check(url)
        for _ in range(_MAXIMUM_REDIRECTS):
            login = (own if origin(url) == first else None) or self._credentials.find(url)
            response = self._ask(url, headers, login.authorization if login else "")
            if response.status == _UNAUTHORIZED and (asked := self._credentials.ask_keyring(url)):
                response.drain_conn()
                response = self._ask(url, headers, asked.authorization)
            if response.status not in _REDIRECTS:
                return self._judge(response)
            location = response.headers.get("Location", "")
            response.drain_conn()
            response.release_conn()
            following, found = separate(urljoin(url, location))
            if origin(url)[0] == "https" and origin(following)[0] != "https":
                raise FinalFault(f"redirects from HTTPS to {redact(following)}, which is refused")
            if found:
                own, first = found, origin(following)
            try:
                self._check(following)
            except FinalFault as fault:
                raise FinalFault(f"redirects to {redact(following)}, which {fault}") from fault
            url = following
        raise FinalFault(f"redirects more than {_MAXIMUM_REDIRECTS} times")

    def _ask(self, url: str, headers: Mapping[str, str], authorization: str) -> BaseHTTPResponse:
        return self._manager(url).request(
            "GET",
            url,
            headers={
                "User-Agent": "venvctl",
                # A file must arrive as it is: its hash is of the bytes that were published.
                "Accept-Encoding": "identity",
                **headers,
                **({"Authorization": authorization} if authorization else {}),
            },
            redirect=False,
            preload_content=False,
            decode_content=False,
            enforce_content_length=False,  # `fetch` counts, and says more of what is missing
            timeout=self._timeout,
        )

    def _check(self, url: str) -> None:
        """HTTPS, unless the host was named insecure on purpose (a loopback address too)."""
        scheme, host, port = origin(url)
        if scheme == "https":
            return
        if scheme != "http":
            raise FinalFault(f"is {scheme or 'no'}: and not https:")
        if not {host, f"{host}:{port}"} & self._insecure_hosts:
            raise FinalFault("is plain HTTP, and its host is not named insecure")

    def _judge(self, response: BaseHTTPResponse) -> BaseHTTPResponse:
        status = response.status
        if status in _OK:
            return response
        words = f"answers {status} {response.reason or ''}".rstrip()
        response.drain_conn()
        response.release_conn()
        if status in {_REQUEST_TIMEOUT, _TOO_MANY_REQUESTS} or status >= _SERVER_ERROR:
            raise PassingFault(words, retry_after=_retry_after(response.headers))
        raise (AbsentFault if status in _ABSENT else FinalFault)(words)

    def _manager(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme) or self._proxies.get("all") or ""
        host = parts.netloc.rpartition("@")[2]
        if not proxy or proxy_bypass(host, self._proxies):
            return self._direct
        with self._guard:
            if proxy not in self._managers:
                bare, login = separate(proxy)
                pair = {"Proxy-Authorization": login.authorization} if login else None
                try:
                    manager = urllib3.ProxyManager(bare, proxy_headers=pair, **self._options)
                except (HTTPError, ValueError) as error:
                    raise ConfigurationError(
                        f"The proxy {redact(proxy)} can't be used: {_words(error)}.",
                        hint="Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY.",
                    ) from error
                self._managers[proxy] = _watched(manager, self._stall)
            return self._managers[proxy]


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        path = os.environ.get(variable)
        # OpenSSL would go on with no authority at all, and every index look forged.
        if path and not os.path.exists(path):  # noqa: PTH110 - it may be a list with colons
            if variable == "SSL_CERT_DIR" and ":" in path:
                continue
            raise ConfigurationError(
                f"{variable} names {path}, which does not exist.", hint=f"Correct {variable}."
            )
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"The certificates in {ca_file} can't be used: {error.strerror or error}.",
                hint="It must be a file in PEM format that venvctl may read.",
            ) from error
    return context


def _watched(manager: urllib3.PoolManager, stall: float) -> urllib3.PoolManager:
    """Bound the time for all headers of an answer together, which a socket's timeout does not."""

    class Plain(HTTPConnection):
        def getresponse(self) -> Any:
            with _limit(self, stall):
                return super().getresponse()

    class Secure(HTTPSConnection):
        def getresponse(self) -> Any:
            with _limit(self, stall):
                return super().getresponse()

    manager.pool_classes_by_scheme = {
        "http": type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": Plain}),
        "https": type("SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": Secure}),
    }
    return manager


@contextmanager
def _limit(connection: HTTPConnection, seconds: float) -> Iterator[None]:
    late = threading.Event()

    def end() -> None:
        late.set()
        with suppress(OSError):  # it has just ended by itself
            connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if late.is_set():
        # To the parser of headers an ended connection is an ended header.
        raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds (RFC 9110, section 10.2.3): a number, or a date."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def _cause(error: BaseException) -> BaseException:
    """The innermost error that led to this one."""
    while isinstance(
        inner := error.__cause__ or error.__context__ or getattr(error, "reason", None),
        BaseException,
    ):
        error = inner
    return error


def _words(error: BaseException) -> str:
    """The innermost cause in a few words, without the URL that urllib3 puts into its own."""
    cause = _cause(error)
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return type(cause).__name__
