"""The container that a source is built in: what goes in, what it is asked, what comes out."""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from venvctl import disk
from venvctl.buildsystem import BuildSystem, parse_requirements
from venvctl.document import Document
from venvctl.engine.model import Mount, Task
from venvctl.errors import BuildError, ConfigurationError
from venvctl.lockfiles.locations import redact

if TYPE_CHECKING:
    from collections.abc import Iterable

    from venvctl.engine.model import Engine, TaskResult

_MARK = "venvctl-build:"
_CERTIFICATES = "certificates.pem"
_SECONDS = 3600.0
_MEMORY = 4 << 30  # bytes
_PROCESSES = 1024
_LINES_SHOWN = 20
_NOT_FOUND = 127  # POSIX: command not found
# The first day that a zip archive can write down: with it a build gives the same wheel each time.
_EPOCH = "315532800"
_COMPILERS = r"(gcc|g\+\+|cc|c\+\+|clang|clang\+\+|gfortran|rustc|cargo|make|cmake)"
# What a build says when the image lacks something -> what helps.
_HINTS = (
    (
        re.compile(
            rf"command '(\S*-)?{_COMPILERS}' failed: No such file"
            rf"|No such file or directory: '(\S*[-/])?{_COMPILERS}'"
            rf"|(^|[\s:/]){_COMPILERS}: (command )?not found"
            r"|Unknown compiler\(s\)|No CMAKE_\w+_COMPILER could be found|can't find Rust compiler"
            r"|[Uu]nable to find .*compiler|fatal error: \S+\.h: No such file"
        ),
        "Name an image with compiler and headers, and the same Python, in `venvctl.build-image`.",
    ),
    (
        re.compile(
            r"Temporary failure in name resolution|Name or service not known|dns error"
            r"|Network is unreachable|Could not resolve host|failed to lookup address"
        ),
        "The build wants the network: allow it with the label `venvctl.build-network: true`.",
    ),
)


# How uv gets what a build needs: from the inputs alone.
_NO_INDEX = ("--offline", "--no-index", "--find-links", "/inputs/wheels")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is to be built.

    Attributes:
        archive: its name among the inputs; empty where `Sandbox.source` has the files already.
        subdirectory: where the project is in it.
        archival: text of a ``.git_archival.txt``, for an image without git; or empty.
    """

    archive: str = ""
    subdirectory: str = ""
    archival: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a build ended.

    Attributes:
        failure: what a person needs to know; None where there is a wheel.
        requires: what the backend asked for when it failed (`get_requires_for_build_wheel`).
    """

    failure: BuildError | None
    requires: tuple[str, ...] = ()


class Sandbox:
    """One source's container, or rather a fresh one on the same folders each time.

    It has no capabilities, limited memory, processes and time, and no network unless it is told so.

    Args:
        directory: an empty temporary directory below the root.
        uv: the program, as the image can run it.
        engine: runs it. image: image ID. interpreter: path of the interpreter in the image.
        network: whether a build may use the network.
        title: of the package, for messages.
    """

    def __init__(
        self,
        directory: Path,
        *,
        uv: Path,
        engine: Engine,
        image: str,
        interpreter: str,
        network: bool,
        title: str,
    ) -> None:
        self._engine = engine
        self._image = image
        self._interpreter = interpreter
        self._network = network
        self._title = title
        self._inputs = directory / "inputs"
        self._work = directory / "work"
        self.source = self._work / "source"
        self.output = directory / "output"
        owner = directory.stat()
        self._user = f"{owner.st_uid}:{owner.st_gid}"
        with disk.translate(directory):
            for folder in (self._inputs, self._work, self.output):
                folder.mkdir(0o755)
        self.add(uv, "uv")

    def add(self, path: Path, name: str) -> None:
        """Put a file of the root among the inputs, which the container can only read."""
        target = self._inputs / name
        with disk.translate(target, needed=path.stat().st_size):
            try:
                os.link(path, target)
            except OSError:
                # Links between file systems, to others' files, or too many of them are refused.
                shutil.copy(path, target)

    def supply(self, wheels: Iterable[Path]) -> None:
        """Give the build these wheels to take what it needs from, and no others."""
        folder = self._inputs / "wheels"
        disk.remove_tree(folder)
        with disk.translate(folder):
            folder.mkdir(0o755)
        for wheel in wheels:
            self.add(wheel, f"wheels/{wheel.name}")

    def describe(self, source: Source) -> BuildSystem:
        """Unpack the source and say how it is built; nothing of it is run.

        Raises:
            BuildError: it can't be unpacked, or is no Python project.
        """
        result = self._run({"task": "describe"}, source, network=False)
        answer = _answer(result)
        if result.exit_code or result.timed_out or answer is None:
            raise self._failure(result, "can't be unpacked")
        pyproject = answer.text("pyproject", "")
        if not pyproject and not answer.flag("legacy", default=False):
            where = f" in {source.subdirectory}" if source.subdirectory else ""
            raise BuildError(
                f"{self._title} can't be built: it has neither pyproject.toml nor setup.py{where}.",
                hint="Choose another version of the package.",
            )
        return BuildSystem.parse(pyproject, title=self._title)

    def build(self, source: Source, system: BuildSystem | None, *, online: bool) -> Outcome:
        """Build the wheel into `output`.

        Args:
            source: what to build.
            system: its build system, to ask the backend what it lacks when it fails; None: don't.
            online: whether uv gets what the build needs by itself, and not from the inputs.
        """
        result = self._run(
            {
                "task": "build",
                "arguments": _index() if online else _NO_INDEX,
                "requires": system.requires if system else (),
                "backend": system.backend if system else "",
                "path": system.path if system else (),
            },
            source,
            network=self._network,
        )
        if not result.exit_code and not result.timed_out:
            return Outcome(failure=None)
        answer = _answer(result)
        return Outcome(
            failure=self._failure(result, "can't be built"),
            requires=_requires(answer) if answer else (),
        )

    def _run(self, order: dict[str, object], source: Source, *, network: bool) -> TaskResult:
        environment = {"SOURCE_DATE_EPOCH": _EPOCH, "LC_ALL": "C.UTF-8"}
        if network and (certificates := _certificates()):
            if not (self._inputs / _CERTIFICATES).exists():
                self.add(certificates, _CERTIFICATES)
            environment["SSL_CERT_FILE"] = f"/inputs/{_CERTIFICATES}"
        order |= {
            "archive": source.archive,
            "subdirectory": source.subdirectory,
            "archival": source.archival,
        }
        script = files("venvctl").joinpath("container/build.py").read_text("utf-8")
        return self._engine.run(
            Task(
                purpose="build",
                image=self._image,
                command=(self._interpreter, "-I", "-c", script, json.dumps(order)),
                mounts=(
                    Mount(source=str(self._inputs), target="/inputs"),
                    Mount(source=str(self._work), target="/work", read_only=False),
                    # A mount of its own: a build can put a link in place of a folder, but not of
                    # a mount, so what is found in here is what the build has put here.
                    Mount(source=str(self.output), target="/output", read_only=False),
                ),
                environment=environment,
                user=self._user,
                working_directory="/work",
                network=network,
                memory=_MEMORY,
                pids=_PROCESSES,
                timeout=_SECONDS,
            )
        )

    def _failure(self, result: TaskResult, what: str) -> BuildError:
        lines = [line.rstrip() for line in result.stderr.splitlines() if line.strip()]
        said = "".join(f"\n  {line}" for line in lines[-_LINES_SHOWN:])
        if result.timed_out:
            reason = f"it was stopped after {_SECONDS:,.0f} seconds"
        elif result.out_of_memory:
            reason = f"it needs more than {_MEMORY >> 20:,} MB of memory"
        elif result.exit_code == _NOT_FOUND:
            reason = f"the image has no interpreter {self._interpreter}"
        else:
            reason = f"it ended with exit code {result.exit_code}"
        matches = (hint for pattern, hint in _HINTS if pattern.search(result.stderr))
        return BuildError(
            f"{self._title} {what}: {reason}{', and said:' + said if said else '.'}",
            hint=next(matches, "Choose a version of the package that has a wheel."),
        )


def _answer(result: TaskResult) -> Document | None:
    """The last line that the program in the container marked."""
    for line in reversed(result.stdout.splitlines()):
        if line.startswith(_MARK):
            try:
                return Document.parse(json.loads(line.removeprefix(_MARK)), "the build container")
            except (ValueError, RecursionError, ConfigurationError):
                return None
    return None


def _requires(answer: Document) -> tuple[str, ...]:
    """What a backend asks for; nothing where it is no list of requirements."""
    try:
        return parse_requirements(answer.fields.get("requires"))
    except (ValueError, TypeError):
        return ()


def _index() -> tuple[str, ...]:
    """The user's own default index, without the credentials, which no build may see."""
    url = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL")
    return ("--default-index", redact(url)) if url else ()


def _certificates() -> Path | None:
    """The file of certificates that this host trusts: those of a proxy are in no image."""
    found = ssl.get_default_verify_paths().cafile
    return Path(found) if found else None
