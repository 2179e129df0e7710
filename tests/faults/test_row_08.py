"""FAULTS 8: a file of a generation that was changed behind venvctl's back."""

from __future__ import annotations

import dataclasses
import shutil
from typing import TYPE_CHECKING

import pytest

from promises import unharmed
from restamp import change
from venvctl.restore import restore
from venvctl.verification import verify

if TYPE_CHECKING:
    from pathlib import Path

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
    snapshot, facts = _snapshot(settled)
    change(facts, "conflicts", "error")

    found = verify([settled.name], settled.root, repair=False, progress=settled.progress)

    assert [(problem.path, problem.reason) for problem in found.problems] == [
        (snapshot, "is not what its key says")
    ]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("snapshot.json", b'"last"', b'"error"'),
        ("snapshot.json", b"{", b"\xff"),
        ("snapshot.json", b"venvctl", b"v\0nvctl"),
        ("pylock.toml", b"alpha", b"alphb"),
        ("pylock.toml", b"[", b"{"),
    ],
)
def test_a_damaged_snapshot_is_written_anew_by_what_a_seal_says(
    settled: World, file: str, old: bytes, new: bytes
) -> None:
    settled.root.registry.claim(settled.registration)
    snapshot, _ = _snapshot(settled)
    before = settled.root.snapshots.load(snapshot.name)
    content = (snapshot / file).read_bytes()
    (snapshot / file).write_bytes(content.replace(old, new, 1))

    result = verify([settled.name], settled.root, repair=True, progress=settled.progress)

    assert (result.ok, len(result.repaired)) == (True, 1)
    after = settled.root.snapshots.load(snapshot.name)
    same = dataclasses.replace(after, created=before.created, environments=before.environments)
    assert same == before
    (use,) = after.environments.values()
    assert (use.number, use.registration.name) == (1, settled.name)
    shutil.rmtree(settled.environment.volume)
    restored = restore(settled.name, settled.root, snapshot=None, progress=settled.progress)
    assert restored.generation == 2
    assert not unharmed(settled, 2)


def test_a_damaged_snapshot_whose_generation_is_gone_too_is_told_and_written_by_the_next_sync(
    settled: World,
) -> None:
    snapshot, facts = _snapshot(settled)
    facts.write_bytes(b"\xff")
    shutil.rmtree(settled.environment.volume)

    result = verify([settled.name], settled.root, repair=True, progress=settled.progress)

    assert snapshot in {problem.path for problem in result.problems}
    assert settled.progress.warnings[-1] == (
        f"No generation is left whose seal says what is in snapshot {snapshot.name}: if it is not "
        f"needed, `venvctl snapshot rm {snapshot.name}`; it can be imported again."
    )
    # A lock that selects the very same says what was in it.
    assert settled.sync().generation == 2
    assert verify([settled.name], settled.root, repair=False, progress=settled.progress).ok
    assert not unharmed(settled, 2)


def _snapshot(world: World) -> tuple[Path, Path]:
    """The directory of the current generation's snapshot, and the file with its facts."""
    current = world.environment.current()
    assert current is not None
    directory = world.root.snapshots.path(current.key)
    return directory, directory / "snapshot.json"
