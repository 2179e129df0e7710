"""Who may read a private index: found where pip and uv look for it, and never shown."""

from __future__ import annotations

import base64
import netrc
import os
import pwd
import re
import shutil
import subprocess
import threading
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PORTS = {"http": 80, "https": 443}
_KEYRING_TIMEOUT = 15.0  # seconds; one that wants to talk to a person gets nobody
_INDEX_VARIABLES = (
    *("UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"),
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedIndex:
    """An index as a configuration names it; the name finds ``UV_INDEX_<NAME>_PASSWORD``."""

    name: str = ""
    url: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> NamedIndex:
        """An index as uv's variables name it: its URL, perhaps after its name and a ``=``."""
        name, equals, url = text.partition("=")
        # The URL itself may have a = in it.
        if equals and re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            return cls(name=name, url=url)
        return cls(url=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user and a password; never printed."""

    user: str = field(repr=False)
    password: str = field(repr=False)

    @property
    def authorization(self) -> str:
        """The value of an ``Authorization`` header (RFC 7617)."""
        pair = f"{self.user}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode()


def redact(url: str) -> str:
    """A URL without what may be secret in it: user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        bare = _bare_host(parts)
        _ = parts.port  # a property that checks: half a password could be taken for one
    except ValueError:
        return "a malformed URL"
    return urlunsplit((parts.scheme, bare, parts.path, "", "")) + ("?…" if parts.query else "")


def separate(url: str) -> tuple[str, Login | None]:
    """A URL without its user and password, and those.

    Raises:
        ValueError: the URL can't be taken apart.
    """
    parts = urlsplit(url)
    bare = urlunsplit((parts.scheme, _bare_host(parts), parts.path, parts.query, ""))
    if parts.username is None:
        return bare, None
    return bare, Login(user=unquote(parts.username), password=unquote(parts.password or ""))


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: what a password belongs to (RFC 6454)."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(scheme, 0)


class Credentials:
    """Finds the login for a URL, in this order: an index's own URL, UV_INDEX_*, netrc, keyring.

    Args:
        indexes: those of the configuration, the lock and its project.
        environment: where variables are looked up.
    """

    def __init__(
        self, indexes: Iterable[NamedIndex] = (), *, environment: Mapping[str, str] | None = None
    ) -> None:
        self._environment = os.environ if environment is None else environment
        self._indexes = (*indexes, *self._from_environment())
        self._keyring: dict[tuple[str, str, int], Login | None] = {}
        self._guard = threading.Lock()

    def find(self, url: str) -> Login | None:
        """The login for a URL that has none in itself; asks no keyring, and knows what one said."""
        if known := self._keyring.get(origin(url)):
            return known
        for index in self._serving(url):
            login = self._named(index.name) or separate(index.url)[1]
            if login and login.password:
                return login
        return self._from_netrc(url)

    def ask_keyring(self, url: str) -> Login | None:
        """The login that the user's keyring has for a URL's index, if there is a keyring.

        Asked only after an index has answered that it wants one, since a keyring is slow.
        """
        place = origin(url)
        with self._guard:  # many downloads begin at once
            if place not in self._keyring:
                self._keyring[place] = self._from_keyring(url)
            return self._keyring[place]

    def _from_environment(self) -> Iterator[NamedIndex]:
        for variable in _INDEX_VARIABLES:
            for item in self._environment.get(variable, "").split():
                yield NamedIndex.parse(item)

    def _serving(self, url: str) -> list[NamedIndex]:
        """The indexes of the URL's origin; the one with the longest path in common first."""
        path = urlsplit(url).path.split("/")

        def common(index: NamedIndex) -> int:
            pairs = zip(urlsplit(index.url).path.split("/"), path, strict=False)
            return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))

        here = [index for index in self._indexes if origin(index.url) == origin(url)]
        return sorted(here, key=common, reverse=True)

    def _named(self, name: str) -> Login | None:
        if not name:
            return None
        variable = "UV_INDEX_" + re.sub(r"[^A-Z0-9]", "_", name.upper())
        user = self._environment.get(f"{variable}_USERNAME")
        password = self._environment.get(f"{variable}_PASSWORD")
        if user is None and password is None:
            return None
        return Login(user=user or "", password=password or "")

    @cached_property
    def _netrc(self) -> netrc.netrc | None:
        # A service of the system has no HOME.
        home = self._environment.get("HOME") or pwd.getpwuid(os.geteuid()).pw_dir
        path = self._environment.get("NETRC") or str(Path(home) / ".netrc")
        try:
            return netrc.netrc(path)
        except (OSError, netrc.NetrcParseError):
            return None

    def _from_netrc(self, url: str) -> Login | None:
        if self._netrc is None:
            return None
        found = self._netrc.authenticators(urlsplit(url).hostname or "")
        return Login(user=found[0] or "", password=found[2] or "") if found else None

    def _from_keyring(self, url: str) -> Login | None:
        program = shutil.which("keyring", path=self._environment.get("PATH"))
        if program is None:
            return None
        services = [separate(index.url)[0] for index in self._serving(url)]
        users = {
            login.user
            for index in self._serving(url)
            if (login := self._named(index.name) or separate(index.url)[1]) and login.user
        }
        for service in [*services, urlsplit(url).netloc.rpartition("@")[2]]:
            for user in sorted(users):
                if lines := self._ask(program, "get", service, user):
                    return Login(user=user, password=lines[0])
            lines = self._ask(program, "--mode", "creds", "get", service)
            if len(lines) > 1:
                return Login(user=lines[0], password=lines[1])
        return None

    def _ask(self, *command: str) -> list[str]:
        try:
            done = subprocess.run(
                command,
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=_KEYRING_TIMEOUT,
            )
        except (OSError, subprocess.TimeoutExpired):
            return []
        return done.stdout.splitlines() if done.returncode == 0 else []


def _bare_host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]
