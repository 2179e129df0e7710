"""Asks indexes for the files of pins, and records what they say."""

from __future__ import annotations

import dataclasses
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_version

from venvctl import indexes
from venvctl.credentials import NamedIndex
from venvctl.errors import ChangedFileError, VenvctlError
from venvctl.indexes import Answer, IndexFile, IndexOptions
from venvctl.lockfiles.locations import redact
from venvctl.pinstore import PinRecord, PinStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from venvctl.lockfiles.model import Index, Lock, Pin
    from venvctl.selection import SelectedFile
    from venvctl.target import Target
    from venvctl.transport import Transport

    # What makes a transport, of the indexes whose logins it may use and the hosts that it may ask
    # without HTTPS.
    MakeTransport = Callable[[Sequence[NamedIndex], Sequence[str]], Transport]
    # What indexes said, or how they failed.
    Said = Mapping[Index, Answer | VenvctlError]

_SILENCE = Answer(files={}, reasons={})


@dataclass(slots=True)
class Wanted:
    """A pin on its way to its files.

    Attributes:
        pin: as the lock has it. index: where it is asked for.
        record: what is known of its files.
        reason: why the index can't give it.
        accepted: whether its files may have changed.
    """

    pin: Pin
    index: Index
    record: PinRecord | None = None
    reason: str = ""
    accepted: bool = False

    @property
    def source(self) -> str:
        """What the record is kept under: the indexes, without credentials."""
        urls = (self.index.url, *self.index.extra, *self.index.find_links)
        return " ".join(redact(url) for url in urls if url) or "default"

    @property
    def key(self) -> tuple[str, str]:
        """What an answer calls it."""
        return self.pin.name, canonicalize_version(self.pin.version)

    @property
    def is_known(self) -> bool:
        return self.record is not None and self.record.knows(self.pin.hashes)

    @property
    def recorded(self) -> tuple[IndexFile, ...]:
        return self.record.files if self.record else ()

    def allowed(self) -> list[IndexFile]:
        """The files on record that the lock's hashes and options allow."""
        return [
            file
            for file in self.recorded
            if not (self.pin.no_binary and file.is_wheel)
            and not (self.pin.only_binary and not file.is_wheel)
            and (not self.pin.hashes or not file.hash_texts().isdisjoint(self.pin.hashes))
        ]


def ask_ahead(
    lock: Lock,
    store: PinStore,
    *,
    transport: MakeTransport,
    index: IndexOptions,
) -> Said:
    """Ask for the pins of which there is no record at all, before it is known for what target.

    Some may turn out not to apply. Nothing is recorded and nothing raised: an index that can't be
    asked matters to those pins alone that do.

    Args:
        lock: whose pins.
        store: the records.
        transport: makes what asks.
        index: indexes for pins that name none.
    """
    wanted = [Wanted(pin, indexes.effective(pin.index, index)) for pin in lock.pins]
    new = [each for each in wanted if not store.knows(each.pin, source=each.source)]
    if not new:
        return {}
    said: dict[Index, Answer | VenvctlError] = {}
    hosts = (*lock.insecure_hosts, *index.insecure_hosts)
    with _opened(transport, new, hosts) as asking:
        for asked, group in _by_index(new).items():
            try:
                said[asked] = _asked(group, asked, asking, hosts)
            except VenvctlError as error:
                said[asked] = error
    return said


def changed(file: SelectedFile, found: str) -> ChangedFileError:
    """The error for a download that is not what the record says, where the lock has no hashes.

    Args:
        file: a selected file whose `recorded` is true.
        found: SHA-256 (hex) of what the index served.
    """
    return _changed(
        file.name, file.version, file.file, f"its SHA-256 is {found}, and was {file.sha256}"
    )


def resized(file: SelectedFile, found: str) -> ChangedFileError:
    """The same where the size alone tells.

    Args:
        file: a selected file whose `recorded` is true.
        found: how many bytes there are now, in words.
    """
    return _changed(
        file.name, file.version, file.file, f"it has {found} bytes, and had {file.size:,}"
    )


def ask(
    missing: Sequence[Wanted],
    store: PinStore,
    target: Target,
    *,
    transport: MakeTransport,
    insecure_hosts: Sequence[str],
    said: Said,
) -> None:
    """Ask each index once for all pins that are missing, and record what it says.

    Args:
        missing: the pins; `record` or `reason` of each tells afterwards what came of it.
        store: the records.
        target: the interpreter that they are for.
        transport: makes what asks.
        insecure_hosts: hosts that may be asked without HTTPS.
        said: what `ask_ahead` was told a moment ago.

    Raises:
        ChangedFileError: an index now serves another file than the one on record.
        LockError, UnavailableError: as `indexes.ask`.
    """
    with _opened(transport, missing, insecure_hosts) as asking:
        for index, group in _by_index(missing).items():
            before = said.get(index, _SILENCE)
            if isinstance(before, VenvctlError):
                raise before
            rest = [each for each in group if not before.tells_of(each.key)]
            answer = _asked(rest, index, asking, insecure_hosts) if rest else _SILENCE
            for each in group:
                told = answer if answer.tells_of(each.key) else before
                each.reason = told.reasons.get(each.key, "")
                if each.key in told.files:
                    each.record = _merged(each, told.files[each.key], store, target)
                    store.save(each.record)


def _asked(
    group: Iterable[Wanted],
    index: Index,
    transport: Transport,
    insecure_hosts: Sequence[str],
) -> Answer:
    return indexes.ask(
        [(each.pin.name, each.pin.version) for each in group],
        index,
        transport=transport,
        insecure_hosts=insecure_hosts,
    )


def _by_index(pins: Iterable[Wanted]) -> dict[Index, list[Wanted]]:
    groups: dict[Index, list[Wanted]] = {}
    for each in pins:
        groups.setdefault(each.index, []).append(each)
    return groups


@contextmanager
def _opened(
    transport: MakeTransport,
    pins: Iterable[Wanted],
    insecure_hosts: Sequence[str],
) -> Iterator[Transport]:
    """What asks the indexes of some pins."""
    urls = (url for each in pins for url in (each.index.url, *each.index.extra) if url)
    named = [NamedIndex(url=url) for url in dict.fromkeys(urls)]
    with closing(transport(named, insecure_hosts)) as asking:
        yield asking


def _merged(each: Wanted, files: Iterable[IndexFile], store: PinStore, target: Target) -> PinRecord:
    """A record of what the index has now, and what it had before.

    Raises:
        ChangedFileError: a file is on record, for any Python, with another hash, and the lock has
            no hashes that could tell which is right.
    """
    pin = each.pin
    unserved = {*pin.hashes, *(each.record.unserved if each.record else ())}
    before = store.others(pin, source=each.source)
    now = list(files)
    for file in now:
        unserved -= file.hash_texts()
    if each.accepted:
        names = {file.name for file in now}
        kept = [file for file in each.recorded if file.name not in names]
        _replace(before, now, store)
    else:
        kept = list(each.recorded)
        if not pin.hashes:
            for file in now:
                _check_unchanged(pin, file, before)
    merged = {(file.name, file.hashes.get("sha256", "")): file for file in (*kept, *now)}
    return PinRecord(
        source=each.source,
        name=pin.name,
        version=pin.version,
        python=target.python_version,
        files=tuple(sorted(merged.values(), key=lambda file: file.name)),
        unserved=tuple(sorted(unserved)),
    )


def _check_unchanged(pin: Pin, file: IndexFile, before: Iterable[PinRecord]) -> None:
    for record in before:
        known = [old.hashes.get("sha256") for old in record.files if old.name == file.name]
        now = file.hashes.get("sha256")
        if known and now not in known:
            what = f"its SHA-256 is {now}, and was {known[0]}"
            raise _changed(pin.name, pin.version, file.name, what)


def _replace(before: Iterable[PinRecord], now: Sequence[IndexFile], store: PinStore) -> None:
    """Let the records of other Pythons have the files, of those they have, as they are now."""
    for record in before:
        known = {file.name for file in record.files}
        changed = [file for file in now if file.name in known]
        names = {file.name for file in changed}
        kept = [file for file in record.files if file.name not in names]
        files = sorted((*kept, *changed), key=lambda file: file.name)
        store.save(dataclasses.replace(record, files=tuple(files)))


def _changed(name: str, version: str, file: str, what: str) -> ChangedFileError:
    return ChangedFileError(
        f"The index now serves another file as {file} of {name} {version}: {what}"
        " when it was first asked.",
        hint="Find out why: an index must not change a file. Once you know,"
        f" `venvctl sync --accept {name}` takes the new one.",
    )
