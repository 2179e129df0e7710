"""Which indexes the packages of an environment come from, as far as its lock still tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from venvctl import indexes, lockfiles
from venvctl.errors import LockError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from venvctl.indexes import IndexOptions
    from venvctl.lockfiles import Lock
    from venvctl.progress import Progress
    from venvctl.registration import Registration


class Provenance:
    """Where each package of an environment comes from.

    Args:
        registration: its lock, and what its label venvctl.index names; None if nothing is known.
        named: URLs of indexes that the user names instead of all that.
        progress: warned of a lock that can't be read.
        options: the configured indexes.

    Attributes:
        direct: names of packages that never were in an index.
        insecure_hosts: that the lock trusts without HTTPS.
    """

    def __init__(
        self,
        registration: Registration | None,
        named: tuple[str, ...],
        progress: Progress,
        options: IndexOptions,
    ) -> None:
        lock = _lock(registration, progress) if registration else None
        self.insecure_hosts = lock.insecure_hosts if lock else ()
        self._options = options
        self._named = named
        self._labelled = registration.specification.index if registration else ()
        self._of: dict[str, tuple[str, ...]] = {}
        self.direct: set[str] = set()
        for pin in lock.pins if lock else ():
            index = indexes.effective(pin.index, self._options)
            self._of[pin.name] = tuple(filter(None, (index.url, *index.extra)))
        for package in lock.pylock.packages if lock else ():
            if package.index:
                self._of[package.name] = (package.index,)
            elif package.archive or package.vcs:
                self.direct.add(package.name)
        self._default: tuple[str, ...] | None = None

    def of(self, name: str) -> tuple[str, ...]:
        """The URLs of the indexes to ask for a package."""
        if self._named:
            return self._named
        found = (*self._of.get(name, ()), *self._labelled)
        return tuple(dict.fromkeys(found)) or self._configured()

    def all(self, names: Iterable[str]) -> list[str]:
        """Those of several packages, for their credentials."""
        return list(dict.fromkeys(url for name in names for url in self.of(name)))

    def _configured(self) -> tuple[str, ...]:
        """The default index: that of the configuration, else uv's own, as uv tells it."""
        if self._default is None:
            index = indexes.effective(lockfiles.Index(), self._options)
            url = index.url or indexes.default_url()
            self._default = tuple(filter(None, (url, *index.extra)))
        return self._default


def _lock(registration: Registration, progress: Progress) -> Lock | None:
    """The lock as it is now."""
    specification = registration.specification
    try:
        return lockfiles.read(
            specification.lock,
            options=lockfiles.LockOptions(
                format=specification.format,
                extras=specification.extras,
                groups=specification.groups,
                package=specification.package,
                project=registration.directory,
            ),
        )
    except LockError as error:
        progress.warn(f"The lock can't tell where its packages come from: {error.message}")
        return None
