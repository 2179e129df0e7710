"""Whether the packages of an environment go together, by what their own metadata asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from venvctl.manifest import Manifest
    from venvctl.target import Target


def conflicts(manifests: Sequence[Manifest], target: Target) -> Iterator[str]:
    """What `uv pip check` would complain of, a sentence each, in the order of the manifests.

    A lock may be right all the same: it can override what a package asks for. So these are
    warnings. Requirements that only an extra has are left out, as nothing tells which extras of a
    package were asked for.

    Args:
        manifests: one for each installed package.
        target: whose marker values count (PEP 508).
    """
    versions = {canonicalize_name(manifest.name): manifest.version for manifest in manifests}
    environment = {**target.marker_environment(), "extra": ""}
    for manifest in manifests:
        name = f"{manifest.name} {manifest.version}"
        if not _suits(manifest.requires_python, target.version):
            yield f"{name} requires Python {manifest.requires_python}, not {target.version}"
        for text in manifest.requires_dist:
            try:
                requirement = Requirement(text)
                if requirement.marker and not requirement.marker.evaluate(environment):
                    continue
                # Also a number of thousands of digits is told only by who uses it.
                requirement.specifier.contains("0")
            # Old packages have requirements that no standard ever allowed, and hostile ones any:
            # brackets without end, versions that are none, texts compared as versions.
            except (ValueError, KeyError, RecursionError):
                continue
            wanted = f"{requirement.name}{requirement.specifier}"
            version = versions.get(canonicalize_name(requirement.name))
            if version is None:
                yield f"{name} requires {wanted}, which is not in the lock"
            elif not requirement.specifier.contains(version, prereleases=True):
                yield f"{name} requires {wanted}, and the lock has {version}"


def _suits(requires_python: str, version: str) -> bool:
    try:
        return SpecifierSet(requires_python).contains(version, prereleases=True)
    except ValueError:
        return True  # pip and uv ignore one that can't be read
