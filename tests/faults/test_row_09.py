"""FAULTS 9: a wheel whose members lead elsewhere is refused whole, before any write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hostile import refusal
from wheelhouse import SYMLINK

if TYPE_CHECKING:
    from world import World

pytestmark = pytest.mark.engine


@pytest.mark.parametrize(
    "member",
    [
        "../evil",
        "a/../../../evil",
        "/evil",
        "evil\0.py",
        "..\\evil",
        "a//evil",
    ],
)
def test_a_name_that_leads_elsewhere(settled: World, member: str) -> None:
    files: dict[str, Any] = {"good/__init__.py": b"", member: b"evil = 1\n"}

    assert ascii(member) in refusal(settled, {"files": files})


@pytest.mark.parametrize("target", ["/etc/passwd", "../../alpha/__init__.py"])
def test_a_link(settled: World, target: str) -> None:
    options = {"files": {"pkg/link": target.encode()}, "modes": {"pkg/link": SYMLINK}}

    assert "'pkg/link'" in refusal(settled, options)
