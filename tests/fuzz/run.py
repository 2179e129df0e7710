"""Fuzzes some targets, several at once, each in a process of its own; says what was found.

Ends with exit code 1 if anything was.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from targets import TARGETS

_CAMPAIGN = Path(__file__).with_name("campaign.py")
_GRACE = 120  # seconds beyond the time that a fuzzer was given


def main() -> int:
    """Fuzz, and print a line for each target, and the path of each find."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help="all of them, if none is named")
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once")
    parser.add_argument("--work", type=Path, required=True, help="where what is found goes")
    options = parser.parse_args()
    names = options.targets or list(TARGETS)
    if unknown := set(names) - TARGETS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}; there is {', '.join(TARGETS)}")
    options.work.mkdir(parents=True, exist_ok=True)
    fuzz = partial(_fuzz, work=options.work, seconds=round(options.minutes * 60))
    with ThreadPoolExecutor(options.jobs) as pool:
        codes = list(pool.map(fuzz, names))
    for path in sorted((options.work / "finds").glob("*")):
        sys.stdout.write(f"found: {path}\n")
    return int(any(codes))


def _fuzz(name: str, work: Path, seconds: int) -> int:
    log = work / f"{name}.log"
    with log.open("wb") as stream:
        done = subprocess.run(
            [sys.executable, _CAMPAIGN, name, str(seconds), work],
            stdout=stream,
            stderr=stream,
            timeout=seconds + _GRACE,
            check=False,
        )
    word = "nothing found" if done.returncode == 0 else f"exit code {done.returncode}, see {log}"
    sys.stdout.write(f"{name}: {word}\n")
    sys.stdout.flush()
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
