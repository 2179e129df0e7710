"""Environments of made-up wheels, as many and as big as wanted, that no index is asked for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tomli_w

from venvctl.progress import Silent
from venvctl.registration import Registration
from venvctl.root import Root
from venvctl.specification import EnvironmentSpecification
from venvctl.sync import SyncOptions, sync
from wheelhouse import make_wheel
from workplace import IMAGE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from workplace import Workplace

# About what a module of a real package has.
_FUNCTION = """
def function_{number}(first, second={number}):
    \"\"\"Add {number} to the sum of two.\"\"\"
    if first > second:
        return [first, second, "{mark}"]
    return {{"first": first + second, "number": {number}}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A wheel of the store."""

    name: str
    version: str
    file: str
    sha256: str


def stock(place: Workplace, name: str, *, version: str = "1.0", files: int = 1) -> Pin:
    """Have a wheel of that many modules in the store.

    Args:
        place: whose.
        name: of the package.
        version: of the package; another one has other content.
        files: how many modules it has, of about 1 KB.
    """
    mark = hashlib.sha256(f"{name} {version}".encode()).hexdigest()
    body = "".join(_FUNCTION.format(number=number, mark=mark) for number in range(5))
    package = name.replace("-", "_")
    wheel = make_wheel(
        place.folder / "made",
        name,
        version,
        files={
            f"{package}/{'__init__' if not number else f'part_{number}'}.py": f"# {number}\n{body}"
            for number in range(files)
        },
    )
    root = Root(place.root)
    root.create()
    pin = Pin(name=wheel.name, version=version, file=wheel.file, sha256=wheel.sha256)
    root.store.add(wheel.path, file=pin.file, sha256=pin.sha256)
    wheel.path.unlink()
    return pin


def write_lock(place: Workplace, name: str, pins: Sequence[Pin]) -> Path:
    """A `pylock.toml` (PEP 751) of some wheels, which nobody has to fetch."""
    path = place.folder / f"pylock.{name}.toml"
    packages = [
        {
            "name": pin.name,
            "version": pin.version,
            "wheels": [
                {
                    "name": pin.file,
                    "url": f"https://wheels.invalid/{pin.file}",
                    "hashes": {"sha256": pin.sha256},
                }
            ],
        }
        for pin in pins
    ]
    document = {"lock-version": "1.0", "created-by": "bench", "packages": packages}
    path.write_text(tomli_w.dumps(document))
    return path


def settle(place: Workplace, name: str, lock: Path, *, keep: int = 3) -> None:
    """Have an environment synced and registered, without a process for each, nor bytecode."""
    root = Root(place.root)
    full = f"{place.prefix}{name}"
    labels = {"venvctl.lock": str(lock), "venvctl.bytecode": "off", "venvctl.keep": str(keep)}
    registration = Registration(
        specification=EnvironmentSpecification.from_labels(
            full, labels, directory=place.folder, place="the bench"
        ),
        mount="/venv",
        images={"": IMAGE},
        labels={},
        project="",
        directory=place.folder,
    )
    sync(registration, root, SyncOptions(offline=True), Silent())
    root.registry.claim(registration)
