"""What the daemon does not do for another user: read, with its own rights, what they may not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from venvctl import lockfiles
from venvctl.errors import ConfigurationError, LockError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from venvctl.lockfiles import Lock
    from venvctl.registration import Registration

_REMOTE = ("https://", "http://")


def check(registration: Registration, read_bytes: Callable[[Path], bytes]) -> None:
    """Refuse what would have the daemon open files of this host that the lock names.

    Args:
        registration: another user's.
        read_bytes: reads the lock's files with that user's rights.

    Raises:
        LockError: the lock can't be read, or takes packages or links from local files.
        ConfigurationError: an index of the registration is a local directory.
    """
    specification = registration.specification
    if not all(url.startswith(_REMOTE) for url in specification.index):
        raise ConfigurationError(
            f"The label venvctl.index of {registration.name} names a local directory, which the "
            "daemon does not read for another user.",
            hint="Use an index that is served, or sync as the root's owner.",
        )
    lock = lockfiles.read(
        specification.lock,
        options=lockfiles.LockOptions(
            format=specification.format,
            extras=specification.extras,
            groups=specification.groups,
            package=specification.package,
            project=registration.directory,
        ),
        read_bytes=read_bytes,
    )
    for what in _local(lock):
        raise LockError(
            f"{specification.lock}: {what} is a local file, which the daemon does not read for "
            "another user.",
            hint="Take it from an index, or sync as the root's owner.",
        )


def _local(lock: Lock) -> Iterator[str]:
    """What a lock takes from files of this host, in words."""
    for package in lock.pylock.packages:
        files = [package.archive, package.sdist, *(package.wheels or ())]
        if any(file is not None and file.path for file in files) or package.directory is not None:
            yield f"a file of {package.name}"
    for pin in lock.pins:
        sources = [pin.index.url, *pin.index.extra, *pin.index.find_links]
        if any(source and not source.startswith(_REMOTE) for source in sources):
            yield f"an index of {pin.name}"
