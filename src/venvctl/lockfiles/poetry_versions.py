"""Poetry's own way to write version constraints → PEP 440."""

from __future__ import annotations

import re

from packaging.markers import Marker
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from venvctl.errors import LockError

_PART = re.compile(r"(\^|~(?!=)|~=|===?|!=|<=|>=|<|>)?\s*([^\s,|<>=!~^]+)")


def parse_versions(text: str, place: str) -> tuple[SpecifierSet, ...]:
    """The alternatives of a constraint: ``^1.2``, ``~1.2``, ``1.*``, ``>=1,<2 || >=3``.

    Args:
        text: the constraint.
        place: where it is, for the message.

    Returns:
        Specifiers of which one must hold; none at all where any version will do.

    Raises:
        LockError: it is malformed.
    """
    try:
        found = [_alternative(part) for part in text.split("||")]
    except (InvalidSpecifier, InvalidVersion) as error:
        raise LockError(
            f"{place}: {text!r} is not a version constraint.",
            hint="Make the lock again with a newer Poetry.",
        ) from error
    return () if any(not specifiers for specifiers in found) else tuple(found)


def as_marker(specifiers: SpecifierSet) -> Marker:
    """The marker that holds where the Python's version is among these."""
    return Marker(
        " and ".join(f'python_full_version {each.operator} "{each.version}"' for each in specifiers)
    )


def _alternative(text: str) -> SpecifierSet:
    parts = []
    if _PART.sub("", text).strip(" ,"):
        raise InvalidSpecifier(text)
    for operator, version in _PART.findall(text):
        if version == "*":
            continue
        if operator in {"^", "~"}:
            parts += [f">={version}", f"<{_next(operator, Version(version))}"]
        else:
            parts.append(f"{operator or '=='}{version}")
    return SpecifierSet(",".join(parts))


def _next(operator: str, version: Version) -> str:
    """The first version that a caret or tilde no longer allows."""
    release = list(version.release)
    if operator == "~":
        # ~1 allows all of 1; ~1.2 and ~1.2.3 allow all of 1.2
        position = min(len(release), 2) - 1
    else:
        # ^1.2.3 allows all of 1; ^0.2.3 all of 0.2; ^0.0.3 only itself
        position = next((index for index, number in enumerate(release) if number), len(release) - 1)
    return ".".join(map(str, [*release[:position], release[position] + 1]))
