"""FAULTS 13: a wheel whose RECORD is missing, or does not match, is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hostile import refusal

if TYPE_CHECKING:
    from world import World

pytestmark = pytest.mark.engine
RECORD = "evil-6.6.dist-info/RECORD"


@pytest.mark.parametrize(
    "options",
    [
        {"without": [RECORD]},
        {"record": {"evil.py": None}},
        {"record": {"evil.py": "sha256=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,9"}},
        {"record": {"evil.py": "md5=AAAAAAAAAAAAAAAAAAAAAA,9"}},
        {"record": {"evil.py": ","}},
        {"record": {"ghost.py": "sha256=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,9"}},
        {"extra": [("unlisted.py", b"import os\n")]},
    ],
    ids=["missing", "a file left out", "another hash", "weak", "no hash", "no such file", "more"],
)
def test_it_is_refused(settled: World, options: dict[str, Any]) -> None:
    assert refusal(settled, options)
