"""The configuration file: which indexes there are, and how they are reached."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args
from urllib.parse import urlsplit

from venvctl.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from venvctl.credentials import NamedIndex
    from venvctl.indexes import IndexOptions
    from venvctl.transport import Transport

SYSTEM_FILE = Path("/etc/venvctl/config.toml")
_SIZE = 1 << 20  # bytes; a person has written it
_TABLES = ("index", "network")
_INDEX_KEYS = ("name", "url", "use")
_NETWORK_KEYS = ("ca-file", "insecure-hosts", "netrc", "no-proxy", "proxy")

Use = Literal["extra", "default", "mirror"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredIndex:
    """One ``[[index]]`` of the file.

    Attributes:
        name: finds ``UV_INDEX_<NAME>_USERNAME`` and ``_PASSWORD``; may be empty.
        url: of the simple repository API; it may carry credentials, so it is never shown.
        use: ``extra``: asked beside the default index; ``default``: in place of it, where a lock
            names none; ``mirror``: only asked for files, by their hash.
    """

    name: str = ""
    url: str = field(repr=False)
    use: Use = "extra"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the configuration files say together; all empty where there is none.

    Attributes:
        files: that were read.
        indexes: in their order.
        insecure_hosts: ``host`` or ``host:port`` that may be asked over plain HTTP.
        ca_file: PEM certificates of authorities to trust beside the system's.
        netrc: where logins are, instead of ``~/.netrc``.
        proxy: URL of the proxy, where the variables name none.
        no_proxy: hosts and domains that are asked without it.
    """

    files: tuple[Path, ...] = ()
    indexes: tuple[ConfiguredIndex, ...] = ()
    insecure_hosts: tuple[str, ...] = ()
    ca_file: Path | None = None
    netrc: Path | None = None
    proxy: str = field(default="", repr=False)
    no_proxy: tuple[str, ...] = ()

    @property
    def mirrors(self) -> tuple[str, ...]:
        """URLs where a file is looked up by its hash when its own URLs fail: of every index."""
        return tuple(index.url for index in self.indexes)

    def options(self) -> IndexOptions:
        """Where pins are asked for that say nothing of an index."""
        from venvctl.indexes import IndexOptions  # noqa: PLC0415 - only who asks needs it

        return IndexOptions(
            url=next((index.url for index in self.indexes if index.use == "default"), ""),
            extra=tuple(index.url for index in self.indexes if index.use == "extra"),
            insecure_hosts=self.insecure_hosts,
        )

    def environment(self) -> dict[str, str]:
        """Variables that say the same to a program that is started; what is set already counts."""
        found = {}
        if self.netrc:
            found["NETRC"] = str(self.netrc)
        if self.proxy and not _set("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
            found |= {"HTTPS_PROXY": self.proxy, "HTTP_PROXY": self.proxy}
        if self.no_proxy and not _set("NO_PROXY"):
            found["NO_PROXY"] = ",".join(self.no_proxy)
        return found

    def uv_environment(self, mirrors: Sequence[str], directory: Path) -> dict[str, str]:
        """The same for uv, where it has to resolve something.

        Args:
            mirrors: URLs of indexes to ask beside those of the configuration.
            directory: a private one, for a file of certificates.
        """
        from venvctl.indexes import effective  # noqa: PLC0415 - only who asks needs it
        from venvctl.lockfiles.model import Index  # noqa: PLC0415 - the same

        asked = effective(Index(), self.options())
        # Variables, not arguments: those can be seen by every user of the host.
        found = {
            **self.environment(),
            "UV_INDEX": " ".join(dict.fromkeys((*mirrors, *asked.extra))),
            "UV_EXTRA_INDEX_URL": "",
            "UV_INDEX_URL": "",
        }
        if asked.url:
            found["UV_DEFAULT_INDEX"] = asked.url
        if self.insecure_hosts:
            found["UV_INSECURE_HOST"] = " ".join(self.insecure_hosts)
        if self.ca_file:
            found["SSL_CERT_FILE"] = str(self._bundle(directory))
        return found

    def _bundle(self, directory: Path) -> Path:
        """One file with the system's authorities and the configured ones: uv takes no second."""
        import ssl  # noqa: PLC0415 - few need it

        system = ssl.get_default_verify_paths().cafile
        parts = [Path(system)] if system else []
        parts += [self.ca_file] if self.ca_file else []
        path = directory / "certificates.pem"
        path.write_bytes(b"\n".join(part.read_bytes() for part in parts))
        return path

    def transport(
        self,
        indexes: Iterable[NamedIndex] = (),
        insecure_hosts: Collection[str] = (),
        *,
        connections: int = 16,
        stall: float = 30.0,
    ) -> Transport:
        """What asks indexes.

        Args:
            indexes: further ones, for the logins in their URLs.
            insecure_hosts: further ones.
            connections: kept for each host.
            stall: seconds, as `Transport`.

        Raises:
            ConfigurationError: as `Transport`.
        """
        from venvctl.credentials import Credentials, NamedIndex  # noqa: PLC0415 - the same
        from venvctl.transport import Transport  # noqa: PLC0415 - it brings an HTTP stack

        own = [NamedIndex(name=index.name, url=index.url) for index in self.indexes]
        return Transport(
            Credentials([*own, *indexes], environment={**os.environ, **self.environment()}),
            insecure_hosts={*self.insecure_hosts, *insecure_hosts},
            connections=connections,
            stall=stall,
            ca_file=self.ca_file,
            proxies=self._proxies(),
        )

    def _proxies(self) -> dict[str, str]:
        found = {"no": ",".join(self.no_proxy)} if self.no_proxy else {}
        if self.proxy and not _set("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
            found |= {"https": self.proxy, "http": self.proxy}
        return found


def paths() -> tuple[Path, ...]:
    """The files that count, the one that counts most last; they need not be there.

    `$VENVCTL_CONFIG` alone, or the system's, and below it that of a user other than root.
    """
    if named := os.environ.get("VENVCTL_CONFIG", ""):
        return (Path(named),)
    if os.geteuid() == 0:
        return (SYSTEM_FILE,)
    home = os.environ.get("XDG_CONFIG_HOME", "")
    own = Path(home) if home.startswith("/") else Path("~/.config").expanduser()
    return (SYSTEM_FILE, own / "venvctl" / "config.toml")


def load() -> Settings:
    """Read the configuration files, each time anew: who asks gets what they say now.

    Raises:
        ConfigurationError: one of them can't be read or used; the message names file and key. Or
            `$VENVCTL_CONFIG` names one that isn't there.
    """
    found = Settings()
    for path in paths():
        try:
            with path.open("rb") as stream:
                data = stream.read(_SIZE + 1)
        except (FileNotFoundError, NotADirectoryError) as error:
            if os.environ.get("VENVCTL_CONFIG"):
                raise ConfigurationError(
                    f"VENVCTL_CONFIG names {path}, which does not exist.",
                    hint="Correct VENVCTL_CONFIG, or make the file.",
                ) from error
            continue
        except OSError as error:
            raise ConfigurationError(
                f"The configuration file {path} can't be read: {error.strerror}.",
                hint="Let the user that runs venvctl read it.",
            ) from error
        found = _over(parse(data, path), found)
    return found


def parse(data: bytes, path: Path) -> Settings:
    """Read the content of one file.

    Args:
        data: what is in it.
        path: where it is; files that it names by relative paths are beside it.

    Raises:
        ConfigurationError: as `load`.
    """
    reading = _Reading(path)
    try:
        if len(data) > _SIZE:
            raise reading.wrong("it has more than 1 MB")
        tables = tomllib.loads(data.decode("utf-8-sig"))
    except RecursionError as error:
        raise reading.wrong("it is nested too deep") from error
    except UnicodeDecodeError as error:
        raise reading.wrong(f"it is not UTF-8 (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise reading.wrong(f"it is not TOML: {error}") from error
    reading.check_keys(tables, _TABLES, "")
    indexes = tables.get("index", [])
    network = tables.get("network", {})
    if not isinstance(indexes, list) or not all(isinstance(each, dict) for each in indexes):
        raise reading.wrong("index is not written as [[index]]")
    if not isinstance(network, dict):
        raise reading.wrong("network is not written as [network]")
    reading.check_keys(network, _NETWORK_KEYS, "network.")
    found = tuple(reading.index(each, f"index[{n}].") for n, each in enumerate(indexes))
    reading.check_indexes(found)
    return Settings(
        files=(path,),
        indexes=found,
        insecure_hosts=reading.hosts(network, "insecure-hosts"),
        ca_file=reading.file(network, "ca-file"),
        netrc=reading.file(network, "netrc"),
        proxy=reading.proxy(network),
        no_proxy=reading.hosts(network, "no-proxy"),
    )


def _over(own: Settings, other: Settings) -> Settings:
    """Two files together: lists are added up, of single values one's own counts."""
    default = any(index.use == "default" for index in own.indexes)
    return Settings(
        files=(*other.files, *own.files),
        indexes=(
            *own.indexes,
            *(index for index in other.indexes if index.use != "default" or not default),
        ),
        insecure_hosts=(*own.insecure_hosts, *other.insecure_hosts),
        ca_file=own.ca_file or other.ca_file,
        netrc=own.netrc or other.netrc,
        proxy=own.proxy or other.proxy,
        no_proxy=own.no_proxy or other.no_proxy,
    )


def _set(*names: str) -> bool:
    return any(os.environ.get(name) or os.environ.get(name.lower()) for name in names)


@dataclass(frozen=True, slots=True)
class _Reading:
    """One file being read; every error names it."""

    path: Path

    def wrong(self, reason: str, *, hint: str = "") -> ConfigurationError:
        return ConfigurationError(
            f"The configuration file {self.path} can't be used: {reason}.",
            hint=hint or "docs/indexes.md says what can stand in it.",
        )

    def check_keys(self, table: Mapping[str, object], known: Sequence[str], place: str) -> None:
        for key in table:
            if key not in known:
                import difflib  # noqa: PLC0415 - for the one who mistyped

                [nearest] = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
                raise self.wrong(
                    f"{place}{key} is unknown", hint=f"The nearest known one is {place}{nearest}."
                )

    def text(self, table: Mapping[str, object], key: str, place: str) -> str:
        value = table.get(key, "")
        if not isinstance(value, str) or (key in table and not value.strip()):
            raise self.wrong(f"{place}{key} is not a text with something in it")
        if not value.isprintable():
            raise self.wrong(f"{place}{key} has characters that can't be printed")
        return value.strip()

    def index(self, table: Mapping[str, object], place: str) -> ConfiguredIndex:
        self.check_keys(table, _INDEX_KEYS, place)
        url = self.text(table, "url", place)
        if not url:
            raise self.wrong(f"{place}url is missing")
        self.check_url(url, f"{place}url", ("https", "http"))
        use = self.text(table, "use", place) or "extra"
        if use not in get_args(Use):
            raise self.wrong(f"{place}use is {use!r}, and none of {', '.join(get_args(Use))}")
        return ConfiguredIndex(name=self.text(table, "name", place), url=url, use=cast("Use", use))

    def check_indexes(self, indexes: Sequence[ConfiguredIndex]) -> None:
        names = [index.name for index in indexes if index.name]
        if twice := [name for name in names if names.count(name) > 1]:
            raise self.wrong(f"two indexes have the name {twice[0]!r}")
        if sum(index.use == "default" for index in indexes) > 1:
            raise self.wrong('more than one index has use = "default"')

    def check_url(self, url: str, place: str, schemes: Sequence[str]) -> None:
        """The URL may hold a password, so it is not shown."""
        try:
            parts = urlsplit(url)
            _ = parts.port  # a property that checks
        except ValueError as error:
            raise self.wrong(f"{place} is not a URL") from error
        if parts.scheme not in schemes or not parts.hostname or " " in url:
            raise self.wrong(f"{place} is not a URL that begins with {schemes[0]}://")

    def hosts(self, table: Mapping[str, object], key: str) -> tuple[str, ...]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(host, str) for host in value):
            raise self.wrong(f"network.{key} is not a list of texts")
        for host in value:
            if not host.strip() or "/" in host or "@" in host or not host.isprintable():
                raise self.wrong(f"network.{key} has {host!r}, which is no host")
        return tuple(host.strip().lower() for host in value)

    def file(self, table: Mapping[str, object], key: str) -> Path | None:
        text = self.text(table, key, "network.")
        if not text:
            return None
        path = self.path.absolute().parent / text
        if not path.is_file():
            raise self.wrong(f"network.{key} names {path}, which is no file")
        return path

    def proxy(self, table: Mapping[str, object]) -> str:
        url = self.text(table, "proxy", "network.")
        if url:
            self.check_url(url, "network.proxy", ("http", "https"))
        return url
