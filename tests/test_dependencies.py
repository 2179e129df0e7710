"""Whether packages go together, by their metadata."""

from __future__ import annotations

import pytest

from venvctl.dependencies import conflicts
from venvctl.manifest import Manifest
from venvctl.target import Target

TARGET = Target(
    interpreter="/usr/bin/python3.11",
    version="3.11.2",
    cache_tag="cpython-311",
    library="python3.11",
    tags=("py3-none-any",),
    markers={"python_version": "3.11", "python_full_version": "3.11.2", "sys_platform": "linux"},
)


def _package(name: str, version: str, *requires: str, python: str = "") -> Manifest:
    return Manifest(
        name=name,
        version=version,
        directories=(),
        files=(),
        requires_dist=requires,
        requires_python=python,
    )


@pytest.mark.parametrize(
    ("requirement", "sentence"),
    [
        ("beta>=2", "alpha 1.0 requires beta>=2, and the lock has 1.5"),
        ("Beta>=1", None),
        ("beta>=2; sys_platform == 'win32'", None),
        ("beta>=2; python_version < '3.12'", "alpha 1.0 requires beta>=2, and the lock has 1.5"),
        ("beta>=2; extra == 'fast'", None),
        ("gamma", "alpha 1.0 requires gamma, which is not in the lock"),
        ("beta (>1.0,<2)", None),
        ("no requirement at all", None),
    ],
)
def test_requirements_are_held_against_what_is_there(
    requirement: str, sentence: str | None
) -> None:
    manifests = [_package("alpha", "1.0", requirement), _package("beta", "1.5")]

    assert list(conflicts(manifests, TARGET)) == ([sentence] if sentence else [])


def test_a_prerelease_that_the_lock_has_counts() -> None:
    manifests = [_package("alpha", "1.0", "beta>=1"), _package("beta", "2.0rc1")]

    assert list(conflicts(manifests, TARGET)) == []


def test_a_package_for_another_python_is_told() -> None:
    manifests = [_package("alpha", "1.0", python=">=3.12"), _package("beta", "1", python="what?")]

    assert list(conflicts(manifests, TARGET)) == ["alpha 1.0 requires Python >=3.12, not 3.11.2"]
