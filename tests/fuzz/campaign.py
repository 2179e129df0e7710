"""Fuzzes one target for a while, guided by coverage: `make fuzz` runs it for each of them.

    python tests/fuzz/campaign.py TARGET SECONDS WORK

What is new to the coverage goes to WORK/TARGET, and an input that breaks an invariant to
WORK/finds: whoever mends what it found moves it to the corpus, so that every test run replays it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))

with atheris.instrument_imports(include=["venvctl", "installer", "packaging", "zipfile"]):
    import fuzzing
    import targets

_MEGABYTES = 3_000
_SECONDS = 20  # that one input may take
_BYTES = 60_000  # of an input


def main() -> None:
    """Fuzz until the time is over; the process ends with the fuzzer's own exit code."""
    name, seconds, work = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    target = targets.TARGETS[name]
    found, seeds, finds = work / name, work / f"{name}.seeds", work / "finds"
    for folder in (found, seeds, finds):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (seeds / f"seed{number}").write_bytes(seed)
    words = work / f"{name}.words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words if len(word) < 64))
    place = fuzzing.Place(Path(tempfile.mkdtemp(prefix="venvctl-fuzz-", dir=_memory())))
    corpus = Path(__file__).with_name("corpus") / name
    atheris.Setup(
        [
            sys.argv[0],
            str(found),
            str(seeds),
            *([str(corpus)] if corpus.is_dir() else []),
            f"-dict={words}",
            f"-artifact_prefix={finds}/{name}-",
            f"-max_total_time={seconds}",
            f"-timeout={_SECONDS}",
            f"-rss_limit_mb={_MEGABYTES}",
            f"-max_len={_BYTES}",
            "-print_final_stats=1",
        ],
        lambda data: target.run(data, place),
    )
    atheris.Fuzz()


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def _memory() -> str | None:
    """Where a file is written without a disk, if there is such a place."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - in a fresh folder


if __name__ == "__main__":
    main()
