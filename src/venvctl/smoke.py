"""Tries a generation in a throw-away container before anything runs on it.

The top-level modules of the packages that are new in it are imported; what fails is a warning,
since a package may import only where its application is. What the label `venvctl.smoke` names must
pass: modules, with commas between, or else a command.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from venvctl import trees
from venvctl.engine.model import Mount, Task
from venvctl.errors import SmokeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from venvctl.engine.model import TaskResult
    from venvctl.environments import Environment, Generation
    from venvctl.origin import Origin
    from venvctl.progress import Progress
    from venvctl.root import Root
    from venvctl.snapshots import Snapshot

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


def check(
    generation: Generation,
    snapshot: Snapshot,
    before: Sequence[Origin],
    environment: Environment,
    root: Root,
    *,
    smoke: str,
    progress: Progress,
) -> None:
    """Import what is new, and whatever must pass.

    Args:
        generation: complete, not current yet.
        snapshot: what it was made of.
        before: the packages of the current generation, whose modules are known to be what they are.
        environment: whose volume it lies in.
        root: its engine and store.
        smoke: the label's value; empty when nothing must pass.
        progress: told of what failed and need not pass.

    Raises:
        SmokeError: what must pass did not.
    """
    trial = _Trial(environment=environment, generation=generation, snapshot=snapshot, root=root)
    progress.stage("trying it")
    owners = _new_modules(snapshot, before, root)
    required = [part.strip() for part in smoke.split(",")] if _MODULES.fullmatch(smoke) else []
    optional = [module for module in owners if module not in required]
    failures = trial.import_all([*required, *optional])
    for failure in failures:
        if failure.module in required:
            raise SmokeError(
                f"The new generation of {environment.name} was not switched to, because of what "
                f"its label venvctl.smoke names: {_words(failure, owners, snapshot.image)}.",
                hint="Mend the lock or the image, and sync again.",
            )
        progress.warn(_words(failure, owners, snapshot.image))
    if smoke and not required:
        _run_command(trial, smoke)


def _new_modules(snapshot: Snapshot, before: Sequence[Origin], root: Root) -> dict[str, str]:
    """Module → distribution, of every distribution whose content is not that of the one before."""
    known = {origin.sha256 for origin in before}
    owners: dict[str, str] = {}
    for origin in snapshot.files:
        if origin.sha256 in known:
            continue
        tree = trees.load(
            root.store, origin.sha256, snapshot.target, bytecode=snapshot.bytecode == "ahead"
        )
        for module in tree.manifest.modules if tree else ():
            owners[module] = origin.name
    return owners


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


def _run_command(trial: _Trial, smoke: str) -> None:
    result = trial.run(shlex.split(smoke))
    if result.exit_code == 0 and not result.timed_out:
        return
    said = "\n".join((result.stderr.strip() or result.stdout.strip()).splitlines()[-_LINES:])
    how = (
        f"did not end within {_SECONDS:g} seconds"
        if result.timed_out
        else f"ended with exit code {result.exit_code}"
    )
    raise SmokeError(
        f"The new generation of {trial.environment.name} was not switched to: {smoke!r}, "
        f"the command of its label venvctl.smoke, {how}." + (f"\n{said}" if said else ""),
        hint="Mend the lock or the image, and sync again.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """A generation, and what it takes to run something on it before it is current."""

    environment: Environment
    generation: Generation
    snapshot: Snapshot
    root: Root

    @property
    def place(self) -> str:
        """The generation's path in a container."""
        return f"{self.snapshot.mount}/.venvctl/generations/{self.generation.name}"

    def run(self, command: Sequence[str]) -> TaskResult:
        """Run a command, with the generation's programs first on its PATH."""
        image = self.root.engine.image(self.snapshot.image)
        path = image.environment.get("PATH", "") if image else ""
        return self.root.engine.run(
            Task(
                purpose="smoke",
                image=self.snapshot.image,
                command=command,
                mounts=[Mount(source=str(self.environment.volume), target=self.snapshot.mount)],
                environment={
                    "PATH": f"{self.place}/bin:{path or '/usr/local/bin:/usr/bin:/bin'}",
                    "VIRTUAL_ENV": self.place,
                },
                timeout=_SECONDS,
            )
        )

    def import_all(self, modules: Sequence[str]) -> list[Failure]:
        """Import each module; those that could not be."""
        if not modules:
            return []
        script = (resources.files("venvctl") / "container" / "smoke.py").read_text("utf-8")
        result = self.run([f"{self.place}/bin/python", "-c", script, *modules])
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
