"""What it takes to look at every file: `verify` beside what reads the same bytes."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from measurement import Comparison, in_turns, run, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from workplace import Workplace

_TURNS = 5
_GENERATIONS = 10
_CACHES = Path("/proc/sys/vm/drop_caches")
# Every name is listed; what several names lead to is read once.
_PEER = (
    r"find {} -type f -printf '%i %p\0' | sort --zero-terminated --unique --key 1,1 |"
    " cut --zero-terminated --delimiter ' ' --fields 2- |"
    " xargs --null --max-procs {} --max-args 200 sha256sum"
)


def verified(place: Workplace) -> Iterator[Comparison]:
    """Ten generations, one package apart, their trees and their wheels."""
    lock = place.folder / "verified.txt"
    shutil.copyfile(place.lock(), lock)
    name = place.add("verified", lock, "--keep", "20")
    for change in place.changes[: place.turns(_GENERATIONS) - 1]:
        shutil.copyfile(place.lock(change), lock)
        place.venvctl("sync", name)
    peer = _PEER.format(shlex.quote(str(place.root)), os.cpu_count())
    for where, cold in (("in memory", False), ("from a cold disk", True)):
        # A quick run leaves the machine's caches alone.
        if cold and (place.quick or not os.access(_CACHES, os.W_OK)):
            return
        took = in_turns(
            {
                "ours": lambda: _timed(lambda: place.venvctl("verify", name), cold=cold),  # noqa: B023 - called at once
                "theirs": lambda: _timed(lambda: run(["sh", "-c", peer]), cold=cold),  # noqa: B023 - the same
            },
            place.turns(_TURNS),
        )
        yield Comparison(
            what=f"`venvctl verify`: ten generations and their wheels, {where}",
            peer="`find` and as many `sha256sum` as processors, each inode once",
            ours=took["ours"],
            theirs=took["theirs"],
            goal=1.0,
        )


def _timed(action: Callable[[], object], *, cold: bool) -> float:
    if cold:
        os.sync()
        _CACHES.write_text("3")
    return seconds(action)
