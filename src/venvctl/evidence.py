"""What an answer "nothing to do" rests on, written down so that the gate can give it again.

A record is kept only where every fact behind the answer is known, and stayed what it was while the
answer was found. It saves time and nothing else: without it a command finds out by itself.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import venvctl
from venvctl import compose, gate, location, plan, stamp, volumes
from venvctl.engine.endpoint import endpoint, settings_files
from venvctl.errors import NoProjectError, VenvctlError
from venvctl.generations import SEAL
from venvctl.registration import REGISTRATION
from venvctl.sync import unchanged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from venvctl.project import ComposeOptions, ComposeProject
    from venvctl.registration import Registration
    from venvctl.root import Root
    from venvctl.sync import SyncResult

# More questions than these are not asked in turn; older records make room.
_KEPT = 256
# What has compose read files that this module doesn't know of, or ask a registry; and escapes that
# could hide such a word.
_FURTHER = re.compile(rb"\b(?:include|extends|env_file|label_file|pull_policy|provider)\b|\\[xuU]")
_VARIABLE = re.compile(rb"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
# Names that need no quoting in a request.
_PLAIN = re.compile(r"[A-Za-z0-9._/:@-]+")


@dataclass(frozen=True, slots=True)
class _UnknownError(Exception):
    """Something that the answer rests on can't be told; never seen outside of this module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What was there before a command looked at anything: the compose project around it, or none.

    Attributes:
        files: digest by path of every file that compose reads or looks for; empty if missing.
        programs: identity by path of what runs compose.
        names: variables that those files mention.
        marks: when the files were written, to notice one that changes meanwhile.
        known: whether this is all that compose looks at.
    """

    files: Mapping[str, str]
    programs: Mapping[str, Sequence[int]]
    names: tuple[str, ...]
    marks: Mapping[str, int]
    known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What the answer of a command rests on, beside its arguments.

    Attributes:
        root: where the environments are.
        options: compose's, as they were given in `cwd`.
        cwd: where the user is.
        before: as `survey` found it before the command looked at anything.
        registrations: the environments that the answer is about, in its order.
        project: the one that the command is given in.
        then: what the command runs in the end, after which it follows the project; or nothing.
        spoken: whether that speaks to the terminal.
    """

    root: Root
    options: ComposeOptions
    cwd: Path
    before: Surroundings
    registrations: tuple[Registration, ...]
    project: ComposeProject | None = None
    then: tuple[str, ...] = ()
    spoken: bool = False


def survey(options: ComposeOptions, cwd: Path) -> Surroundings:
    """Look at every file that says which compose project a command is given in, and what is in it.

    Args:
        options: compose's, as they were given.
        cwd: where (absolute).
    """
    files: list[Path] = []
    mention: set[str] = set()
    programs: dict[str, Sequence[int]] = {}
    looked = {*location.searched(options, cwd)}
    known = True
    try:
        # A lone name that can't be run: nothing is asked of compose here.
        files += location.locate(options, cwd, ("/dev/null",)).files
        for place in compose.plugin_places():
            if place.is_file() and os.access(place, os.X_OK):
                programs[str(place)] = gate.program(str(place))
                break
            looked.add(place)
        known = bool(programs)
    except NoProjectError:
        pass
    except (VenvctlError, OSError):
        known = False
    looked |= {*files, *location.env_files(options, cwd, files)}
    digests, marks = {}, {}
    for path in sorted(looked):
        try:
            digests[str(path)] = gate.digest(str(path))
            content = path.read_bytes() if digests[str(path)] else b""
            marks[str(path)] = path.stat().st_mtime_ns if digests[str(path)] else 0
        except OSError:
            known = False
            continue
        known = known and not (path in files and _FURTHER.search(content))
        mention |= {name.decode() for name in _VARIABLE.findall(content)}
    return Surroundings(
        files=digests, programs=programs, names=tuple(sorted(mention)), marks=marks, known=known
    )


def keep(
    basis: Basis, arguments: Sequence[str], output: Callable[[tuple[SyncResult, ...]], str]
) -> None:
    """Look once more, and write a record if there is nothing to do now; else there is none.

    Args:
        basis: what the answer rests on.
        arguments: the question.
        output: what is printed, from what there is to say of each environment.
    """
    try:
        before = _facts(basis)
        found = [unchanged(registration, basis.root) for registration in basis.registrations]
        after = _facts(basis)
    except (OSError, KeyError, _UnknownError, VenvctlError):
        return
    results = tuple(result for result in found if result is not None)
    if not results or len(results) < len(found) or before != after:
        return
    path = Path(gate.record_path(str(basis.root.path), arguments))
    document = {**after, "output": output(results)}
    # Not `disk`: a record that a power loss takes away, or tears, is only not there.
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if len(list(path.parent.iterdir())) >= _KEPT:
            for old in path.parent.iterdir():
                old.unlink()
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as stream:
            stream.write(stamp.stamped(document))
        Path(stream.name).replace(path)


def _facts(basis: Basis) -> dict[str, object]:
    root = basis.root
    now = survey(basis.options, basis.cwd)
    if not now.known or now != basis.before or not _is_whole(basis):
        raise _UnknownError
    identities = {str(root.path): gate.identity(str(root.path))}
    files = {**now.files, **_digests(settings_files())}
    links: dict[str, str] = {}
    images: dict[str, str] = {}
    known_volumes: dict[str, list[object]] = {}
    for registration in basis.registrations:
        environment = root.environment(registration.name)
        inputs = environment.state().inputs
        current = environment.current()
        if current is None:
            raise _UnknownError
        links[str(environment.volume / ".venvctl" / "current")] = f"generations/{current.name}"
        for path in (environment.volume, current.path / SEAL):
            identities[str(path)] = gate.identity(str(path))
        files |= _digests(environment.directory / name for name in ("state.json", REGISTRATION))
        if root.registry.find(registration.name) != registration:
            raise _UnknownError
        files |= plan.lock_digests(inputs)
        ids = plan.service_images(inputs)
        images |= {name: ids[service] for service, name in registration.images.items()}
        volume = root.engine.volume(registration.name)
        if volume is None or not volumes.check(environment, volume):
            raise _UnknownError
        known_volumes[registration.name] = [
            volume.driver, dict(volume.options), dict(volume.labels),
        ]  # fmt: skip
    if basis.project is not None and basis.then:
        files |= _digests([root.path / "projects" / f"{basis.project.name}.json"])
    if not all(map(_PLAIN.fullmatch, images)):
        raise _UnknownError
    return {
        "schema": gate.SCHEMA,
        "version": venvctl.__version__,
        "root": str(root.path),
        "variables": {"names": list(now.names), "digest": gate.variables(now.names)},
        "identities": identities,
        "programs": {path: list(mark) for path, mark in now.programs.items()},
        "links": links,
        "registered": gate.registered(str(root.path)),
        "files": files,
        "engine": {
            "socket": endpoint().removeprefix("unix://"),
            "images": images,
            "volumes": known_volumes,
        },
        "then": list(basis.then),
        "spoken": basis.spoken,
    }


def _is_whole(basis: Basis) -> bool:
    """Whether no service was left out because its image is not here: it may come any time."""
    if basis.project is None:
        return True
    services = {
        each.specification.name: {service.name for service in each.probed_services}
        for each in basis.project.environments
    }
    return all(
        services.get(registration.name, registration.images.keys()) == registration.images.keys()
        for registration in basis.registrations
    )


def _digests(paths: Iterable[Path]) -> dict[str, str]:
    return {str(path): gate.digest(str(path)) for path in paths}
