"""Rows in which an environment is made or changed: cold, warm, one package, rollback, disk."""

from __future__ import annotations

import os
import shutil
from itertools import cycle
from typing import TYPE_CHECKING

from measurement import Comparison, in_turns, run, seconds
from workplace import IMAGE, TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workplace import Workplace

_TURNS = 5
_GENERATIONS = 9  # further ones beside the first
# Not by `-X importtime`, which also tells of what was looked for in vain.
_TELLING = """
import atexit, os, pathlib, sys
told = pathlib.Path(os.environ["BENCH_MODULES"])
# Some make modules that nobody can import.
found = lambda: [name for name, module in sys.modules.items() if getattr(module, "__spec__", None)]
atexit.register(lambda: told.write_text(" ".join(found())))
from venvctl.__main__ import main
main()
"""
_BLOCK = 512  # bytes of what st_blocks counts (POSIX)


def cold(place: Workplace) -> Iterator[Comparison]:
    """Everything from the index, with bytecode."""
    lock = place.lock()

    def ours() -> float:
        shutil.rmtree(place.root, ignore_errors=True)
        place.clear()
        # It syncs, too.
        command = ("env", "add", f"{place.prefix}cold", "--lock", str(lock), "--image", IMAGE)
        return seconds(lambda: place.venvctl(*command))

    def uv() -> float:
        cache = place.folder / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        options = ("--compile-bytecode", "--cache-dir", str(cache))
        return seconds(lambda: place.peer("cold", lock, *options))

    took = in_turns(
        {
            "venvctl": ours,
            "uv": uv,
            "pip": lambda: seconds(lambda: place.pip("cold-pip", lock, "--no-cache-dir")),
        },
        place.turns(_TURNS),
    )
    for peer, tool in (
        ("`uv pip sync --compile-bytecode`, empty cache", "uv"),
        ("`pip install`, without its cache", "pip"),
    ):
        yield Comparison(
            what="cold: first sync, empty store, with bytecode, image probed",
            peer=peer,
            ours=took["venvctl"],
            theirs=took[tool],
            goal=1.0,
        )


def warm(place: Workplace) -> Iterator[Comparison]:
    """A further environment of what is here already, with bytecode."""
    lock = place.lock()
    place.add("first", lock)
    place.peer("first-uv", lock)
    place.pip("first-pip", lock)

    def ours() -> float:
        name = f"{place.prefix}warm"
        command = ("env", "add", name, "--lock", str(lock), "--image", IMAGE)
        took = seconds(lambda: place.venvctl(*command))
        place.venvctl("env", "rm", name)
        return took

    took = in_turns(
        {
            "venvctl": ours,
            "uv": lambda: seconds(lambda: place.peer("warm-uv", lock, "--compile-bytecode")),
            "pip": lambda: seconds(lambda: place.pip("warm-pip", lock)),
        },
        place.turns(_TURNS),
    )
    for peer, tool in (
        ("`uv pip sync --compile-bytecode` into a fresh venv, warm cache", "uv"),
        ("`pip install` into a fresh venv, warm cache", "pip"),
    ):
        yield Comparison(
            what="warm: a new environment of stored wheels, with bytecode, engine included",
            peer=peer,
            ours=took["venvctl"],
            theirs=took[tool],
            goal=1.0,
        )


def one_package(place: Workplace) -> Iterator[Comparison]:
    """One package changed: its wheel is here, its bytecode is not; and what ten of them take."""
    locks = [place.lock(change) for change in place.changes[: place.turns(_GENERATIONS)]]
    lock = place.folder / "changing.txt"
    # The wheels are had before, as the peers' caches are warm; what is made of them has no
    # bytecode.
    for number, one in enumerate(locks):
        place.add(f"seed{number}", one, "--bytecode", "off")
    shutil.copyfile(place.lock(), lock)
    name = place.add("changing", lock, "--keep", "20")
    volume = place.root / "environments" / name / "volume"
    alone = _allocated(volume)
    held = place.peer("held", place.lock(), "--compile-bytecode")
    seed = place.peer("seed", place.lock())
    place.pip("held-pip", place.lock())
    place.pip("seed-pip", place.lock())
    for one in locks:
        place.peer_sync(seed, one)
        place.pip("seed-pip", one, anew=False)
    took: dict[str, list[float]] = {tool: [] for tool in ("venvctl", "fresh", "held", "pip")}
    for one in locks:
        shutil.copyfile(one, lock)
        took["venvctl"].append(seconds(lambda: place.venvctl("sync", name)))
        took["fresh"].append(seconds(lambda: place.peer("fresh", one, "--compile-bytecode")))  # noqa: B023 - called at once
        took["held"].append(seconds(lambda: place.peer_sync(held, one, "--compile-bytecode")))  # noqa: B023 - the same
        took["pip"].append(seconds(lambda: place.pip("held-pip", one, anew=False)))  # noqa: B023 - the same
    for peer, tool, goal in (
        ("`uv pip sync --compile-bytecode` into a fresh venv, warm cache", "fresh", 1 / 12),
        ("the same in place, not atomic", "held", 1.5),
        ("`pip install` in place, not atomic, warm cache", "pip", 1.0),
    ):
        yield Comparison(
            what="one package changed: new generation with bytecode, engine included",
            peer=peer,
            ours=tuple(took["venvctl"]),
            theirs=tuple(took[tool]),
            goal=goal,
        )
    yield Comparison(
        what=f"disk: {len(locks) + 1} generations, one package apart",
        peer="one generation (`du` of `volume/`)",
        ours=(_allocated(volume),),
        theirs=(alone,),
        goal=1.25,
        unit="bytes",
    )
    yield from _rollback(place, name, len(locks) + 1)


def _rollback(place: Workplace, name: str, last: int) -> Iterator[Comparison]:
    """Back and forth between the first generation and the last one, which is current."""
    to = cycle(("1", str(last)))
    imported = _imports(place, "rollback", name, "--to", next(to))
    program = (
        f"for name in {imported!r}:\n"
        "    try:\n        __import__(name)\n"
        "    except ImportError:\n        pass\n"
    )
    idle = [str(TOOLS / "python"), "-c", program]
    took = in_turns(
        {
            "ours": lambda: seconds(lambda: place.venvctl("rollback", name, "--to", next(to))),
            "theirs": lambda: seconds(
                lambda: run(idle, cwd=place.folder, environment=place.environment)
            ),
        },
        place.turns(_TURNS * 2 - 1),
    )
    yield Comparison(
        what="`venvctl rollback`, nothing to restart",
        peer="a process that imports the same and does nothing",
        goal=0.05,
        beyond=True,
        ours=took["ours"],
        theirs=took["theirs"],
    )


def _imports(place: Workplace, *arguments: str) -> list[str]:
    """The modules that there are at the end of a venvctl command, in the order they came."""
    told = place.folder / "modules"
    run(
        [str(TOOLS / "python"), "-c", _TELLING, *arguments],
        cwd=place.folder,
        environment={**place.environment, "BENCH_MODULES": str(told)},
    )
    return [name for name in told.read_text().split() if name != "__main__"]


def _allocated(directory: Path) -> float:
    """Bytes that a tree takes on disk, each file once however often it is linked."""
    seen: dict[int, int] = {}
    for folder, _, files in os.walk(directory):
        for path in (folder, *(os.path.join(folder, name) for name in files)):  # noqa: PTH118 - many thousand times
            status = os.lstat(path)
            seen[status.st_ino] = status.st_blocks * _BLOCK
    return float(sum(seen.values()))
