"""Compares what venvctl selects from a lock with what the lock's own tool, uv and pip take of it.

    python tests/compare_lock.py path/to/any.lock [--extra NAME] [--group NAME] [--package NAME]

The format is detected. The lock's own tool (Poetry, PDM, Pipenv, uv) exports it, run in a
throw-away environment by `uv tool run`; then uv and pip say for each target which file of each
package they would take. Prints one line for each target and opinion, and ends in 1 if any of them
differs, in 2 if the lock's own tool can't be run. Nothing is installed, and nothing but indexes is
asked.
"""

# ruff: noqa: T201 - a tool that prints its table

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from interpreters import target
from own_tools import ExportError, export, pip_choice, uv_choice
from venvctl import lockfiles, pins, settings
from venvctl.errors import VenvctlError
from venvctl.lockfiles import LockOptions
from venvctl.lockfiles.formats import known_by_name, known_by_shape
from venvctl.pins import PinStore
from venvctl.selection import select

if TYPE_CHECKING:
    from collections.abc import Mapping

    from venvctl.target import Target

TARGETS: Mapping[str, Target] = {
    "3.11 x86_64": target("3.11.7"),
    "3.13 x86_64": target("3.13.1"),
    "3.13t x86_64": target("3.13.1", threaded=True),
    "3.12 aarch64": target("3.12.3", machine="aarch64"),
    "3.13 musl": target("3.13.1", libc="musl-1.2"),
}
NO_FILE = "no file"  # what `pip_choice.py` says where pip finds none


def selected(
    lock: Path, options: LockOptions, image: Target, store: PinStore, export: str
) -> Mapping[str, str]:
    """What venvctl takes: package → file name or commit; one entry "error" where it takes nothing.

    A file whose hash the export doesn't have, though it has any, is marked.
    """
    network = settings.load()
    try:
        read = lockfiles.read(lock, options=options)
        found = select(
            pins.resolve(read, image, store, transport=network.transport, index=network.options()),
            image,
            extras=read.extras,
            groups=read.groups,
            builds=True,
            insecure_hosts=read.insecure_hosts,
        )
    except VenvctlError as error:
        return {"error": error.message}
    return {
        file.name: (file.file or file.commit)
        + (" of another hash" if "sha256" in export and file.sha256 not in export else "")
        for file in found.files
    }


def differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """What is not the same, a line for each package; both sides refusing is the same.

    Exports don't tell which Pythons a lock is for, so whoever exports for another one gets what the
    lock's own tool would refuse to install, too.
    """
    refused = ours.get("error", "")
    if refused.startswith("The lock is for "):
        return []
    if refused and ("error" in theirs or NO_FILE in theirs.values()):
        return []
    for side, chosen in (("venvctl", ours), ("the other", theirs)):
        if "error" in chosen:
            return [f"{side} refuses: {chosen['error']}"]
    return [
        f"{name}: {ours.get(name, 'none')}  |  {theirs.get(name, 'none')}"
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    ]


def main() -> int:
    """Compare, print, and say whether all is equal."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lock", type=Path)
    parser.add_argument("--format", default="", choices=["", *lockfiles.FORMATS])
    parser.add_argument("--extra", action="append", default=[])
    parser.add_argument("--group", action="append", default=[])
    parser.add_argument("--package", default="", help="member of a uv workspace")
    parser.add_argument("--export", type=Path, help="an export that was made before")
    parser.add_argument("--target", action="append", choices=TARGETS, help="default: all")
    given = parser.parse_args()
    lock = given.lock.resolve()
    form = given.format or known_by_name(lock) or known_by_shape(lock.read_bytes())
    options = LockOptions(
        format=form,
        project=lock.parent,
        extras=tuple(given.extra),
        groups=tuple(given.group),
        package=given.package,
    )
    targets = {name: TARGETS[name] for name in given.target or TARGETS}
    different = False
    with tempfile.TemporaryDirectory(prefix="compare-lock-") as folder:
        try:
            exported = given.export or export(lock, options, Path(folder))
        except ExportError as error:
            print(error)
            return 2
        opinions = {
            "pip": pip_choice(exported, options, targets),
            "uv": uv_choice(exported, options, targets, Path(folder)),
        }
        store = PinStore(Path(folder) / "pins")
        text = exported.read_text(encoding="utf-8", errors="replace")
        for name, image in targets.items():
            ours = selected(lock, options, image, store, text)
            for tool, opinion in opinions.items():
                if name not in opinion:
                    continue
                # uv was not asked for what is not from an index: it would fetch it.
                direct = {k: v for k, v in opinions["pip"][name].items() if v.startswith("@ ")}
                both = {**direct, **opinion[name]}
                theirs = {key: file.removeprefix("@ ") for key, file in both.items()}
                found = differences(ours, theirs)
                different |= bool(found)
                print(f"{name:14} {tool:4} {_summary(ours, theirs, found)}")
                for line in found:
                    print(f"    {line}")
    return 1 if different else 0


def _summary(ours: Mapping[str, str], theirs: Mapping[str, str], found: list[str]) -> str:
    if found:
        return f"{len(ours):4} packages, {len(theirs)} there  DIFFERENT"
    if "error" in ours:
        return f"   refused  same: {ours['error'][:150]}"
    return f"{len(ours):4} packages  same"


if __name__ == "__main__":
    sys.exit(main())
