"""What on this machine or in this compose project will bite, and how to mend it."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from venvctl import hooklocks, hooks, hookscript, settings
from venvctl.checks import environments, machine, project, services
from venvctl.checks.finding import Finding, Status, ok, problem, warning
from venvctl.errors import RootError, TargetError, UsageError, VenvctlError
from venvctl.probe import Probe
from venvctl.registration import Registration
from venvctl.repository import Repository
from venvctl.root import Root

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from venvctl.project import ComposeProject, Service
    from venvctl.target import Target


class Doctor:
    """Looks at one root, and at the compose project that it is asked in.

    Nothing is changed: images that were never probed are probed in helper containers that are gone
    at once, and what they say is not kept.

    Args:
        path: the root directory, there or not.
        cwd: where it is asked.
        load: gives the compose project there; None where there is none.
        offline: ask no index.
    """

    def __init__(
        self,
        path: Path,
        *,
        cwd: Path,
        load: Callable[[], ComposeProject | None],
        offline: bool = False,
    ) -> None:
        self._path = path
        self._cwd = cwd
        self._load = load
        self._offline = offline
        self._root: Root | None = None
        self._targets: dict[tuple[str, str], Target] = {}
        self._stack = ExitStack()

    def examine(self) -> Iterator[Finding]:
        """Every finding, as it comes; a check that can't be made is a finding too."""
        with self._stack:
            yield from _told("root", machine.root_directory(self._path))
            yield from _told("hard links", machine.hard_links(self._path))
            yield from _told("free space", machine.free_space(self._path))
            yield from _told("clock", machine.clock(self._path))
            registrations = yield from self._registrations()
            watched = {one.specification.lock.parent for one in registrations}
            yield from _told("inotify", machine.inotify(len(watched)))
            yield from _told("daemon", services.daemon(len(registrations)))
            yield from _told("configuration", self._configuration())
            yield from _told("hooks", self._hooks())
            yield from _told("compose", services.compose_plugin())
            for registration in registrations:
                yield from _told("lock", environments.lock(registration))
            found = yield from self._read_project()
            yield from self._ask_engine(registrations, found)

    def _configuration(self) -> Iterator[Finding]:
        """Whether the configuration files can be used, and the indexes that they name."""
        network = settings.load()
        for path in network.files:
            yield ok("configuration", f"{path} can be used.")
        if not self._offline:
            yield from services.index(network)

    def _registrations(self) -> Generator[Finding, None, list[Registration]]:
        """The environments of the root; those that can't be read are findings."""
        found: list[Registration] = []
        try:
            self._root = Root(self._path)
            for name in self._root.registry.names():
                try:
                    found.append(self._root.registry.load(name))
                except VenvctlError as error:
                    yield problem("registration", error.message, error.hint)
        except RootError:
            # Told by the check of the root.
            self._root = None
        return found

    def _read_project(self) -> Generator[Finding, None, ComposeProject | None]:
        """The compose project; None where there is none, or it can't be read."""
        try:
            found = self._load()
        except VenvctlError as error:
            yield problem("compose project", error.message, error.hint)
            return None
        if found is None:
            return None
        if found.environments:
            yield ok("compose project", f"The compose project {found.name} can be read.")
        else:
            yield warning(
                "compose project",
                f"No volume of the compose project in {found.directory} is an environment.",
                "Give one the label `venvctl.lock: requirements.lock`.",
            )
        return found

    def _ask_engine(
        self, registrations: list[Registration], found: ComposeProject | None
    ) -> Iterator[Finding]:
        root = self._root or Root(Path(self._stack.enter_context(_temporary())))
        try:
            yield from services.engine(root.engine)
        except VenvctlError as error:
            # Without an engine there is nothing more to ask.
            yield problem("engine", error.message, error.hint)
            return
        yield from _told("engine host", self._root_seen(registrations, found, root))
        probe = Probe(Path(self._stack.enter_context(_temporary())), root.engine)
        for registration in registrations:
            environment = root.environment(registration.name)
            ask = partial(self._target, root, probe, registration.specification.python)
            yield from _told("volume", environments.volume(environment, root))
            yield from _told(
                "interpreter", environments.interpreter(registration, environment, root, ask)
            )
        known = {one.name for one in registrations}
        for each in found.environments if found else ():
            name = each.specification.name
            ask = partial(self._target, root, probe, each.specification.python)
            if found and name not in known:
                registration = Registration.of_project(found, each)
                environment = root.environment(name)
                yield from _told("volume", environments.volume(environment, root))
                yield from _told(
                    "interpreter", environments.interpreter(registration, environment, root, ask)
                )
            for service in each.probed_services:
                yield from _told("service", self._service(service, root, ask))

    def _root_seen(
        self, registrations: list[Registration], found: ComposeProject | None, root: Root
    ) -> Iterator[Finding]:
        """Whether the engine mounts the very directory, with the first image that is here."""
        mine = (
            [Registration.of_project(found, each) for each in found.environments] if found else []
        )
        for registration in [*registrations, *mine] if self._path.is_dir() else ():
            for reference in registration.images.values():
                if (image := root.engine.image(reference)) is not None:
                    python = registration.specification.python or "python3"
                    yield from services.root_seen(root.engine, image.id, python, self._path)
                    return

    def _service(self, service: Service, root: Root, ask: environments.Ask) -> Iterator[Finding]:
        image = root.engine.image(service.image)
        if image is None:
            return  # told with the interpreters
        yield from project.search_path(service, image)
        try:
            target = ask(image.id, service.image)
        except TargetError:
            yield from project.mount_point(service, None)
            return
        yield from project.mount_point(service, target)
        yield from project.shadowed(service, image, root.engine, target)

    def _target(self, root: Root, probe: Probe, python: str, image: str, name: str) -> Target:
        key = image, python
        if key not in self._targets:
            known = root.probe.remembered(image, python)
            self._targets[key] = known or probe.ask(image, python, name=name)
        return self._targets[key]

    def _hooks(self) -> Iterator[Finding]:
        """Whether the hooks of the repository here compare the lockfiles that there are now."""
        if shutil.which("git") is None:
            return  # nobody to run them
        try:
            repository = Repository.find(self._cwd)
        except UsageError:
            return
        installed = hookscript.load_settings(repository)
        if installed is None:
            return
        if gone := hooks.absent(repository):
            yield warning(
                "hooks",
                f"The git hooks {', '.join(gone)} of {repository.top} do not have venvctl's lines.",
                "`venvctl hook install` puts them there, or says how to; or "
                "`venvctl hook uninstall`.",
            )
            return
        missing = [
            lock
            for lock in hooklocks.compared(repository, installed, self._root)
            if lock not in hookscript.compared(repository)
        ]
        if missing:
            yield warning(
                "hooks",
                f"The git hooks of {repository.top} do not compare {', '.join(missing)}.",
                "`venvctl hook install` again.",
            )
            return
        yield ok("hooks", f"The git hooks of {repository.top} compare every lockfile there.")


def has_problems(findings: Iterable[Finding]) -> bool:
    """Whether something does not work; warnings are none."""
    return any(finding.status is Status.PROBLEM for finding in findings)


def _told(name: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """A check's findings; one that fails is a finding of its own."""
    try:
        yield from findings
    except VenvctlError as error:
        yield problem(name, error.message, error.hint)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        yield problem(name, f"{place}{error.strerror}.", "")


def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="venvctl-doctor-")
