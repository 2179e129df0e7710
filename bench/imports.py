"""What commands import, and how long that takes: `python -X importtime`."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

from measurement import run
from synthetic import settle, stock, write_lock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workplace import Workplace

_TURNS = 9
# What a person types, and what it is called on the page; `still` has nothing to do.
_COMMANDS = {
    "`venvctl --version`": ("--version",),
    "`venvctl sync`, nothing changed": ("sync",),
    "`venvctl --help`": ("--help",),
    "`venvctl status`": ("status",),
    "`venvctl status <TAB>`": (),
}
_COMPLETION = {
    "_VENVCTL_COMPLETE": "complete_bash",
    "COMP_WORDS": "venvctl status ",
    "COMP_CWORD": "2",
}


def imports(place: Workplace) -> dict[str, dict[str, int]]:
    """The time of each top-level package that commands import, in microseconds, by command.

    The least of some runs, since what else the machine does only adds to it. The standard library
    is one package here.
    """
    lock = write_lock(place, "still", [stock(place, "still")])
    settle(place, "still", lock)
    return {title: _command(place, words) for title, words in _COMMANDS.items()}


def _command(place: Workplace, words: tuple[str, ...]) -> dict[str, int]:
    # As a shell has it: the gate compares where a command is run.
    told = {**place.environment, "PYTHONPROFILEIMPORTTIME": "1", "PWD": str(place.folder)}
    told |= {} if words else _COMPLETION
    command = ["sh", "-c", 'exec "$@" 2>&1 >/dev/null', "sh", *place.command, *words]
    # The first leaves what the gate answers the others from; each PYTHON variable counts for it.
    run(command, cwd=place.folder, environment=told)
    least: dict[str, int] = {}
    for _ in range(place.turns(_TURNS)):
        text = run(command, cwd=place.folder, environment=told)
        for name, took in _rows(text).items():
            least[name] = min(took, least.get(name, took))
    packages: Counter[str] = Counter()
    for name, took in least.items():
        packages[_package(name)] += took
    return dict(packages.most_common())


def _rows(text: str) -> Mapping[str, int]:
    """The time that each module took by itself, in microseconds."""
    rows = [
        line.removeprefix("import time:").split("|")
        for line in text.splitlines()
        if line.startswith("import time:")
    ]
    return {name.strip(): int(took) for took, _, name in rows[1:]}


def _package(module: str) -> str:
    top = module.partition(".")[0]
    return "standard library" if top in sys.stdlib_module_names or top == "site" else top
