"""Runs a verb of venvctl in a child process and kills that, at a step of its own or at a time.

A step is whatever can't be taken back half-way: each change to a file system that Python makes
(its audit events: create, link, rename, remove, change a mode), each call that `venvctl.disk` says
it has made, and the moment before and after each request to the engine. The child counts them and
ends itself with SIGKILL at the n-th, so that nothing is flushed, released or tidied up.

This file is the tests' side (`Killer`) and, run as a program, the other: one process with a single
thread that has imported everything, and forks a child for each order that it reads.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import sabotage
import venvctl.engine
from powerloss import Flushed, Luck
from venvctl import disk
from venvctl.collection import collect
from venvctl.errors import VenvctlError
from venvctl.progress import Silent
from venvctl.registration import Registration
from venvctl.restore import restore
from venvctl.rollback import rollback
from venvctl.root import Root
from venvctl.sync import SyncOptions, sync
from venvctl.transfer import import_snapshot
from venvctl.verification import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from venvctl.engine.model import Engine

_CHANGES = frozenset(
    {"os.mkdir", "os.rename", "os.link", "os.symlink", "os.remove", "os.rmdir", "os.chmod"}
)
# What verbs import when they come to it; a child has it already.
_LATE = (
    "acquisition",
    "cli.application",
    "engine.docker",
    "fetch",
    "generations",
    "pins",
    "selection",
    "trees",
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a child ended.

    Attributes:
        killed: by SIGKILL, and not by itself.
        steps: what it had come to, the last one at the end.
        error: what it failed with otherwise: ``code: message``, or a traceback.
        strayed: changes that it made, or was about to make, outside of the root.
    """

    killed: bool
    steps: tuple[str, ...]
    error: str
    strayed: tuple[str, ...] = ()

    @property
    def last(self) -> str:
        """Where it was killed."""
        return self.steps[-1] if self.steps else "before the first step"


class Killer:
    """Starts the other side; a context manager.

    Attributes:
        image: where `run` leaves what a disk would have of the root after a power loss.
        broken: how the child breaks venvctl first (see `sabotage`), to see that this is noticed.
    """

    def __init__(self, root: Path, trace: Path) -> None:
        self._root = root
        self._trace = trace
        self.image = trace.with_name("image")
        self.broken = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=60)

    def run(
        self,
        verb: str,
        name: str,
        arguments: Mapping[str, object] | None = None,
        *,
        step: int = 0,
        seconds: float = 0.0,
        at: str = "",
        luck: Luck | None = None,
    ) -> Run:
        """Run a verb on an environment; kill it at a step (from 1) or after some seconds.

        Neither means not at all, or with `at` at the first step that this expression is found in.

        With `luck` the power goes too, at that step or after the verb was done: `image` then has
        what a disk would have of the root. Not together with `seconds`.
        """
        order = {
            "verb": verb,
            "root": str(self._root),
            "name": name,
            "trace": str(self._trace),
            "arguments": dict(arguments or {}),
            "step": step,
            "seconds": seconds,
            "at": at,
            "luck": dataclasses.asdict(luck) if luck else None,
            "image": str(self.image),
            "broken": self.broken,
        }
        shutil.rmtree(self.image, ignore_errors=True)
        self._trace.write_text("")
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        status = json.loads(self._process.stdout.readline())
        lines = self._trace.read_text().splitlines()
        errors = [json.loads(line[1:]) for line in lines if line.startswith("!")]
        return Run(
            killed=os.WIFSIGNALED(status),
            steps=tuple(line for line in lines if line[:1] not in {"!", "?"}),
            error="".join(errors),
            strayed=tuple(line[1:] for line in lines if line.startswith("?")),
        )


def _sync(root: Root, _: str, arguments: Mapping[str, Any]) -> None:
    registration = Registration.from_dict(arguments["registration"], source="the order")
    sync(registration, root, SyncOptions(), Silent())


def _rollback(root: Root, name: str, arguments: Mapping[str, Any]) -> None:
    rollback(name, root, to=arguments["to"], progress=Silent())


def _restore(root: Root, name: str, _: Mapping[str, Any]) -> None:
    restore(name, root, snapshot=None, progress=Silent())


def _repair(root: Root, name: str, _: Mapping[str, Any]) -> None:
    verify([name], root, repair=True, progress=Silent())


def _collect(root: Root, _: str, __: Mapping[str, Any]) -> None:
    collect(root, dry_run=False, progress=Silent())


def _import(root: Root, _: str, arguments: Mapping[str, Any]) -> None:
    import_snapshot(Path(arguments["file"]), root, progress=Silent())


def _cli(root: Root, _: str, arguments: Mapping[str, Any]) -> None:
    """As a user types it."""
    from venvctl.cli import application  # noqa: PLC0415 - imported by `main` already

    engine = root.engine
    venvctl.engine.connect = lambda *_, **__: engine  # type: ignore[assignment]
    os.environ["VENVCTL_ROOT"] = str(root.path)
    os.chdir(arguments.get("cwd", "."))
    # What it prints would be taken for an answer.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if code := application.run(arguments["words"]):
        raise RuntimeError(f"exit code {code}")


_VERBS: Mapping[str, Callable[[Root, str, Mapping[str, Any]], None]] = {
    "sync": _sync,
    "rollback": _rollback,
    "restore": _restore,
    "repair": _repair,
    "collect": _collect,
    "import": _import,
    "cli": _cli,
}


class _Counter:
    """Counts steps, writes each down, and kills its own process at one of them."""

    def __init__(self, order: Mapping[str, Any], power: Callable[[], None] | None) -> None:
        self._power = power
        self._handle = os.open(order["trace"], os.O_WRONLY | os.O_APPEND)
        self._root = order["root"]
        self._last = order["step"]
        self._at = order["at"]
        self._count = 0
        self._ends = False
        self._lock = threading.RLock()

    def step(self, what: str) -> None:
        # Held to the end: other threads get no further than their own next step.
        with self._lock:
            if self._ends:  # what the drawing of a power loss does
                return
            self._count += 1
            os.write(self._handle, f"{what.replace(self._root, 'ROOT')}\n".encode())
            if self._count == self._last or (self._at and re.search(self._at, what)):
                self.end()
                os.kill(os.getpid(), signal.SIGKILL)

    def end(self) -> None:
        """Take the power away, if that is what is to happen; nothing counts from here on."""
        with self._lock:
            self._ends = True
            if self._power is not None:
                self._power()

    def failed(self, error: str) -> None:
        os.write(self._handle, f"!{json.dumps(error)}\n".encode())

    def audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in _CHANGES:
            path = arguments[1] if event in {"os.rename", "os.link", "os.symlink"} else arguments[0]
            self._changing(event, path)
        elif event == "open":
            flags = arguments[2]
            if isinstance(flags, int) and flags & _WRITING:
                self._changing("create", arguments[0])

    def _changing(self, what: str, path: object) -> None:
        """Count a change below the root; a relative path is below an open directory there."""
        name = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else str(path)
        inside = name.startswith(f"{self._root}/") or not name.startswith("/")
        if inside or name == self._root:
            self.step(f"before {what} {name}")
        elif name != os.devnull and not self._ends:
            os.write(self._handle, f"?{what} {name}\n".encode())
        if ".." in name.split("/"):
            os.write(self._handle, f"?{what} {name}\n".encode())

    def disk(self, operation: str, path: Path) -> None:
        self.step(f"after {operation} {path}")


class _Watched:
    """An engine whose every request is a step before and a step after."""

    def __init__(self, engine: Engine, counter: _Counter) -> None:
        self._engine = engine
        self._counter = counter

    def __getattr__(self, name: str) -> Callable[..., object]:
        request = getattr(self._engine, name)

        def call(*arguments: object, **named: object) -> object:
            self._counter.step(f"before engine.{name}")
            try:
                return cast("object", request(*arguments, **named))
            finally:
                self._counter.step(f"after engine.{name}")

        return call


def _power(order: Mapping[str, Any]) -> Callable[[], None]:
    """What happens when the power goes."""
    flushed = Flushed(Path(order["root"]))
    flushed.root.mkdir(mode=0o700, exist_ok=True)
    flushed.install()
    return lambda: flushed.draw(Path(order["image"]), Luck(**order["luck"]))


def _child(order: Mapping[str, Any]) -> None:
    """Carry out one order; never returns."""
    power = _power(order) if order["luck"] else None
    counter = _Counter(order, power)
    try:
        if order["broken"]:
            sabotage.SABOTAGE[order["broken"]]()
        root = Root(Path(order["root"]))
        root.engine = cast("Engine", _Watched(root.engine, counter))
        disk.observers.append(counter.disk)
        sys.addaudithook(counter.audit)
        _VERBS[order["verb"]](root, order["name"], order["arguments"])
        counter.end()
    except VenvctlError as error:
        counter.failed(f"{error.code}: {error.message}")
    except BaseException as error:  # noqa: BLE001 - the tests are told of any
        counter.failed(f"{type(error).__name__}: {error}")
    os._exit(0)


def _wait(child: int, seconds: float) -> int:
    if seconds:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return status
            time.sleep(0.001)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def main() -> None:
    """Carry out orders until there are no more."""
    for module in _LATE:
        importlib.import_module(f"venvctl.{module}")
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _child(order)
        print(json.dumps(_wait(child, order["seconds"])), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
