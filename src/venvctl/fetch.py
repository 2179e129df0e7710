"""Downloads what the store lacks: in parallel, hashed on the way, bounded in every direction."""

from __future__ import annotations

import hashlib
import os
import random
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from venvctl import asking, disk
from venvctl.credentials import NamedIndex, origin, redact
from venvctl.errors import IntegrityError, UnavailableError, VenvctlError
from venvctl.listing import locate
from venvctl.settings import Settings
from venvctl.transport import FinalFault, PassingFault, SilentFault, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from urllib3.response import BaseHTTPResponse

    from venvctl.progress import Progress
    from venvctl.selection import SelectedFile
    from venvctl.store import Store

__all__ = ["FetchSettings", "NamedIndex", "fetch"]

_SMALL = 64 << 20  # bytes
_BLOCK = 256 << 10
_LENGTH = re.compile(r"[0-9]{1,18}")
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_PARTIAL = 206
_ATTEMPTS_BEFORE_MIRRORS = 2
_HINT_ANYWHERE = "Name an index that has them in venvctl.index, or lock other versions."
_HINT_OFFLINE = "Run it again with the network on, without --offline."


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchSettings:
    """How to fetch.

    Attributes:
        mirrors: index URLs where a file is looked up by its hash when the lock's own URLs fail.
        indexes: indexes by name and URL, for their credentials.
        insecure_hosts: ``host`` or ``host:port`` that may be asked over plain HTTP.
        network: the configuration: further indexes and insecure hosts, and how they are reached.
        offline: ask nobody.
        parallel: how many files at a time.
        attempts: how often one URL is asked at most.
        deadline: seconds after which nothing is asked again.
        stall: seconds in which an answer must bring at least `stall` times `minimum_speed` bytes.
        minimum_speed: bytes a second.
        backoff: seconds before the second attempt, at most; twice as long before each next one.
        maximum_size: bytes of one file whose size the lock does not tell.
    """

    mirrors: tuple[str, ...] = field(default=(), repr=False)
    indexes: tuple[NamedIndex, ...] = ()
    insecure_hosts: frozenset[str] = frozenset()
    network: Settings = field(default_factory=Settings)
    offline: bool = False
    parallel: int = 16
    attempts: int = 5
    deadline: float = 900.0
    stall: float = 30.0
    minimum_speed: int = 1024
    backoff: float = 1.0
    maximum_size: int = 8 << 30


def fetch(
    files: Sequence[SelectedFile],
    store: Store,
    *,
    settings: FetchSettings,
    progress: Progress,
    arrived: Callable[[SelectedFile, Path], None] | None = None,
) -> None:
    """Have every file in the store; asks nobody for one that is there by its hash.

    Args:
        files: of any kind; one without a hash (a commit) is passed over.
        store: where they go, each as soon as it is whole.
        settings: how to fetch.
        progress: told of bytes.
        arrived: told of each file that was fetched and of its place in the store, from any thread.

    Raises:
        UnavailableError: names every file that can't be had; the others are in the store.
        IntegrityError: names package, file and both digests.
        ChangedFileError: the same where the hash is not the lock's but that of a pin record.
        DiskFullError: with the bytes that all files together need.
        RootError: as `disk.translate`.
    """
    missing = store.missing({file.sha256: file for file in files if file.sha256}.values())
    if not missing:
        return
    sizes = [file.size or 0 for file in missing]
    progress.stage("fetching", total=sum(sizes) if all(sizes) else 0, unit="bytes")
    with disk.temporary_directory(store.root) as temporary:
        work = _Work(store, temporary, settings, progress, needed=sum(sizes), arrived=arrived)
        # The biggest first, so that nothing is left waiting for it at the end.
        order = sorted(missing, key=lambda file: (-(file.size or 0), file.file))
        reasons = work.run(order)
    if reasons:
        raise UnavailableError(
            _sentence(sorted(reasons, key=lambda item: item[0].file)),
            hint=_HINT_OFFLINE if settings.offline else _HINT_ANYWHERE,
        )


def _sentence(reasons: Sequence[tuple[SelectedFile, str]]) -> str:
    head = "1 file can't be had:" if len(reasons) == 1 else f"{len(reasons)} files can't be had:"
    return "\n  ".join([head, *(f"{_title(file)}: {reason}" for file, reason in reasons)])


def _title(file: SelectedFile) -> str:
    return (
        f"{file.name} {file.version} ({file.file})"
        if file.version
        else f"{file.name} ({file.file})"
    )


class _GivenUp(FinalFault):
    """A host that gives no answer, and is not asked again before the mirrors."""


@dataclass(slots=True, kw_only=True)
class _Partial:
    """What has arrived of one file so far."""

    path: Path
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    size: int = 0
    shown: int = 0
    etag: str = ""
    resumed: bool = False

    def restart(self) -> None:
        """Forget all of it."""
        self.digest = hashlib.sha256()
        self.size = 0
        self.etag = ""
        self.resumed = False


class _Work:
    """One call of `fetch`, shared by its threads."""

    def __init__(
        self,
        store: Store,
        temporary: Path,
        settings: FetchSettings,
        progress: Progress,
        *,
        needed: int,
        arrived: Callable[[SelectedFile, Path], None] | None,
    ) -> None:
        self._store = store
        self._temporary = temporary
        self._settings = settings
        self._progress = progress
        self._needed = needed
        self._arrived = arrived
        self._end = time.monotonic() + settings.deadline
        self._stop = threading.Event()
        self._transport: Transport | None = None
        self._silent: set[tuple[str, str, int]] = set()  # hosts that gave no answer

    def run(self, files: Sequence[SelectedFile]) -> list[tuple[SelectedFile, str]]:
        """Fetch them all; says which can't be had, and why."""
        if not self._settings.offline:
            self._transport = self._settings.network.transport(
                self._settings.indexes,
                self._settings.insecure_hosts,
                connections=self._settings.parallel,
                stall=self._settings.stall,
            )
        pool = ThreadPoolExecutor(min(self._settings.parallel, len(files)))
        try:
            futures = {pool.submit(self._one, file): file for file in files}
            reasons = [
                (futures[future], reason)
                for future in as_completed(futures)
                if (reason := future.result())
            ]
        finally:
            # After an error or an interruption nobody waits for what a slow index may still send.
            self._stop.set()
            if self._transport:
                self._transport.close()
            pool.shutdown(cancel_futures=True)
        return reasons

    def _one(self, file: SelectedFile) -> str:
        """Fetch one file from wherever it can be had; "" when it is in the store."""
        if file.path:
            return self._local(file)
        if self._transport is None:
            return "it is not in the store, and the network is off"
        partial = _Partial(path=self._temporary / file.sha256)
        reasons: list[str] = []
        for url, attempts in self._urls(file, self._transport, reasons):
            try:
                with disk.translate(partial.path, needed=self._needed):
                    self._patiently(file, url, self._transport, partial, attempts)
            except _GivenUp:
                continue  # it gets another chance when the mirrors have failed
            except FinalFault as fault:
                reasons.append(f"{redact(url)} {fault}")
                partial.restart()
                continue
            self._keep(file, partial.path, verified=True)
            return ""
        return "; ".join(reasons) or "the lock names no URL, and no index is configured"

    def _local(self, file: SelectedFile) -> str:
        path = Path(file.path)
        if not os.path.isfile(path):  # noqa: PTH113 - Path raises on a name that is too long
            return f"{path} does not exist"
        self._keep(file, path)
        self._progress.advance(file.size or 0)
        return ""

    def _keep(self, file: SelectedFile, path: Path, *, verified: bool = False) -> None:
        stored = self._store.add(path, file=file.file, sha256=file.sha256, verified=verified)
        if self._arrived is not None:
            self._arrived(file, stored)

    def _urls(
        self, file: SelectedFile, transport: Transport, reasons: list[str]
    ) -> Iterator[tuple[str, int]]:
        """The lock's URLs, then those of the mirrors, each with how often to ask a silent host.

        A mirror is asked only when it is needed. Where there is one, a host that gives no answer
        (a firewall may be between) is soon left, and asked again when the mirrors have failed.
        """
        most = self._settings.attempts
        mirrors = dict.fromkeys((*self._settings.mirrors, *self._settings.network.mirrors))
        for url in file.urls:
            if not self._is_silent(url):
                yield url, _ATTEMPTS_BEFORE_MIRRORS if mirrors else most
        for mirror in mirrors:
            try:
                url_there = locate(transport, mirror, name=file.name, sha256=file.sha256)
            except (FinalFault, PassingFault) as fault:
                reasons.append(f"the index {redact(mirror)} {fault}")
                continue
            if url_there is None:
                reasons.append(f"the index {redact(mirror)} has no file of that hash")
            else:
                yield url_there, most
        if mirrors:
            yield from ((url, most) for url in file.urls if self._is_silent(url))

    def _is_silent(self, url: str) -> bool:
        try:
            return origin(url) in self._silent
        except ValueError:
            return False  # asking for it says what is wrong with it

    def _patiently(
        self,
        file: SelectedFile,
        url: str,
        transport: Transport,
        partial: _Partial,
        silences: int,
    ) -> None:
        """Try until it is there, or trying makes no sense any more."""
        most = self._settings.attempts
        for attempt in range(1, most + 1):
            try:
                self._attempt(file, url, transport, partial)
            except PassingFault as fault:
                # Full jitter, so that many clients that failed together don't come back together.
                wait = random.uniform(0, self._settings.backoff * 2 ** (attempt - 1))  # noqa: S311 - no secret
                wait = max(wait, fault.retry_after or 0.0)
                if isinstance(fault, SilentFault) and silences <= attempt < most:
                    self._silent.add(origin(url))
                    raise _GivenUp(str(fault)) from fault
                if attempt == most:
                    raise FinalFault(f"{fault}, {attempt} times") from fault
                if time.monotonic() + wait > self._end:
                    raise FinalFault(f"{fault}, and there is no time to wait longer") from fault
                if self._stop.wait(wait):
                    raise FinalFault(str(fault)) from fault
            else:
                return

    def _attempt(
        self, file: SelectedFile, url: str, transport: Transport, partial: _Partial
    ) -> None:
        headers = {}
        if partial.size:
            headers["Range"] = f"bytes={partial.size}-"
            if partial.etag:
                headers["If-Range"] = partial.etag
        with transport.get(url, headers) as response:
            length = self._begin(file, response, partial)
            limit = length or self._settings.maximum_size
            with partial.path.open("r+b" if partial.size else "wb") as target:
                target.seek(partial.size)
                target.truncate()
                for block in self._read(response):
                    target.write(block)
                    partial.digest.update(block)
                    partial.size += len(block)
                    if partial.size > limit:
                        raise self._wrong_size(file, f"more than {limit:,}", limit)
                    self._show(partial)
        if length is not None and partial.size < length:
            raise PassingFault(f"ends after {partial.size:,} of {length:,} bytes")
        found = partial.digest.hexdigest()
        if found == file.sha256 and length is not None and length != (file.size or length):
            raise self._wrong_size(file, f"{length:,}", file.size or length)
        if found != file.sha256:
            if partial.resumed:
                # Two halves that don't fit are no proof: it may have changed in between.
                partial.restart()
                raise PassingFault("does not go on where it stopped")
            if file.recorded:
                raise asking.changed(file, found)
            raise IntegrityError(
                f"{_title(file)} has the SHA-256 {found} at {redact(url)}, and not {file.sha256} "
                f"as locked{f' in {file.place}' if file.place else ''}.",
                hint="The file was replaced or damaged; nothing was installed. Lock it anew only "
                "if you know why it changed.",
            )

    def _begin(
        self, file: SelectedFile, response: BaseHTTPResponse, partial: _Partial
    ) -> int | None:
        """Check how an answer begins; says how many bytes the whole file has, if that is known."""
        announced = response.headers.get("Content-Length", "")
        total = int(announced) if _LENGTH.fullmatch(announced) else None
        if response.status == _PARTIAL:
            match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if not partial.size or not match or int(match[1]) != partial.size:
                partial.restart()
                raise PassingFault("answers with another range than was asked for")
            total = int(match[3]) if match[3] != "*" else None
            partial.resumed = True
        else:
            partial.restart()
        etag = response.headers.get("ETag", "")
        partial.etag = "" if etag.startswith("W/") else etag
        if total is None:
            return file.size
        # A small one is read all the same: its digest says more than its size.
        if file.size is not None and total != file.size and total > _SMALL:
            raise self._wrong_size(file, f"{total:,}", file.size)
        if total > self._settings.maximum_size and file.size is None:
            raise self._wrong_size(file, f"{total:,}", self._settings.maximum_size)
        return total

    def _wrong_size(self, file: SelectedFile, found: str, expected: int) -> VenvctlError:
        if file.size is None:
            return UnavailableError(f"{_title(file)} has {found} bytes; {expected:,} are allowed.")
        if file.recorded:
            return asking.resized(file, found)
        return IntegrityError(
            f"{_title(file)} has {found} bytes, and not {expected:,} as locked"
            f"{f' in {file.place}' if file.place else ''}.",
            hint="The file was replaced; nothing was installed.",
        )

    def _read(self, response: BaseHTTPResponse) -> Iterator[bytes]:
        """The body, as it comes; ends an answer that is slower than the least speed."""
        window = time.monotonic()
        arrived = 0
        while block := response.read1(_BLOCK):
            if self._stop.is_set():
                raise FinalFault("was given up, as another file failed")
            yield block
            arrived += len(block)
            elapsed = time.monotonic() - window
            if elapsed >= self._settings.stall:
                if arrived < elapsed * self._settings.minimum_speed:
                    raise PassingFault(f"sends less than {self._settings.minimum_speed} bytes/s")
                window, arrived = time.monotonic(), 0

    def _show(self, partial: _Partial) -> None:
        """Tell of the bytes that are new: what comes a second time is no progress."""
        if partial.size > partial.shown:
            self._progress.advance(partial.size - partial.shown)
            partial.shown = partial.size
