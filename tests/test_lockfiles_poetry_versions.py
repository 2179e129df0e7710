"""Poetry's version constraints mean what Poetry's documentation says."""

from __future__ import annotations

import pytest

from venvctl.errors import LockError
from venvctl.lockfiles.poetry_versions import parse_versions


@pytest.mark.parametrize(
    ("constraint", "allowed", "refused"),
    [
        ("^1.2.3", "1.2.3 1.9", "1.2.2 2.0 2.0.dev1"),
        ("^1", "1.0 1.9", "0.9 2.0"),
        ("^0.2.3", "0.2.3 0.2.9", "0.2.2 0.3.0"),
        ("^0.0.3", "0.0.3", "0.0.2 0.0.4"),
        ("^0.0", "0.0.9", "0.1"),
        ("^0", "0.9", "1.0"),
        ("~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0"),
        ("~1.2", "1.2.0 1.2.9", "1.3.0"),
        ("~1", "1.9", "2.0"),
        ("~=1.2", "1.2 1.9", "2.0"),
        ("1.2.*", "1.2.9", "1.3"),
        ("1.2.3", "1.2.3", "1.2.4"),
        ("==1.2.3", "1.2.3", "1.2.4"),
        (">=1.5.6,<1.5.7 || >1.5.7", "1.5.6 1.7", "1.5.7"),
        (">=1 <2", "1.5", "2.0"),
        (">= 1.0, != 1.5", "1.4", "1.5"),
        ("*", "0.1 9", ""),
        ("^1 || *", "9", ""),
    ],
)
def test_constraints(constraint: str, allowed: str, refused: str) -> None:
    alternatives = parse_versions(constraint, "x")

    def allows(version: str) -> bool:
        return not alternatives or any(
            each.contains(version, prereleases=True) for each in alternatives
        )

    assert [version for version in allowed.split() if not allows(version)] == []
    assert [version for version in refused.split() if allows(version)] == []


@pytest.mark.parametrize("constraint", ["one", "^one", ">=1,<<2", "1..2"])
def test_malformed_constraints(constraint: str) -> None:
    with pytest.raises(LockError) as caught:
        parse_versions(constraint, "poetry.lock: package[0]")
    assert caught.value.message == (
        f"poetry.lock: package[0]: {constraint!r} is not a version constraint."
    )
