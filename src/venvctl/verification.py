"""Checks every file of environments against its hash, and has what is damaged made anew."""

from __future__ import annotations

import os
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from venvctl import exposure, volumes
from venvctl.errors import IntegrityError, RootError, VolumeConflictError
from venvctl.examination import examine
from venvctl.repair import mend
from venvctl.resealing import reseal
from venvctl.seal import Seal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from venvctl.environments import Environment, Generation
    from venvctl.examination import Fault
    from venvctl.progress import Progress
    from venvctl.root import Root

_WAIT = 30.0  # seconds that a repair waits for others to be done


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One file that is not what it should be.

    Attributes:
        path: on this host.
        place: whose it is: ``generation 3 of shop_venv``, ``shop_venv``, ``the store``, or
            ``the root``.
        reason: words that follow the path.
        expected, found: digest, mode or link's target, where they are known.
        shared_by: every generation that has this very file, or was made of this wheel.
    """

    path: Path
    place: str
    reason: str
    expected: str = ""
    found: str = ""
    shared_by: tuple[str, ...] = ()

    def __str__(self) -> str:
        """A sentence for a person."""
        values = f" (expected {self.expected}, found {self.found})" if self.found else ""
        shared = f"; shared by {', '.join(self.shared_by)}" if self.shared_by else ""
        return f"{self.path} {self.reason}{values}{shared}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyResult:
    """What `verify` found.

    Attributes:
        environments: names of those that were checked.
        generations: how many of them together.
        files, bytes: that were hashed; a file that is shared counts once.
        problems: what is wrong, and with a repair what still is.
        repaired: what was wrong and is no more.
    """

    environments: tuple[str, ...]
    generations: int
    files: int
    bytes: int
    problems: tuple[Problem, ...]
    repaired: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything is what it should be now."""
        return not self.problems


def verify(
    names: Sequence[str],
    root: Root,
    *,
    repair: bool,
    offline: bool = False,
    progress: Progress,
) -> VerifyResult:
    """Check every file of some environments, of the trees it came from, and of their wheels.

    Without `repair` nothing is written, so that it works on a file system that can't be written.

    Args:
        names: of the environments; none means all, and everything else in the root.
        root: where they are kept.
        repair: have what is damaged made anew, as new files beside the old ones; running containers
            never see half of one.
        offline: a repair fetches nothing.
        progress: told of bytes, and warned of what can't be repaired.

    Raises:
        UsageError: there is no environment of such a name.
        BusyError: somebody else works in the root (with `repair`).
        VenvctlError: a repair failed; what was repaired so far stays.
    """
    environments = _environments(names, root)
    whole = not names
    with root.alone(wait=_WAIT) if repair else nullcontext():
        first = last = examine(environments, root, progress, whole=whole)
        before = _problems(first.faults, root)
        if repair and before:
            faults = first.faults
            if reseal(faults, root, progress):
                faults = examine(environments, root, progress, whole=whole).faults
            mend(faults, root, offline=offline, progress=progress)
            last = examine(environments, root, progress, whole=whole)
    problems = _problems(last.faults, root)
    left = {(problem.path, problem.reason) for problem in problems}
    return VerifyResult(
        environments=tuple(environment.name for environment in environments),
        generations=first.generations,
        files=first.files,
        bytes=first.bytes,
        problems=problems,
        repaired=tuple(problem for problem in before if (problem.path, problem.reason) not in left),
    )


def seen(result: VerifyResult, root: Root, progress: Progress) -> VerifyResult:
    """Find out whether containers are shown what was checked; adds what is wrong.

    A volume of the right options leads to the environment's directory, read-only for whoever
    mounts it. One that is not there is not wrong: nobody mounts it. What a running container has
    mounted there is asked of the kernel.

    Args:
        result: what was found in the files.
        root: where they are.
        progress: warned of containers that can't be looked into.

    Raises:
        EngineUnreachableError, EngineError: it can't be told.
    """
    problems = []
    for name in result.environments:
        environment = root.environment(name)
        if not environment.state().volume_inode:
            continue
        reasons = []
        try:
            volumes.check(environment, root.engine.volume(name))
            reasons += _shown(environment, root, progress)
        except VolumeConflictError as error:
            reasons.append(error.message.rstrip("."))
        problems += [
            Problem(
                path=environment.volume,
                place=name,
                reason=f"is not what containers are shown: {reason}",
            )
            for reason in reasons
        ]
    return replace(result, problems=(*result.problems, *problems))


def _shown(environment: Environment, root: Root, progress: Progress) -> list[str]:
    """What is wrong with what running containers have mounted."""
    found = []
    for container in root.engine.containers(volume=environment.name):
        if not container.pid:
            continue
        try:
            wrong = exposure.faults(container, environment.name, environment.volume)
        except RootError as error:
            now = root.engine.container(container.id)
            if now is not None and now.pid == container.pid:
                progress.warn(error.message)
            continue
        found += [f"container {container.name} {words}" for words in wrong]
    return found


def _environments(names: Sequence[str], root: Root) -> list[Environment]:
    if not names:
        return root.environments()
    for name in names:
        # Without a registration there may still be generations.
        if not root.environment(name).generations_directory.is_dir():
            root.registry.load(name)
    return [root.environment(name) for name in dict.fromkeys(names)]


def _problems(faults: Sequence[Fault], root: Root) -> tuple[Problem, ...]:
    """What a person is told: one problem for each file, however many generations share it."""
    sharers = _Sharers(root)
    problems: dict[object, Problem] = {}
    for fault in faults:
        finding = fault.finding
        key = (finding.inode or finding.path, finding.reason)
        if key not in problems:
            problems[key] = Problem(
                path=Path(finding.path),
                place=_place(fault),
                reason=finding.reason,
                expected=finding.expected,
                found=finding.found,
                shared_by=sharers.of(fault),
            )
    return tuple(problems.values())


def _place(fault: Fault) -> str:
    if fault.generation is not None:
        return _title(fault.environment, fault.generation)
    return fault.environment or ("the root" if fault.record else "the store")


def _title(environment: str, generation: Generation) -> str:
    return f"generation {generation.number} of {environment}"


class _Sharers:
    """Finds the generations of a whole root that have something; looks only when asked."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._generations: list[tuple[str, Generation]] | None = None
        self._made_of: dict[str, list[str]] | None = None

    def of(self, fault: Fault) -> tuple[str, ...]:
        """Titles of the generations that have the damaged file, or were made of the wheel."""
        if fault.wheel is not None:
            return tuple(self._wheels().get(fault.wheel.sha256, ()))
        inode = fault.finding.inode
        if inode is None or not fault.relative:
            return ()
        found = []
        for name, generation in self._all():
            with suppress(OSError):
                state = os.lstat(f"{generation.path}/{fault.relative}")
                if (state.st_dev, state.st_ino) == inode:
                    found.append(_title(name, generation))
        return tuple(found)

    def _all(self) -> list[tuple[str, Generation]]:
        if self._generations is None:
            self._generations = [
                (environment.name, generation)
                for environment in self._root.environments()
                for generation in environment.generations()
            ]
        return self._generations

    def _wheels(self) -> dict[str, list[str]]:
        if self._made_of is None:
            self._made_of = {}
            for name, generation in self._all():
                with suppress(IntegrityError):
                    for package in Seal.load(generation.path).packages:
                        for sha256 in {package.origin.sha256, package.origin.source}:
                            titles = self._made_of.setdefault(sha256, [])
                            titles.append(_title(name, generation))
        return self._made_of
