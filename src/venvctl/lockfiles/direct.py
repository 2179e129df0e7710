"""Packages that a lock takes straight from a URL, a version control system or a local file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlunsplit

from packaging.pylock import Package, PackageArchive, PackageVcs
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from venvctl.errors import LockError
from venvctl.lockfiles.hashes import parse_hash
from venvctl.lockfiles.locations import check_commit, inside, redact, split_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from packaging.markers import Marker
    from packaging.version import Version

_SOURCE_SUFFIXES = (".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tar.xz", ".tar")
IN_IMAGE = (
    "The application itself belongs in the image (`COPY` it there) or in a bind mount with its"
    " directory on `sys.path`; leave it out of the lock."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct:
    """A package and where the lock takes it from.

    Attributes:
        name: as the lock writes it; empty means that the file's name tells.
        location: URL, ``git+`` URL, or local path.
        hashes: the allowed hashes, as ``sha256:<hex>``.
        place: where the lock says so. directory: what a relative path starts from.
        project: the directory that a local file must be in, when it is not below `directory`.
        marker: on which targets it applies. subdirectory: where the source is, in the archive.
    """

    name: str
    location: str
    place: str
    directory: Path
    project: Path
    hashes: Sequence[str] = ()
    marker: Marker | None = None
    subdirectory: str = ""

    def package(self) -> Package:
        """The package as PEP 751 has it.

        Raises:
            LockError: it can't be pinned by hash or commit, or is a directory.
        """
        parts = split_url(self.location, self.place)
        fragment = dict(parse_qsl(parts.fragment))
        subdirectory = self.subdirectory or fragment.get("subdirectory") or None
        tool = {"venvctl": {"place": self.place}}
        if "+" in parts.scheme:
            name = self.name or fragment.get("egg", "")
            url = urlunsplit(parts._replace(fragment=""))
            if not name:
                raise self._no_name(url)
            return Package(
                name=canonicalize_name(name),
                marker=self.marker,
                vcs=_vcs(url, subdirectory, self.place),
                tool=tool,
            )
        if parts.scheme in {"", "file"}:
            local = self._local(unquote(parts.path) if parts.scheme else self.location)
            file, path, url = local.name, str(local), ""
        else:
            path, url = "", urlunsplit(parts._replace(fragment=""))
            file = unquote(parts.path.rsplit("/", 1)[-1])
        name, version = self._name_and_version(file, fragment.get("egg", ""))
        return Package(
            name=name,
            version=version,
            marker=self.marker,
            archive=PackageArchive(
                url=url or None,
                path=path or None,
                hashes=self._hashes(fragment),
                subdirectory=subdirectory,
            ),
            tool=tool,
        )

    def _hashes(self, fragment: Mapping[str, str]) -> dict[str, str]:
        in_fragment = [
            f"{algorithm}:{fragment[algorithm]}"
            for algorithm in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
            if algorithm in fragment
        ]
        shown = redact(self.location)
        allowed = [parse_hash(text, self.place) for text in (*self.hashes, *in_fragment)]
        if not allowed:
            raise LockError(
                f"{self.place}: {shown!r} has no hash.",
                hint="Add its SHA-256: `--hash=sha256:…`, or `#sha256=…` at the end of the URL.",
            )
        hashes: dict[str, str] = {}
        for text in allowed:
            algorithm, _, digest = text.partition(":")
            if hashes.setdefault(algorithm, digest) != digest:
                raise LockError(
                    f"{self.place}: {shown!r} has more than one {algorithm} hash.",
                    hint="A URL names one file; keep the hash of that one.",
                )
        return hashes

    def _local(self, text: str) -> Path:
        if not text.endswith((".whl", *_SOURCE_SUFFIXES)):
            raise LockError(f"{self.place}: {text!r} is a directory.", hint=IN_IMAGE)
        return inside(text, self.directory, self.project, self.place)

    def _name_and_version(self, file: str, egg: str) -> tuple[NormalizedName, Version | None]:
        try:
            if file.endswith(".whl"):
                name, version, _, _ = parse_wheel_filename(file)
            else:
                name, version = parse_sdist_filename(file)
        except InvalidWheelFilename as error:
            raise LockError(
                f"{self.place}: {file!r} is not a wheel's file name.",
                hint="A wheel keeps the name it was built with.",
            ) from error
        except InvalidSdistFilename as error:
            if not (self.name or egg):
                raise self._no_name(self.location) from error
            return canonicalize_name(self.name or egg), None
        if self.name and canonicalize_name(self.name) != name:
            if file.endswith(".whl"):
                raise LockError(
                    f"{self.place}: {file!r} is not a wheel of {self.name!r}.",
                    hint="Correct the name or the URL.",
                )
            # An archive of a repository, `v1.0.tar.gz`, may look like another project's sdist.
            return canonicalize_name(self.name), None
        return name, version

    def _no_name(self, url: str) -> LockError:
        return LockError(
            f"{self.place}: {redact(url)!r} doesn't tell the package's name.",
            hint=f"Write `NAME @ {redact(url)}`.",
        )


def _vcs(url: str, subdirectory: str | None, place: str) -> PackageVcs:
    kind, _, rest = url.partition("+")
    if kind != "git":
        raise LockError(
            f"{place}: {redact(url)!r} is in {kind!r}; only git is supported.",
            hint="Take the package from an index, or from git.",
        )
    parts = split_url(rest, place)
    path, _, commit = parts.path.rpartition("@")
    return PackageVcs(
        type="git",
        url=urlunsplit(parts._replace(path=path)),
        commit_id=check_commit(commit if path else "", url, place),
        subdirectory=subdirectory,
    )
