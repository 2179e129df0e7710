"""Tries a generation in a throw-away container before anything runs on it.

The top-level modules of the packages that are new in it are imported; what fails is a warning,
since a package may import only where its application is. An environment's first generation, which
takes nobody's place, has only its compiled packages imported: those are what an image can lack
libraries for. What the label `venvctl.smoke` names must pass: modules, with commas between, or else
a command.
"""

from __future__ import annotations

import json
import re
import shlex
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Self

from venvctl import generations, trees
from venvctl.engine.model import Mount, Task
from venvctl.errors import SmokeError
from venvctl.standby import Standby

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from types import TracebackType

    from venvctl.engine.model import TaskResult
    from venvctl.environments import Environment, Generation
    from venvctl.origin import Origin
    from venvctl.progress import Progress
    from venvctl.root import Root
    from venvctl.selection import SelectedFile
    from venvctl.snapshots import Snapshot
    from venvctl.target import Target

_MARK = "venvctl-smoke:"
_MODULES = re.compile(r"\s*[A-Za-z_][\w.]*\s*(,\s*[A-Za-z_][\w.]*\s*)*")
_LIBRARY = re.compile(r"(lib[\w.+-]+\.so[\w.]*): cannot open shared object file")
_SECONDS = 60.0
_LINES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A module that could not be imported, and the exception's words."""

    module: str
    fault: str

    @property
    def library(self) -> str:
        """The shared library that is missing, if that is what it says."""
        match = _LIBRARY.search(self.fault)
        return match[1] if match else ""


class Trial:
    """A container in which a generation can be tried; gone when the context is left.

    Args:
        environment: whose volume the generation lies in, or will lie in.
        root: its engine and store.
        image: ID of the image to try it in.
        target: the interpreter there.
        mount: where the volume is mounted.
    """

    def __init__(
        self, environment: Environment, root: Root, *, image: str, target: Target, mount: str
    ) -> None:
        self._environment = environment
        self._root = root
        self._image = image
        self._target = target
        self._mount = mount
        self._open = ExitStack()
        self._standby: Standby | None = None

    def __enter__(self) -> Self:
        """Nothing yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove the container, if there is one that has not ended."""
        self._open.__exit__(kind, error, traceback)

    def expect(
        self, files: Iterable[SelectedFile], before: Iterable[Origin], *, smoke: str
    ) -> None:
        """Have the container start now: by the time that the generation is there, it waits.

        Args:
            files: what the generation will be made of.
            before: as for `check`.
            smoke: as for `check`.
        """
        known = {origin.sha256 for origin in before}
        if smoke or any(_is_tried(file.sha256, file.file, known) for file in files):
            self._standby = self._start()

    def check(
        self,
        generation: Generation,
        snapshot: Snapshot,
        before: Sequence[Origin],
        *,
        smoke: str,
        progress: Progress,
    ) -> None:
        """Import what is new, and whatever must pass.

        Args:
            generation: complete, not current yet.
            snapshot: what it was made of.
            before: the packages of the current generation, whose modules are known to be what they
                are; empty where there is none.
            smoke: the label's value; empty when nothing must pass.
            progress: told of what failed and need not pass.

        Raises:
            SmokeError: what must pass did not.
        """
        progress.stage("trying it")
        use = snapshot.environments.get(self._environment.name)
        # One that was current before was tried before: a change of branches costs no container.
        tried = use is not None and use.number == generation.number
        owners = {} if tried else self._new_modules(snapshot, before)
        required = [part.strip() for part in smoke.split(",")] if _MODULES.fullmatch(smoke) else []
        optional = [module for module in owners if module not in required]
        failures = self._import_all(generation, [*required, *optional])
        for failure in failures:
            if failure.module in required:
                raise SmokeError(
                    f"The new generation of {self._environment.name} was not switched to, because "
                    "of what its label venvctl.smoke names: "
                    f"{_words(failure, owners, snapshot.image)}.",
                    hint="Mend the lock or the image, and sync again.",
                )
            progress.warn(_words(failure, owners, snapshot.image))
        if smoke and not required:
            self._run_command(generation, smoke)

    def _new_modules(self, snapshot: Snapshot, before: Sequence[Origin]) -> dict[str, str]:
        """Module → distribution, of every distribution whose content is not as it was before."""
        known = {origin.sha256 for origin in before}
        owners: dict[str, str] = {}
        for origin in snapshot.files:
            if not _is_tried(origin.sha256, origin.file, known):
                continue
            tree = trees.load(
                self._root.store,
                origin.sha256,
                snapshot.target,
                bytecode=snapshot.bytecode == "ahead",
            )
            for module in tree.manifest.modules if tree else ():
                owners[module] = origin.name
        return owners

    def _run_command(self, generation: Generation, smoke: str) -> None:
        result = self._run(generation, shlex.split(smoke))
        if result.exit_code == 0 and not result.timed_out:
            return
        said = "\n".join((result.stderr.strip() or result.stdout.strip()).splitlines()[-_LINES:])
        how = (
            f"did not end within {_SECONDS:g} seconds"
            if result.timed_out
            else f"ended with exit code {result.exit_code}"
        )
        raise SmokeError(
            f"The new generation of {self._environment.name} was not switched to: {smoke!r}, "
            f"the command of its label venvctl.smoke, {how}." + (f"\n{said}" if said else ""),
            hint="Mend the lock or the image, and sync again.",
        )

    def _import_all(self, generation: Generation, modules: Sequence[str]) -> list[Failure]:
        """Import each module; those that could not be."""
        if not modules:
            return []
        script = (resources.files("venvctl") / "container" / "smoke.py").read_text("utf-8")
        result = self._run(
            generation, [f"{self._place(generation)}/bin/python", "-c", script, *modules]
        )
        lines = [
            line.removeprefix(_MARK)
            for line in result.stdout.splitlines()
            if line.startswith(_MARK)
        ]
        failures = [
            Failure(module=module, fault=answer.removeprefix("="))
            for module, answer in zip(lines[::2], lines[1::2], strict=False)
            if answer != "="
        ]
        told = set(lines[::2])
        how = "it took too long" if result.timed_out else "the trial ended before it"
        failures += [Failure(module=name, fault=how) for name in modules if name not in told]
        return failures

    def _place(self, generation: Generation) -> str:
        """The generation's path in the container."""
        return generations.place(self._mount, generation.name)

    def _run(self, generation: Generation, command: Sequence[str]) -> TaskResult:
        """Run a command, with the generation's programs first on its PATH."""
        order = json.dumps({"place": self._place(generation), "command": list(command)})
        standby, self._standby = self._standby or self._start(), None
        standby.say(order)
        return standby.end()

    def _start(self) -> Standby:
        """Have a container start that waits for what to run."""
        wait = (resources.files("venvctl") / "container" / "wait.py").read_text("utf-8")
        task = Task(
            purpose="smoke",
            image=self._image,
            command=[self._target.interpreter, "-I", "-S", "-c", wait],
            mounts=[Mount(source=str(self._environment.volume), target=self._mount)],
            timeout=_SECONDS,
        )
        return self._open.enter_context(Standby(self._root.engine, task))


def _is_tried(sha256: str, file: str, known: Collection[str]) -> bool:
    """Whether what a file holds is imported before the switch.

    Args:
        sha256: its hash.
        file: its name.
        known: hashes of what the current generation is made of. Where there is none, pure packages
            are not tried: importing all of 218 packages takes 8 seconds of a processor, the
            compiled ones take 4 (measured).
    """
    if sha256 in known:
        return False
    return bool(known) or not file.endswith("-any.whl")


def _words(failure: Failure, owners: Mapping[str, str], image: str) -> str:
    top = failure.module.partition(".")[0]
    name = owners.get(failure.module) or owners.get(top, top)
    if failure.library:
        return (
            f"{name} needs the system library {failure.library}, "
            f"which the image {image.removeprefix('sha256:')[:12]} lacks"
        )
    whose = "" if name == failure.module else f" of {name}"
    return f"{failure.module}{whose} can't be imported by itself: {failure.fault}"
