"""What an image says, and what the root's own files say."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from fuzz_control import REGISTRATION
from fuzzing import PYTHON, BrokenInvariantError, Place, Target, check_error
from venvctl import probe
from venvctl.engine.model import TaskResult
from venvctl.errors import IntegrityError, VenvctlError
from venvctl.manifest import Manifest
from venvctl.registration import Registration
from venvctl.seal import Seal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _hear(data: bytes, _place: Place) -> None:
    """What an interpreter in an image says that it is."""
    text = data.decode("utf-8", "replace")
    result = TaskResult(exit_code=0, stdout=f"venvctl-probe:{text}\n", stderr="")
    try:
        found = probe._read(result, name="image", python="")
    except VenvctlError as error:
        check_error(error)
        return
    for part in (found.library, found.cache_tag, found.python_version):
        if "/" in part or part in {"", ".", ".."} or "\0" in part:
            raise BrokenInvariantError(f"{part!r} becomes part of a path")
    if "\n" in found.interpreter:
        raise BrokenInvariantError(f"{found.interpreter!r} is the interpreter")


def _stored(data: bytes, place: Place) -> None:
    """A file of the root that somebody damaged: a seal, a manifest, a registration."""
    folder = cast("Path", place.once("1-" + "a" * 32, lambda path: path))
    (folder / "seal.json").write_bytes(data)
    with suppress(IntegrityError):
        Seal.load(folder)
    with suppress(ValueError):
        Manifest.from_json(data)
    with suppress(VenvctlError, ValueError):
        Registration.from_dict(json.loads(data), source="environment.json")


def _stored_seeds() -> Iterator[bytes]:
    yield json.dumps(REGISTRATION).encode()
    yield Manifest(name="alpha", version="1.0", directories=("lib",), files=()).to_json()
    yield json.dumps(
        {
            "schema": 1,
            "number": 1,
            "key": "a" * 32,
            "created": "",
            "created-by": "",
            "mount": "/venv",
            "image": "",
            "target": PYTHON.to_dict(),
            "locks": {},
            "packages": [],
            "conflicts": [],
            "generated": {},
        }
    ).encode()


TARGETS = {
    "probe": Target(
        run=_hear,
        seeds=lambda: iter([json.dumps(PYTHON.to_dict()).encode()]),
        words=(b"../../..", b"\\n", b"\\u0000", b"/etc", b'"library"', b'"cache-tag"', b"null"),
    ),
    "stored": Target(
        run=_stored,
        seeds=_stored_seeds,
        words=(b"../", b"null", b"[" * 2000, b"9" * 5000, b'"\\ud800"', b"NaN", b"1e999"),
    ),
}
