"""The daemon beside a real compose project under random saves: `make soak MINUTES=60 SEED=1`.

The short run that `make test` has deals one deck: each kind of act once, the engine stopped and the
daemon killed among them. SOAK_MINUTES makes it go on with further decks, SOAK_SEED repeats one.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from checks import Checks
from index import LocalIndex
from mischief import Mischief
from second_engine import SecondEngine
from stage import Stage, chances

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.engine

_ACTS_FEWEST, _ACTS_MOST = 2, 5  # between two looks


@pytest.fixture
def stage(image_311: str) -> Iterator[Stage]:
    del image_311  # is there
    # A Unix socket's path has 107 characters at most, and pytest's folders have long names.
    with tempfile.TemporaryDirectory(prefix="vt-soak-") as name, LocalIndex() as index:
        folder = Path(name)
        stage = Stage(folder=folder, engine=SecondEngine(folder / "engine"), index=index)
        try:
            stage.open()
            yield stage
        finally:
            stage.close()


def test_every_environment_is_what_its_lock_says_whatever_happened(stage: Stage) -> None:
    seed, minutes = chances()
    sys.stderr.write(f"soak: seed {seed}\n")
    chance = random.Random(seed)  # noqa: S311 - mischief, not a secret
    mischief = Mischief(stage, chance)
    checks = Checks(stage, mischief)
    checks.calm()
    ends = time.monotonic() + minutes * 60

    while not mischief.decks or time.monotonic() < ends:
        deck = mischief.deck()
        while deck:
            for act in [deck.pop() for _ in range(min(len(deck), _acts(chance)))]:
                sys.stderr.write(f"soak: {act.__name__}\n")
                act()
            checks.calm()
            checks.take_sample()
        checks.check()
        sys.stderr.write(f"soak: deck {mischief.decks}: {checks.summary()}\n")


def _acts(chance: random.Random) -> int:
    return chance.randint(_ACTS_FEWEST, _ACTS_MOST)
