"""FAULTS 11: a wheel that ships what a generation makes itself is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hostile import refusal

if TYPE_CHECKING:
    from world import World

pytestmark = pytest.mark.engine


@pytest.mark.parametrize(
    "member",
    [
        "evil-6.6.data/scripts/python",
        "evil-6.6.data/data/bin/python",
        "evil-6.6.data/data/pyvenv.cfg",
        "evil-6.6.data/data/.venvctl/generations/x",
        "!venvctl.pth",
    ],
)
def test_a_reserved_name(settled: World, member: str) -> None:
    reason = refusal(settled, {"files": {member: b"#!/bin/sh\n"}})

    assert reason.endswith("which is reserved.")
    assert reason.startswith(ascii(member))
