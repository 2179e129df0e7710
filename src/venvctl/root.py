"""The root: the one directory on one file system that holds everything venvctl keeps."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from venvctl import disk, rootpath
from venvctl.environments import Environment
from venvctl.errors import BusyError, DiskFullError, RootError, UsageError
from venvctl.registration import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from venvctl.engine.model import Engine
    from venvctl.environments import Generation
    from venvctl.pins import PinStore
    from venvctl.probe import Probe
    from venvctl.snapshots import SnapshotStore
    from venvctl.store import Store

_POLL = 0.05  # seconds between two attempts at the lock
_NOTES = "helpers"  # of helper containers; the gate looks there, too
# The directories in which something gets its name by a rename from beside it.
_WRITTEN = (
    *("answers", "projects", "targets", "pins/*/*", "snapshots/*"),
    *("store/builds", "store/quarantine", "store/trees", "store/wheels/*/*"),
    *("environments", "environments/*", "environments/*/volume"),
    *("environments/*/volume/.venvctl", "environments/*/volume/.venvctl/generations"),
)


def locate() -> Path:
    """Where the root is: $VENVCTL_ROOT, $STATE_DIRECTORY, or the system's or user's place for it.

    Raises:
        RootError: the variable names no absolute path.
    """
    return Path(rootpath.locate())


class Root:
    """The parts of one root; each is made when it is first asked for.

    Args:
        path: the root directory.
        engine: the engine to use instead of the one that the Docker command line would use.

    Raises:
        RootError: others may write to the directory, or it belongs to another user.
    """

    def __init__(self, path: Path, *, engine: Engine | None = None) -> None:
        # One place has one name: it is compared with what volumes and containers carry.
        self.path = Path(os.path.realpath(path))
        if engine is not None:
            self.engine = engine
        if self.path.exists():
            self._check()

    def _check(self) -> None:
        state = self.path.stat()
        if not stat.S_ISDIR(state.st_mode):
            raise RootError(f"{self.path} is not a directory.", hint="Set VENVCTL_ROOT elsewhere.")
        if state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise RootError(
                f"{self.path} can be written by its group or by others "
                f"(mode {stat.S_IMODE(state.st_mode):04o}): whoever can write there decides "
                "what your containers run.",
                hint=f"`chmod go-w {self.path}`",
            )
        for parent in self.path.parents:
            mode = parent.stat().st_mode
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                raise RootError(
                    f"{parent}, in which {self.path} is, can be written by others "
                    f"(mode {stat.S_IMODE(mode):04o}): whoever can write there can put another "
                    "directory in its place.",
                    hint=f"`chmod o-w {parent}`, or set VENVCTL_ROOT elsewhere.",
                )
        if state.st_uid != os.geteuid():
            raise RootError(
                f"{self.path} belongs to user {state.st_uid}, and this is user {os.geteuid()}.",
                hint="Only its owner writes to a root: run venvctl as that user, "
                "or set VENVCTL_ROOT to a directory of yours.",
            )

    def create(self) -> None:
        """Create the directory where it is missing; other users don't get in."""
        disk.make_directory(self.path, mode=0o700)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Be at work in this root, beside others, and keep collections out.

        Whoever is alone here first removes what a crash left behind: everything in ``tmp``, the
        helper containers that mounted it, and files that have not got their names.
        """
        self.create()
        handle = self._open_lock()
        try:
            with suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._recover()
            fcntl.flock(handle, fcntl.LOCK_SH)
            with self._leaving_a_trace():
                yield
        finally:
            os.close(handle)

    @contextmanager
    def alone(self, *, wait: float = 0.0) -> Iterator[None]:
        """Be the only one at work in this root.

        Args:
            wait: seconds to wait for others.

        Raises:
            BusyError: somebody is at work in it.
        """
        self.create()
        handle = self._open_lock()
        deadline = time.monotonic() + wait
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise BusyError(
                            f"Another venvctl is at work in {self.path}.",
                            hint="Try again when it is done.",
                        ) from None
                    time.sleep(_POLL)
            self._recover()
            with self._leaving_a_trace():
                yield
        finally:
            os.close(handle)

    @contextmanager
    def visiting(self) -> Iterator[None]:
        """Use ``tmp`` for a moment, before or within other work: nobody tidies up meanwhile."""
        self.create()
        handle = self._open_lock()
        try:
            # Whoever is alone may be this process itself.
            with suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            yield
        finally:
            os.close(handle)

    @contextmanager
    def _leaving_a_trace(self) -> Iterator[None]:
        """Have something in ``tmp`` for as long as there may be something to recover."""
        with ExitStack() as stack:
            with suppress(DiskFullError):  # a collection is what helps then
                stack.enter_context(disk.temporary_directory(self.path))
                # A power loss must not take it and leave what it stands for.
                disk.sync_directory(self.path / "tmp")
            yield

    def recover(self) -> None:
        """Remove what a crash left behind, where nobody is at work; quick where there is nothing.

        For whoever has nothing to do here: `working` and `alone` do it by themselves.
        """
        if self._leftovers() or self._noted():
            # It is theirs who are at work, or it can't be removed now.
            with suppress(BusyError, RootError), self.alone():
                pass

    def _open_lock(self) -> int:
        # flock and not filelock: it can be shared, and a crashed holder's is free at once
        with disk.translate(self.path):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            return os.open(self.path / "lock", flags, mode=0o600)

    def _recover(self) -> None:
        leftovers = self._leftovers()
        if leftovers or self._noted():
            self.engine.remove_helpers()
        if not leftovers:
            return
        for pattern in _WRITTEN:
            for directory in self.path.glob(pattern):
                disk.remove_unnamed(directory)
        # What got its name just before the crash is taken for done from here on: so it has to be.
        disk.sync_filesystem(self.path)
        # Last: until here they say that there is something to recover.
        for path in leftovers:
            disk.remove_tree(path) if path.is_dir() else disk.remove_file(path)

    def _leftovers(self) -> list[Path]:
        return list((self.path / "tmp").glob("*"))

    def _noted(self) -> bool:
        """Whether a helper container may be there, or still come."""
        return any((self.path / _NOTES).glob("*"))

    @cached_property
    def engine(self) -> Engine:
        """The engine that holds the volumes."""
        from venvctl.engine import connect  # noqa: PLC0415 - a quick command does without

        return connect(str(self.path), notes=self.path / _NOTES)

    def glance(self) -> Root:
        """The same root for whoever looks at many environments at one moment.

        Its engine is asked everything once, and not again for each of them.
        """
        from venvctl.engine.recollection import Recollection  # noqa: PLC0415 - a quick command does without

        # It has the methods of an engine; those that it does not remember it hands on.
        return Root(self.path, engine=cast("Engine", Recollection(lambda: self.engine)))

    @cached_property
    def store(self) -> Store:
        """The wheels and trees."""
        from venvctl.store import Store  # noqa: PLC0415 - a quick command does without

        return Store(self.path)

    @cached_property
    def snapshots(self) -> SnapshotStore:
        """The snapshots."""
        from venvctl.snapshots import SnapshotStore  # noqa: PLC0415 - a quick command does without

        return SnapshotStore(self.path, self.store)

    @cached_property
    def probe(self) -> Probe:
        """What is known of images."""
        from venvctl.probe import Probe  # noqa: PLC0415 - a quick command does without

        return Probe(self.path, self.engine, visiting=self.visiting)

    @cached_property
    def pins(self) -> PinStore:
        """The pin records."""
        from venvctl.pins import PinStore  # noqa: PLC0415 - a quick command does without

        return PinStore(self.path / "pins")

    @cached_property
    def registry(self) -> Registry:
        """What is remembered of the environments' owners."""
        return Registry(self.path)

    def environment(self, name: str) -> Environment:
        """The environment of that name, whether there or not."""
        return Environment(self.path, name)

    def generation(self, name: str, number: int | None = None) -> Generation:
        """A generation of an environment, which need not be registered.

        Args:
            name: the environment's.
            number: the generation's; None for the current one.

        Raises:
            UsageError: there is no such environment or generation.
            IntegrityError: the current one is damaged.
        """
        environment = self.environment(name)
        if not environment.generations_directory.is_dir():
            self.registry.load(name)
        if number is not None:
            return environment.numbered(number)
        if (current := environment.current()) is None:
            raise UsageError(
                f"Environment {name} has no generation yet.",
                hint=f"`venvctl sync {name}` makes one.",
            )
        return current

    def environments(self) -> list[Environment]:
        """Every environment that has a directory here, registered or not, by name."""
        names = sorted(path.name for path in self.path.glob("environments/*") if path.is_dir())
        return [self.environment(name) for name in names]
