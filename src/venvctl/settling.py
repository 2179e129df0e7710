"""When lockfiles that somebody writes have come to rest: pure, and told digests and the time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from venvctl import lockfiles
from venvctl.errors import LockError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from venvctl.registration import Registration

# Seconds for which a file must stay as it is until it counts as saved.
QUIET = 0.2
# What does not parse may be half of a save: for so many seconds at rest it is taken for that.
PATIENCE = 2.0
# So may what names no package at all; taking it at its word would empty the environment.
EMPTY_PATIENCE = 10.0


class Verdict(StrEnum):
    """What one look at the files means.

    Attributes:
        SAME: they are as they were served, or nothing new was seen of them.
        MOVING: they differ, and may still be written.
        SETTLED: they differ, and are at rest; said once.
        MISSING: one of them can't be read, for longer than a save takes; said once.
    """

    SAME = "same"
    MOVING = "moving"
    SETTLED = "settled"
    MISSING = "missing"


class Settling:
    """Tells when files that somebody writes have come to rest.

    Args:
        served: digest by path of what was acted on last.
        quiet: seconds for which a digest must stay the same.
    """

    def __init__(self, served: Mapping[str, str], *, quiet: float = QUIET) -> None:
        self._quiet = quiet
        self._served: dict[str, str] = {}
        self._seen: dict[str, str] = {}
        self._seen_at = 0.0
        self._changed_at: float | None = None
        self._told_missing = False
        self._retry_at: float | None = None
        self.served(served)

    @property
    def changed_at(self) -> float:
        """When the first sign of the change was seen that is looked at now."""
        return self._seen_at if self._changed_at is None else self._changed_at

    @property
    def seen_at(self) -> float:
        """When the content that it has now was seen first."""
        return self._seen_at

    @property
    def due(self) -> float:
        """When files that are moving will have settled, if nothing else happens to them."""
        return self._seen_at + self._quiet

    def look(self, digests: Mapping[str, str], now: float) -> Verdict:
        """Judge the digests of this moment.

        Args:
            digests: by path; empty for a file that can't be read.
            now: seconds on a clock that only goes forward.
        """
        if self._retry_at is not None and now >= self._retry_at:
            self.served({})
        if digests == self._served:
            self._changed_at = None
            return Verdict.SAME
        if self._changed_at is None:
            self._changed_at = now
            self._see(digests, now)
        elif digests != self._seen:
            self._see(digests, now)
        if now < self.due:
            return Verdict.MOVING
        if all(digests.values()):
            return Verdict.SETTLED
        if self._told_missing:
            return Verdict.SAME
        self._told_missing = True
        return Verdict.MISSING

    def served(self, digests: Mapping[str, str]) -> None:
        """These digests were acted on: only others count as a change now."""
        self._served = dict(digests)
        self._changed_at = self._retry_at = None

    def _see(self, digests: Mapping[str, str], now: float) -> None:
        self._seen, self._seen_at, self._told_missing = dict(digests), now, False

    def retry(self, at: float) -> None:
        """Let what was served count as a change again from then on."""
        self._retry_at = at


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a lock has now, as far as following it goes.

    Attributes:
        patience: seconds for which it may still be half of a save, though it is at rest.
        paths: of all files that it is made of; empty where that can't be told.
    """

    patience: float
    paths: tuple[str, ...] = ()


def content(registration: Registration, read_bytes: Callable[[Path], bytes]) -> Content:
    """Read a lock that came to rest, to see whether it may be taken at its word.

    Args:
        registration: whose lock.
        read_bytes: reads its files.
    """
    specification = registration.specification
    options = lockfiles.LockOptions(
        format=specification.format,
        extras=specification.extras,
        groups=specification.groups,
        package=specification.package,
        project=registration.directory,
    )
    try:
        lock = lockfiles.read(specification.lock, options=options, read_bytes=read_bytes)
    except LockError:
        return Content(patience=PATIENCE)
    whole = lock.pins or lock.pylock.packages
    return Content(patience=0.0 if whole else EMPTY_PATIENCE, paths=tuple(lock.digests))
