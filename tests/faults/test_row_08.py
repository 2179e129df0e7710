"""FAULTS 8: a file of a generation that was changed behind venvctl's back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from promises import unharmed
from venvctl.verification import verify

if TYPE_CHECKING:
    from world import World

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("content", [b"", b"VERSION = '1.1'\n", b"\0" * 5000])
def test_it_is_named_with_every_sharer_and_never_repaired_in_place(
    settled: World, content: bytes
) -> None:
    settled.write_lock(settled.wheel("alpha", "1.0"), settled.wheel("beta", "3.0"))
    settled.sync()
    first, second = (
        generation.path / "lib/python3.11/site-packages/alpha/late.py"
        for generation in settled.environment.generations()
    )
    assert first.samefile(second)
    good = first.read_bytes()
    first.write_bytes(content)

    found = verify([settled.name], settled.root, repair=False, progress=settled.progress)

    assert not found.ok
    assert {problem.path for problem in found.problems} >= {first}
    shared = {name for problem in found.problems for name in problem.shared_by}
    assert shared == {f"generation {number} of {settled.name}" for number in (1, 2)}
    with first.open("rb") as held:
        repaired = verify([settled.name], settled.root, repair=True, progress=settled.progress)
        assert repaired.ok
        assert held.read() == content
    assert first.read_bytes() == second.read_bytes() == good
    assert not unharmed(settled, 2)


def test_a_snapshot_that_was_changed_is_told_by_its_key(settled: World) -> None:
    current = settled.environment.current()
    assert current is not None
    snapshot = settled.root.snapshots.path(current.key)
    facts = json.loads((snapshot / "snapshot.json").read_text())
    (snapshot / "snapshot.json").write_text(json.dumps({**facts, "conflicts": "error"}))

    found = verify([settled.name], settled.root, repair=False, progress=settled.progress)

    assert [(problem.path, problem.reason) for problem in found.problems] == [
        (snapshot, "is not what its key says")
    ]
