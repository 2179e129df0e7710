"""What one lock means for one target: exactly one file for each package."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from packaging.pylock import PackageArchive, PackageWheel
from packaging.tags import create_compatible_tags_selector
from packaging.utils import canonicalize_name

from venvctl.errors import BuildsDeniedError, LockError, SelectionError
from venvctl.lockfiles.direct import IN_IMAGE
from venvctl.lockfiles.entries import (
    archive_name,
    holds,
    is_recorded,
    label_of,
    place_of,
    version_of,
    wheel_parts,
    wheel_tags,
)
from venvctl.lockfiles.hashes import sha256_of
from venvctl.lockfiles.locations import check_commit, check_file_name, check_url

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from packaging.pylock import Package, PackageSdist, Pylock
    from packaging.tags import Tag

    from venvctl.target import Target

    # Yields, of some items with their tags, the compatible ones, best first (`packaging.tags`).
    TagSelector = Callable[
        [Iterable[tuple[PackageWheel | PackageArchive, AbstractSet[Tag]]]],
        Iterator[PackageWheel | PackageArchive],
    ]

_TAGS_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedFile:
    """The one file of one package, as the lock names it.

    Attributes:
        name: normalized (PEP 503). version: "" where a lock gives none for an archive or a commit.
        file: file name, safe as one path component; "" for `vcs`.
        kind: `wheel` is installed as it is; the others must be built.
        sha256: hex digest of the file; "" for `vcs`, where `commit` stands for the content.
        urls: where to have it. They may carry credentials, so they are never shown.
        size: in bytes, where the lock tells.
        path: absolute path of a local file; "" for one that must be fetched.
        place: where the lock has it.
        commit: of `vcs`, its full hash. subdirectory: of `vcs` and `archive`, where the source is.
        recorded: the hash is a pin record's, since the lock has none (see `asking.changed`).
    """

    name: str
    version: str
    file: str
    kind: Literal["wheel", "sdist", "archive", "vcs"]
    sha256: str
    urls: tuple[str, ...] = field(repr=False)
    size: int | None = None
    path: str = ""
    place: str = ""
    commit: str = ""
    subdirectory: str = ""
    recorded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The files of an environment, sorted by package name."""

    files: tuple[SelectedFile, ...]

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over what is installed: name, version, file and content of each package."""
        lines = (
            "\0".join((file.name, file.version, file.file, file.sha256 or file.commit))
            + (f"\0{file.subdirectory}" if file.subdirectory else "")
            for file in self.files
        )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def select(
    pylock: Pylock,
    target: Target,
    *,
    extras: Collection[str] = (),
    groups: Collection[str] = (),
    builds: bool = False,
    insecure_hosts: Collection[str] = (),
) -> Selection:
    """Choose the files that a lock names for a target; nothing is read or fetched.

    The steps are those of PEP 751, "Installation". `Pylock.select` takes them too, but stops at the
    first fault, names no place, and takes the first listed of equal wheels.

    Args:
        pylock: a valid lock.
        target: the interpreter it is for.
        extras: extras of the lock to install.
        groups: dependency groups to install beside the lock's default groups.
        builds: whether a package may come as source.
        insecure_hosts: hosts that may be spoken to without HTTPS.

    Raises:
        LockError: the lock is for another Python, has no such extra or group, or an entry that
            can't be used: a directory, a weak hash, a `file:` URL, a file name that is a path.
        SelectionError: a package has no file for this target, or is selected twice.
        BuildsDeniedError: packages come only as source, and `builds` is false; all are named.
    """
    environment = target.marker_environment()
    _check_python(pylock, target, environment)
    lock_file_environment: dict[str, str | frozenset[str]] = {
        **environment,
        "extras": frozenset(_known("extra", extras, pylock.extras or ())),
        "dependency_groups": frozenset(
            {
                *(pylock.default_groups or ()),
                *_known("group", groups, pylock.dependency_groups or ()),
            }
        ),
    }
    packages = _applicable(pylock.packages, lock_file_environment, target)
    selector: TagSelector = create_compatible_tags_selector(target.wheel_tags())
    chosen = [(package, _choose(package, selector)) for package in packages]
    _check_found(chosen, target)
    files = [
        _selected(package, file, insecure_hosts) for package, file in chosen if file is not None
    ]
    files += [_from_vcs(package, insecure_hosts) for package in packages if package.vcs]
    files.sort(key=lambda file: file.name)
    _check_builds(files, target, builds=builds)
    return Selection(files=tuple(files))


def selected_twice(
    name: str, first: tuple[str, str], second: tuple[str, str], target: Target
) -> SelectionError:
    """The error for two entries of one package that both apply; each is (version, place)."""
    return SelectionError(
        f"{name} is selected twice for Python {target.version}:"
        f" {first[0]} by {first[1]}, {second[0]} by {second[1]}.",
        hint="Only one may apply: correct their markers, or make the lock again.",
    )


def _check_python(pylock: Pylock, target: Target, environment: Mapping[str, str]) -> None:
    if pylock.requires_python is not None and not pylock.requires_python.contains(
        target.version, prereleases=True
    ):
        raise LockError(
            f"The lock is for Python {pylock.requires_python}; the image has {target.version}.",
            hint="Use an image with such a Python, or make the lock for this one.",
        )
    markers = pylock.environments or ()
    if markers and not any(
        holds(marker, environment, "The lock", context="requirement") for marker in markers
    ):
        raise LockError(
            f"The lock is for other environments: {'; '.join(map(str, markers))}."
            f" The image has Python {target.version} on"
            f" {environment['sys_platform']} {environment['platform_machine']}.",
            hint="Add this environment to the tool that makes the lock.",
        )


def _known(kind: str, asked: Iterable[str], known: Sequence[str]) -> list[str]:
    """The lock's own spelling of what the user asked for (PEP 685, PEP 735)."""
    spelling = {canonicalize_name(name): name for name in known}
    asked = list(asked)
    missing = [name for name in asked if canonicalize_name(name) not in spelling]
    if missing:
        names = ", ".join(sorted(known))
        raise LockError(
            f"The lock has no {kind} {', '.join(map(repr, missing))};"
            f" {f'it has {names}' if names else 'it has none at all'}.",
            hint=f"Correct the label `venvctl.{kind}s`.",
        )
    return [spelling[canonicalize_name(name)] for name in asked]


def _applicable(
    packages: Iterable[Package], environment: Mapping[str, str | frozenset[str]], target: Target
) -> list[Package]:
    """The packages whose marker applies; none may be there twice."""
    found: dict[str, Package] = {}
    for package in packages:
        if package.marker and not holds(
            package.marker, environment, place_of(package), context="lock_file"
        ):
            continue
        if package.requires_python is not None and not package.requires_python.contains(
            target.version, prereleases=True
        ):
            raise SelectionError(
                f"{place_of(package)}: {package.name} needs Python {package.requires_python};"
                f" the image has {target.version}.",
                hint="Use an image with such a Python, or make the lock for this one.",
            )
        other = found.setdefault(package.name, package)
        if other is not package:
            raise selected_twice(
                package.name,
                (version_of(other), place_of(other)),
                (version_of(package), place_of(package)),
                target,
            )
    return list(found.values())


def _choose(
    package: Package, selector: TagSelector
) -> PackageWheel | PackageSdist | PackageArchive | None:
    """The file of a package; None where there is none, or it comes from version control."""
    if package.directory is not None:
        how = "editable" if package.directory.editable else "a directory"
        raise LockError(
            f"{place_of(package)}: {package.name} is {how}: {package.directory.path!r}.",
            hint=IN_IMAGE,
        )
    if package.archive is not None:
        file = archive_name(package.archive)
        if not file.endswith(".whl"):
            return package.archive
        tags = wheel_tags(package, file)
        return next(selector([(package.archive, tags)]), None)
    # Of equal tags, pip and uv take the highest build number (PEP 427); the selector is stable.
    parsed = [(wheel, wheel_parts(wheel.filename)) for wheel in package.wheels or ()]
    parsed.sort(key=lambda item: item[1][2], reverse=True)
    best = next(selector((wheel, parts[-1]) for wheel, parts in parsed), None)
    return best or package.sdist


def _check_found(
    chosen: Iterable[tuple[Package, PackageWheel | PackageSdist | PackageArchive | None]],
    target: Target,
) -> None:
    """Name every package that has no file for the target at once, with the tags on both sides."""
    missing = [package for package, file in chosen if file is None and package.vcs is None]
    if not missing:
        return
    lines = []
    for package in missing:
        names = [wheel.filename for wheel in package.wheels or ()]
        if package.archive:
            names.append(archive_name(package.archive))
        lines.append(f"{label_of(package)} ({place_of(package)}) offers {offered(names)}")
    raise SelectionError(
        f"No file suits the image's Python {target.version}: {'; '.join(lines)}."
        f" The image takes {some(target.tags)}.",
        hint="Choose versions that have wheels for this image, or another image.",
    )


def offered(wheels: Iterable[str]) -> str:
    """The tags of some wheels' names, for a message; empty where there are none."""
    return some(sorted({str(tag) for name in wheels for tag in wheel_parts(name)[-1]}))


def some(tags: Sequence[str]) -> str:
    """The first few of some tags, and how many more there are, for a message."""
    shown = ", ".join(tags[:_TAGS_SHOWN])
    more = len(tags) - _TAGS_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _check_builds(files: Iterable[SelectedFile], target: Target, *, builds: bool) -> None:
    sources = [file for file in files if file.kind != "wheel"]
    if sources and not builds:
        names = ", ".join(f"{file.name} {file.version}".rstrip() for file in sources)
        raise BuildsDeniedError(
            f"These packages come only as source for Python {target.version},"
            f" and building is not allowed: {names}.",
            hint="Allow it with the label `venvctl.builds: allow` (`env add --builds allow`),"
            " or choose versions that have wheels.",
        )


def _selected(
    package: Package,
    file: PackageWheel | PackageSdist | PackageArchive,
    insecure_hosts: Collection[str],
) -> SelectedFile:
    place = place_of(package)
    kind: Literal["wheel", "sdist", "archive"]
    if isinstance(file, PackageArchive):
        name = archive_name(file)
        kind = "wheel" if name.endswith(".whl") else "archive"
    else:
        name = file.filename
        kind = "wheel" if isinstance(file, PackageWheel) else "sdist"
    return SelectedFile(
        name=package.name,
        version=version_of(package),
        file=check_file_name(name, place),
        kind=kind,
        sha256=sha256_of(file.hashes, f"{place}: {name}"),
        urls=(check_url(file.url, place, insecure_hosts),) if file.url else (),
        size=file.size,
        path=file.path or "",
        place=place,
        subdirectory=(isinstance(file, PackageArchive) and file.subdirectory) or "",
        recorded=is_recorded(package),
    )


def _from_vcs(package: Package, insecure_hosts: Collection[str]) -> SelectedFile:
    place, vcs = place_of(package), package.vcs
    if vcs is None or vcs.type != "git" or not vcs.url:
        raise LockError(
            f"{place}: {package.name} comes from version control other than a git URL.",
            hint="Take the package from an index, or from git.",
        )
    if not vcs.url.startswith("ssh://"):
        check_url(vcs.url, place, insecure_hosts)
    return SelectedFile(
        name=package.name,
        version=version_of(package),
        file="",
        kind="vcs",
        sha256="",
        urls=(vcs.url,),
        place=place,
        commit=check_commit(vcs.commit_id, vcs.url, place),
        subdirectory=vcs.subdirectory or "",
    )
