"""What a package index says about pinned versions, asked through uv."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.pylock import Pylock, PylockValidationError
from packaging.utils import canonicalize_version

from venvctl.errors import UnavailableError
from venvctl.lockfiles import toml, uv_command
from venvctl.lockfiles.locations import check_url, redact
from venvctl.lockfiles.model import Index
from venvctl.lockfiles.pylock import as_the_index_has_it

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from packaging.pylock import PackageSdist, PackageWheel


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """Which indexes venvctl's own configuration names, for locks that don't.

    Attributes:
        url: the default index; empty means uv's own configuration.
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
    """

    name: str
    url: str
    hashes: Mapping[str, str]
    path: str = ""
    size: int | None = None
    upload_time: str = ""

    @property
    def is_wheel(self) -> bool:
        """Whether it is a wheel; else it is an sdist."""
        return self.name.endswith(".whl")

    def hash_texts(self) -> set[str]:
        """Its hashes as a lock writes them: ``sha256:<hex>``."""
        return {f"{algorithm}:{digest}" for algorithm, digest in self.hashes.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an index said.

    Attributes:
        files: (name, version) → its files, of those that the index has.
        reasons: (name, version) → why it can't be used, of those that it hasn't. The versions are
            canonical, since an index may write 1.0 where a lock writes 1.
    """

    files: Mapping[tuple[str, str], tuple[IndexFile, ...]]
    reasons: Mapping[tuple[str, str], str]


def effective(index: Index, options: IndexOptions) -> Index:
    """The indexes to ask: those that the lock names, else the configured ones, else uv's own."""
    if index.disabled:
        return index
    variables = os.environ
    default = index.url or options.url
    return Index(
        url=default or variables.get("UV_DEFAULT_INDEX", "") or variables.get("UV_INDEX_URL", ""),
        extra=tuple(
            dict.fromkeys(
                (
                    *index.extra,
                    *options.extra,
                    *variables.get("UV_INDEX", "").split(),
                    *variables.get("UV_EXTRA_INDEX_URL", "").split(),
                )
            )
        ),
        find_links=index.find_links,
    )


def ask(
    pins: Sequence[tuple[str, str]],
    index: Index,
    *,
    python: str,
    insecure_hosts: Collection[str] = (),
) -> Answer:
    """Ask for all files of pinned versions; one call where the index has them all.

    Nothing is built and no metadata is read: uv needs neither where dependencies are not wanted.

    Args:
        pins: normalized name and version of each.
        index: where to ask, see `effective`.
        python: the full version they must allow by their Requires-Python.
        insecure_hosts: hosts that may be spoken to without HTTPS.

    Raises:
        LockError: an index is neither HTTPS nor of an insecure host.
        UnavailableError: no answer can be had.
    """
    for url in (index.url, *index.extra):
        if url:
            check_url(url, "The index", insecure_hosts)
    with uv_command.directory({}) as directory:
        return _ask(list(pins), index, python, directory)


def _ask(pins: list[tuple[str, str]], index: Index, python: str, directory: Path) -> Answer:
    text = "".join(f"{name}=={version}\n" for name, version in pins)
    (directory / "pins.txt").write_text(text, encoding="utf-8")
    done = uv_command.run(
        [
            *("pip", "compile", "pins.txt", "--format", "pylock.toml", "--no-header"),
            # Without --universal, uv leaves out what does not suit the host.
            *("--no-deps", "--universal", "--python-version", python, "--no-annotate"),
            # Nothing is run with it; looking for one would take uv longer than the answer.
            *("--python", sys.executable),
            # All indexes count alike, as for pip; what may be taken is for the hashes to say.
            *("--index-strategy", "unsafe-best-match"),
            *(["--no-index"] if index.disabled else []),
        ],
        within=directory,
        environment=_environment(index),
    )
    if done.exit_code == 0:
        return Answer(files=_parse(done.stdout), reasons={})
    # 1 is "no solution": the index has answered. Which pins are to blame is found by halving.
    if done.exit_code != 1:
        raise UnavailableError(
            f"The index can't be asked for {_listed(pins)}: {done.reason()}.",
            hint="Check the index and the network; the environment stays as it is until then.",
        )
    if len(pins) == 1:
        reason = done.reason()
        # uv goes on to say that what was asked for therefore can't be had.
        short = re.search(r"Because (.+?)(,? and you require |, we can conclude )", reason)
        key = (pins[0][0], canonicalize_version(pins[0][1]))
        return Answer(files={}, reasons={key: short[1] if short else reason})
    middle = len(pins) // 2
    first = _ask(pins[:middle], index, python, directory)
    second = _ask(pins[middle:], index, python, directory)
    return Answer(
        files={**first.files, **second.files}, reasons={**first.reasons, **second.reasons}
    )


def _environment(index: Index) -> dict[str, str]:
    """The indexes as variables, not arguments: those can be seen by every user of the host."""
    found = {"UV_INDEX": " ".join(index.extra), "UV_EXTRA_INDEX_URL": "", "UV_INDEX_URL": ""}
    if index.url:
        found["UV_DEFAULT_INDEX"] = index.url
    if index.find_links:
        found["UV_FIND_LINKS"] = ",".join(index.find_links)
    return found


def _parse(text: str) -> dict[tuple[str, str], tuple[IndexFile, ...]]:
    tables = toml.parse(text, "uv's answer")
    try:
        lock = Pylock.from_dict(as_the_index_has_it(tables))
    except PylockValidationError as error:
        raise UnavailableError(
            f"The index gave an answer that can't be used: {error}.",
            hint="Report it to whoever runs the index.",
        ) from error
    found: dict[tuple[str, str], tuple[IndexFile, ...]] = {}
    for package in lock.packages:
        files = [_file(wheel) for wheel in package.wheels or ()]
        if package.sdist:
            files.append(_file(package.sdist))
        found[package.name, canonicalize_version(str(package.version))] = tuple(
            sorted(files, key=lambda file: file.name)
        )
    return found


def _file(file: PackageWheel | PackageSdist) -> IndexFile:
    url = redact(file.url or "")
    local = url.startswith("file:")
    return IndexFile(
        name=file.filename,
        url="" if local else url,
        path=unquote(urlsplit(url).path) if local else "",
        hashes=dict(file.hashes),
        size=file.size,
        upload_time=file.upload_time.isoformat() if file.upload_time else "",
    )


def _listed(pins: Iterable[tuple[str, str]]) -> str:
    names = [f"{name} {version}" for name, version in pins]
    more = len(names) - 5
    return ", ".join(names[:5]) + (f" and {more} more" if more > 0 else "")
