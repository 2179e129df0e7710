"""How a source is built: its build system (PEP 517, PEP 518), and the wheels that this needs."""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import tomli_w
from packaging.pylock import Pylock, PylockValidationError
from packaging.requirements import InvalidRequirement, Requirement

from venvctl import disk, settings, stamp
from venvctl.errors import BuildError, IntegrityError, UnavailableError
from venvctl.lockfiles import uv_command
from venvctl.lockfiles.locations import redact
from venvctl.selection import select

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from packaging.pylock import Package, PackageWheel

    from venvctl.selection import SelectedFile
    from venvctl.target import Target

# What holds where a source says nothing: as pip and uv have it.
_LEGACY_BACKEND = "setuptools.build_meta:__legacy__"
_LEGACY_REQUIRES = ("setuptools>=40.8.0",)
_HINT_NETWORK = (
    "Let the build get them itself with the label `venvctl.build-network: true`,"
    " or choose a version of the package that has a wheel."
)
# The C libraries that uv can resolve for, as far as its list goes (`--python-platform`).
_GLIBC = re.compile(r"manylinux_2_(\d+)_(x86_64|aarch64)")
_MUSL = re.compile(r"musllinux_1_\d+_(x86_64|aarch64)")
_GLIBC_VERSIONS = (17, 28, *range(31, 41))


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSystem:
    """What ``[build-system]`` of a source says.

    Attributes:
        requires: requirements (PEP 508), normalized.
        backend: object reference of the build backend.
        path: folders of the source that the backend is imported from.
    """

    requires: tuple[str, ...] = _LEGACY_REQUIRES
    backend: str = _LEGACY_BACKEND
    path: tuple[str, ...] = ()

    @classmethod
    def parse(cls, pyproject: str, *, title: str) -> BuildSystem:
        """Read a ``pyproject.toml``.

        Args:
            pyproject: its text; empty where the source has none.
            title: of the package, for messages.

        Raises:
            BuildError: it can't be read.
        """
        try:
            table = tomllib.loads(pyproject).get("build-system")
            if table is None:
                return cls()
            system = cls(
                requires=parse_requirements(table["requires"]),
                backend=str(table.get("build-backend", _LEGACY_BACKEND)),
                path=tuple(str(path) for path in table.get("backend-path", ())),
            )
        except KeyError:
            reason = "[build-system] has no requires"
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            reason = str(error) or type(error).__name__
        else:
            return system
        raise BuildError(
            f"{title} can't be built: its pyproject.toml can't be read: {reason}.",
            hint="Choose another version of the package.",
        )


def parse_requirements(values: object) -> tuple[str, ...]:
    """Requirements (PEP 508), each normalized.

    Raises:
        ValueError, TypeError: they are none.
    """
    if not isinstance(values, list):
        raise TypeError("requires is not a list")
    try:
        return tuple(dict.fromkeys(str(Requirement(value)) for value in values))
    except InvalidRequirement as error:
        # Its message has several lines, with a marker below the fault.
        raise ValueError(str(error).partition("\n")[0]) from error


def resolve(
    requires: Sequence[str], target: Target, *, indexes: Sequence[str], title: str
) -> Pylock:
    """Pin what a build needs, with hashes; wheels alone, so that nothing is run on this host.

    Args:
        requires: requirements (PEP 508) from a source, which is not trusted.
        target: the interpreter that builds.
        indexes: URLs of indexes to ask before the default one, as uv takes them.
        title: of the package to build, for messages.

    Raises:
        BuildError: no wheels can satisfy them.
        UnavailableError: the index gives no answer.
    """
    direct = [text for text in requires if Requirement(text).url]
    if direct:
        raise BuildError(
            f"{title} can't be built: it needs {', '.join(map(redact, direct))}"
            " from a URL, which no hash vouches for.",
            hint=_HINT_NETWORK,
        )
    with uv_command.directory({"requirements.in": "\n".join(requires) + "\n"}) as directory:
        done = uv_command.run(
            [
                *("pip", "compile", "requirements.in", "--format", "pylock.toml"),
                *("--only-binary", ":all:", "--no-header", "--no-annotate"),
                *("--python-version", target.version, "--python-platform", _platform(target)),
                # Nothing is run with it; looking for one would take uv longer than the answer.
                *("--python", sys.executable),
            ],
            within=directory,
            environment=settings.load().uv_environment(indexes, directory),
        )
    # 1 is "no solution": the index has answered.
    if done.exit_code == 1:
        raise BuildError(
            f"{title} can't be built: what its build needs ({', '.join(requires)})"
            f" can't be had as wheels: {done.reason()}.",
            hint=_HINT_NETWORK,
        )
    if done.exit_code:
        raise UnavailableError(
            f"The index can't be asked for what the build of {title} needs: {done.reason()}.",
            hint="Check the index and the network; the environment stays as it is until then.",
        )
    lock = Pylock.from_dict(tomllib.loads(done.stdout))
    # No credentials on disk, and a path for what is on this host.
    return replace(lock, packages=[_cleaned(package) for package in lock.packages])


def wheels(lock: Pylock, target: Target) -> tuple[SelectedFile, ...]:
    """The wheels of a resolution, one for each package."""
    return select(lock, target).files


def load(root: Path, key: str) -> Pylock | None:
    """What a source was built with the last time; None where it never was.

    Raises:
        IntegrityError: the record is damaged.
    """
    try:
        return read(record_path(root, key))
    except FileNotFoundError:
        return None


def read(path: Path) -> Pylock:
    """What a record says; raises `FileNotFoundError`, and else as `load`."""
    try:
        return Pylock.from_dict(tomllib.loads(stamp.unmarked(path.read_bytes()).decode()))
    except (ValueError, RecursionError, PylockValidationError) as error:
        raise IntegrityError(
            f"The record of a build's requirements {path} is damaged.",
            hint="Remove it; what the build needs is then resolved again.",
        ) from error


def save(root: Path, key: str, lock: Pylock) -> None:
    """Keep what a source was built with, so that building it again needs and gives the same."""
    path = record_path(root, key)
    disk.make_directory(path.parent)
    disk.write_file(path, stamp.marked(tomli_w.dumps(dict(lock.to_dict())).encode()))


def record_path(root: Path, key: str) -> Path:
    """Where the record is; `key` says what is built with which interpreter, without a slash."""
    return root / "pins" / "builds" / f"{key}.pylock.toml"


def _cleaned(package: Package) -> Package:
    return replace(
        package, index=None, wheels=[_cleaned_wheel(each) for each in package.wheels or ()]
    )


def _cleaned_wheel(wheel: PackageWheel) -> PackageWheel:
    url = redact(wheel.url or "")
    if url.startswith("file:"):
        return replace(wheel, name=wheel.filename, url=None, path=unquote(urlsplit(url).path))
    return replace(wheel, url=url or None)


def _platform(target: Target) -> str:
    """The word of uv for the target's C library: the newest of those it knows that is not newer."""
    for tag in target.tags:
        platform = tag.rpartition("-")[2]
        if (glibc := _GLIBC.fullmatch(platform)) and int(glibc[1]) in _GLIBC_VERSIONS:
            return f"{glibc[2]}-manylinux_2_{glibc[1]}"
        if musl := _MUSL.fullmatch(platform):
            return f"{musl[1]}-unknown-linux-musl"
    return "linux"
