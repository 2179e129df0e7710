"""Where an environment is worked on: in a root of this user's own, or by the daemon of another one.

A volume says whose it is by a label. Where there is none yet, it comes to be in the root that this
process works on: its user's own one, or that of a daemon which takes orders from this user.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from venvctl import rootpath
from venvctl.backend import Here
from venvctl.errors import (
    DaemonUnreachableError,
    EngineUnreachableError,
    RootError,
    VenvctlError,
    VolumeConflictError,
)
from venvctl.root import Root

if TYPE_CHECKING:
    from venvctl.backend import Backend
    from venvctl.engine.model import Engine
    from venvctl.remote import Remote


class Workplace:
    """The roots that one command may come to work on.

    Args:
        base: where an environment comes to be that is in none yet.
    """

    def __init__(self, base: Backend) -> None:
        self.base = base

    @classmethod
    def locate(cls, *, wait: float = 0.0) -> Self:
        """The workplace of this process.

        Args:
            wait: seconds that work here waits for another writer.

        Raises:
            RootError: the root can't be used, and there is no daemon of it to ask.
        """
        return cls(_base(wait))

    @property
    def own(self) -> Root | None:
        """The root, where it is this user's own."""
        return self.base.root if isinstance(self.base, Here) else None

    @cached_property
    def engine(self) -> Engine:
        """The engine that this user speaks to."""
        if self.own is not None:
            return self.own.engine
        from venvctl.engine import connect  # noqa: PLC0415 - a quick command does without

        return connect(str(self.base.path))

    def of(self, name: str) -> Backend:
        """Who works on the environment of that name, by the label of its volume.

        Raises:
            VolumeConflictError: it is of another root, and no daemon of that one answers.
            EngineUnreachableError: the engine does not tell.
        """
        from venvctl.engine.model import LABEL_ROOT  # noqa: PLC0415 - a quick command does without

        volume = self.engine.volume(name)
        owner = volume.labels.get(LABEL_ROOT, "") if volume else ""
        if not owner or owner == str(self.base.path):
            return self.base
        found = _daemon(Path(owner))
        if found is None:
            reason = _silence(Path(owner))
            raise VolumeConflictError(
                f"Volume {name} belongs to the venvctl root {owner}, not to {self.base.path}. "
                f"{reason.message}",
                hint=reason.hint,
            )
        return found

    def knowing(self, name: str) -> Backend:
        """Who has an environment of that name: the base where it is registered, else as `of`."""
        if name in self.base.names():
            return self.base
        try:
            return self.of(name)
        except EngineUnreachableError:
            return self.base


def _base(wait: float) -> Backend:
    path = Path(os.path.realpath(rootpath.locate()))
    if _is_foreign(path):
        found = _daemon(path)
        if found is None:
            reason = _silence(path)
            raise RootError(
                f"The root {path} is another user's, so its daemon has to be asked. "
                f"{reason.message}",
                hint=reason.hint,
            )
        return found
    root = Root(path)
    if os.geteuid() != 0 and not rootpath.is_said() and not root.registry.names():
        # Nothing is there yet: whoever may speak to the system's daemon is meant to.
        found = _daemon(None)
        if found is not None and found.path != root.path:
            return found
    return Here(root, wait=wait)


def _daemon(root: Path | None) -> Remote | None:
    """The daemon of a root, or with None any that takes orders from this user."""
    from venvctl import client  # noqa: PLC0415 - whoever works in a root of their own does without
    from venvctl.remote import Remote  # noqa: PLC0415 - the same

    found = client.find(root)
    return None if found is None else Remote(found)


def _is_foreign(path: Path) -> bool:
    """Whether a root is another user's, or where this one can't even look."""
    try:
        return path.stat().st_uid != os.geteuid()
    except PermissionError:
        return True
    except OSError:
        return False


def _silence(root: Path) -> VenvctlError:
    """Why no daemon of a root answers, with what to do about it."""
    from venvctl import client  # noqa: PLC0415 - as in `_daemon`

    for place in client.candidates():
        if client.is_there(place):
            try:
                client.Client(place).root()
            except VenvctlError as error:
                return error
    return DaemonUnreachableError(
        f"No daemon of {root} answers on {' or '.join(map(str, client.candidates()))}.",
        hint=f"Have it started there (`systemctl start venvctl`), or set VENVCTL_ROOT={root} where "
        "it is yours.",
    )
