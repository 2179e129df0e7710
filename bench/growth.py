"""How venvctl grows: with the files of an environment, with environments, with generations."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import TYPE_CHECKING

from measurement import Curve, used
from synthetic import settle, stock, write_lock
from workplace import IMAGE, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from measurement import Usage
    from workplace import Workplace

_FILES = (1_000, 5_000, 20_000, 50_000, 100_000, 200_000)
_PER_WHEEL = 500
_ENVIRONMENTS = (1, 10, 100, 500, 1_000)
_WHEELS = 10  # of each environment, its own
_GENERATIONS = (1, 10, 50, 100, 200)
_COMPLETION = {
    "_VENVCTL_COMPLETE": "complete_bash",
    "COMP_WORDS": "venvctl status ",
    "COMP_CWORD": "2",
}


class _Curves:
    """Collects what was measured, point after point."""

    def __init__(self, against: str) -> None:
        self._against = against
        self._points: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)

    def add(self, what: str, number: int, usage: Usage) -> None:
        """Note what a command took, and its memory."""
        self._points[what, "s"].append((number, usage.wall))
        self._points[f"{what}: memory at its most", "bytes"].append((number, float(usage.peak)))

    def curves(self) -> Iterator[Curve]:
        """All of it."""
        for (what, unit), points in self._points.items():
            yield Curve(what=what, against=self._against, points=tuple(points), unit=unit)


def files(place: Workplace) -> Iterator[Curve]:
    """One environment with more and more files; half of them are bytecode."""
    found = _Curves("files")
    sizes, per_wheel = ((100, 200), 25) if place.quick else (_FILES, _PER_WHEEL)
    for size in sizes:
        # A root of its own: the trees of one must not help the next.
        with opened((), quick=place.quick) as own:
            modules = per_wheel // 2
            pins = [
                stock(own, f"part-{number}", files=modules) for number in range(size // per_wheel)
            ]
            changed = [stock(own, pins[0].name, version="2.0", files=modules), *pins[1:]]
            lock = write_lock(own, "files", pins)
            name = f"{own.prefix}files"
            found.add("first sync, wheels in the store", size, _add(own, name))
            lock.write_text(write_lock(own, "changed", changed).read_text())
            found.add("one package changed", size, _used(own, "sync", name))
            _used(own, "sync", name)
            found.add("nothing changed", size, _used(own, "sync", name))
            for verb in ("verify", "status", "sbom"):
                output = ("--output", "bill.json") if verb == "sbom" else ()
                found.add(f"`venvctl {verb}`", size, _used(own, verb, name, *output))
            found.add("`venvctl gc --dry-run`", size, _used(own, "gc", "--dry-run"))
            found.add("`sha256sum` of the same files, in parallel", size, _hash(own))
    yield from found.curves()


def environments(place: Workplace) -> Iterator[Curve]:
    """More and more environments in one root, of ten wheels each that no other has."""
    found = _Curves("environments")
    made = 0
    for number in (1, 3) if place.quick else _ENVIRONMENTS:
        while made < number:
            pins = [stock(place, f"only-{made}-{part}") for part in range(_WHEELS)]
            settle(place, f"e{made}", write_lock(place, f"e{made}", pins))
            made += 1
        _measure(place, found, number, f"{place.prefix}e0")
        write_lock(place, "files", [stock(place, f"further-{number}")])
        further = f"{place.prefix}further{number}"
        found.add("one more environment", number, _add(place, further, "--bytecode", "off"))
        place.venvctl("env", "rm", further)
    yield from found.curves()


def generations(place: Workplace) -> Iterator[Curve]:
    """More and more generations of one environment, one of its ten packages apart."""
    found = _Curves("generations")
    same = [stock(place, f"same-{part}") for part in range(_WHEELS - 1)]
    made = 0
    for number in (1, 3) if place.quick else _GENERATIONS:
        while made < number:
            made += 1
            pins = [stock(place, "other", version=f"{made}.0"), *same]
            settle(place, "one", write_lock(place, "one", pins), keep=1000)
        name = f"{place.prefix}one"
        _measure(place, found, number, name)
        found.add("`venvctl history`", number, _used(place, "history", name))
    yield from found.curves()


CURVES: dict[str, Callable[[Workplace], Iterator[Curve]]] = {
    "files": files,
    "environments": environments,
    "generations": generations,
}


def _measure(place: Workplace, found: _Curves, number: int, name: str) -> None:
    """What whoever has many of them asks for."""
    for words in (
        ("--version",), ("env", "list"), ("snapshot", "list"), ("status",), ("status", name),
        ("status", "--verbose"), ("gc", "--dry-run"), ("verify",), ("sync", "--dry-run"),
    ):  # fmt: skip
        what = " ".join("ENV" if word == name else word for word in words)
        found.add(f"`venvctl {what}`", number, _used(place, *words))
    _used(place, "sync")
    found.add("`venvctl sync`, nothing changed", number, _used(place, "sync"))
    completed = used(
        place.command, cwd=place.folder, environment={**place.environment, **_COMPLETION}
    )
    found.add("`venvctl status <TAB>`", number, completed)


def _add(place: Workplace, name: str, *options: str) -> Usage:
    """Add an environment of the lock that was written last as ``files``."""
    lock = str(place.folder / "pylock.files.toml")
    words = ("env", "add", name, "--lock", lock, "--image", IMAGE, "--offline", *options)
    return _used(place, *words)


def _used(place: Workplace, *words: str) -> Usage:
    return used([*place.command, *words], cwd=place.folder, environment=place.environment)


def _hash(place: Workplace) -> Usage:
    """What the disk and the processors can do: the files that `verify` reads, each once."""
    script = (
        'find "$1/trees" "$1/wheels" -type f -print0'
        f" | xargs -0 -n 256 -P {os.cpu_count()} sha256sum >/dev/null"
    )
    command = ["sh", "-c", script, "sh", str(place.root / "store")]
    return used(command, cwd=place.folder, environment=place.environment)
