"""Compares what venvctl selects from a lock with what the lock's own tool exports from it.

    poetry export -o export.txt                          (with poetry-plugin-export)
    pdm export --prod -f requirements -o export.txt
    pipenv requirements --hash > export.txt
    uv export --frozen --no-emit-workspace --no-default-groups -o export.txt
    python tests/compare_lock.py poetry.lock export.txt

Prints one line for each target, and ends in 1 if any of them differs.
"""

# ruff: noqa: T201 - a tool that prints its table

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from interpreters import target
from venvctl import lockfiles, pins
from venvctl.errors import VenvctlError
from venvctl.lockfiles import LockOptions
from venvctl.pins import PinStore
from venvctl.selection import select

if TYPE_CHECKING:
    from venvctl.target import Target

TARGETS = {
    "3.11 x86_64 glibc": target("3.11.2"),
    "3.12 x86_64 glibc": target("3.12.3"),
    "3.13 aarch64 glibc": target("3.13.1", machine="aarch64"),
    "3.13 x86_64 musl": target("3.13.1", libc="musl-1.2"),
}


def selected(lock: Path, options: LockOptions, image: Target, store: PinStore) -> dict[str, str]:
    """Package → file and hash; one entry with the error where there is one."""
    try:
        read = lockfiles.read(lock, options=options)
        pylock = pins.resolve(read, image, store)
        found = select(
            pylock,
            image,
            extras=read.extras,
            groups=read.groups,
            builds=True,
            insecure_hosts=read.insecure_hosts,
        )
    except VenvctlError as error:
        return {"error": error.message}
    return {file.name: f"{file.file or file.commit} {file.sha256}" for file in found.files}


def main() -> int:
    """Compare, print, and say whether all is equal."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lock", type=Path)
    parser.add_argument("export", type=Path, help="requirements file with hashes, of the same lock")
    parser.add_argument("--extra", action="append", default=[])
    parser.add_argument("--group", action="append", default=[])
    given = parser.parse_args()
    folder = given.lock.resolve().parent
    options = LockOptions(project=folder, extras=tuple(given.extra), groups=tuple(given.group))
    different = False
    with tempfile.TemporaryDirectory() as records:
        store = PinStore(Path(records))
        for name, image in TARGETS.items():
            ours = selected(given.lock, options, image, store)
            theirs = selected(given.export, LockOptions(project=folder), image, store)
            differing = sorted(
                key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)
            )
            different |= bool(differing)
            print(f"{name:20} {len(ours):4} packages  {'DIFFERENT' if differing else 'same'}")
            for key in differing:
                print(f"    {key}: {ours.get(key, 'none')}  |  {theirs.get(key, 'none')}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
