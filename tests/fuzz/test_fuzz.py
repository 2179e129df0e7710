"""Every input that ever broke an invariant is tried again, and some hundreds made of the seeds.

`make fuzz` goes on from here, for as long as it is told to, and guided by coverage.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fuzzing import Place
from targets import TARGETS

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

CORPUS = Path(__file__).with_name("corpus")
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
# Each input of this starts a program.
SLOW = {"lock_uv": 10}
INPUTS = [
    pytest.param(name, path, id=f"{name}/{path.name}")
    for name in TARGETS
    for path in sorted((CORPUS / name).glob("*"))
]


@pytest.mark.parametrize(("name", "path"), INPUTS)
def test_what_was_found_once_stays_mended(name: str, path: Path, tmp_path: Path) -> None:
    TARGETS[name].run(path.read_bytes(), Place(tmp_path))


def test_every_folder_of_the_corpus_is_that_of_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= TARGETS.keys()


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_break_nothing(name: str, tmp_path: Path) -> None:
    place = Place(tmp_path)
    for seed in TARGETS[name].seeds():
        TARGETS[name].run(seed, place)


@pytest.mark.parametrize("name", TARGETS)
def test_changed_seeds_break_nothing(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    place = Place(tmp_path)
    seeds = [*target.seeds(), *(path.read_bytes() for path in sorted((CORPUS / name).glob("*")))]

    @settings(
        max_examples=SLOW.get(name, EXAMPLES),
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(_changed(seeds, target.words))
    def run(data: bytes) -> None:
        target.run(data, place)

    run()


@st.composite
def _changed(draw: DrawFn, seeds: list[bytes], words: tuple[bytes, ...]) -> bytes:
    """A seed with some places changed: cut out, repeated, overwritten, or with a word put in."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        new = draw(
            st.one_of(
                st.just(b""),
                st.binary(max_size=8),
                st.just(data[start:end] * 2),
                *([st.sampled_from(words)] if words else []),
            )
        )
        data = data[:start] + new + data[end:]
    return data
