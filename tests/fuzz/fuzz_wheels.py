"""Wheels, as bytes and put together from texts."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from fuzzing import LIMITS, PART, BrokenInvariantError, Place, Target, check_error
from venvctl import extraction
from venvctl.errors import VenvctlError
from venvctl.manifest import Manifest
from wheelhouse import packed

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a wheel that is put together from texts has, whatever they say.
_MODULE = b"VALUE = 1\n"


def _take_wheel(data: bytes, place: Place) -> None:
    """The bytes as a wheel."""
    folder = cast("Path", place.once("wheels", lambda path: path))
    path = folder / "alpha-1.0-py3-none-any.whl"
    path.write_bytes(data)
    tree = folder / "tree"
    try:
        manifest = extraction.extract(path, tree, library="python3.11", limits=LIMITS)
        _check_tree(tree, manifest)
        if Manifest.from_json(manifest.to_json()) != manifest:
            raise BrokenInvariantError("a manifest that is read back is another")
    except VenvctlError as error:
        check_error(error)
    finally:
        shutil.rmtree(tree, ignore_errors=True)
        path.unlink()
    if left := [*folder.iterdir(), *(each for each in place.folder.iterdir() if each != folder)]:
        raise BrokenInvariantError(f"left behind: {left}")


def _check_tree(tree: Path, manifest: Manifest) -> None:
    found = set()
    # Not `Path.rglob`, which takes quadratic time for what is deep.
    for folder, folders, files in os.walk(tree):
        if any(Path(folder, name).is_symlink() for name in (*folders, *files)):
            raise BrokenInvariantError(f"a symbolic link in {folder}")
        found |= {os.path.relpath(f"{folder}/{name}", tree) for name in files}
    said = {f"prefix/{file.path}" for file in manifest.files}
    said |= {f"scripts/{file.path}" for file in manifest.raw_scripts}
    if found != said:
        raise BrokenInvariantError(f"not in both: {sorted(found ^ said)[:5]}")


def _take_texts(data: bytes, place: Place) -> None:
    """A wheel whose METADATA, WHEEL, entry_points.txt, RECORD and member names are the input's."""
    metadata, wheel, points, record, names = (*data.split(PART), b"", b"", b"", b"", b"")[:5]
    members: dict[str, bytes] = {}
    for line in names.split(b"\n")[:50]:
        name = line.decode("utf-8", "replace")[:2000]
        if name:
            members[name] = b"" if name.endswith("/") else _MODULE
    info = "alpha-1.0.dist-info"
    members |= {
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": wheel,
        f"{info}/entry_points.txt": points,
    }
    # Whatever it says besides: all that is there is in it, so that the names are what counts.
    with suppress(UnicodeEncodeError, ValueError):
        _take_wheel(packed(members, name=info, more=record), place)


def wheel_seeds() -> Iterator[bytes]:
    info = "alpha-1.0.dist-info"
    metadata = b"Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n"
    wheel = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    texts = {f"{info}/METADATA": metadata, f"{info}/WHEEL": wheel}
    yield packed({"alpha.py": _MODULE, **texts}, name=info)
    yield packed({"alpha/": b"", "alpha/a.py": b"", **texts}, name=info)
    yield packed({"alpha-1.0.data/scripts/run": b"#!python\n", **texts}, name=info)
    yield packed({"alpha.txt": bytes(9 << 20), **texts}, name=info)


def _text_seeds() -> Iterator[bytes]:
    metadata = (
        b"Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\nRequires-Dist: beta>1; extra=='x'\n"
        b"Provides-Extra: x\nRequires-Python: >=3.8\n\nSome text."
    )
    wheel = b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    points = b"[console_scripts]\nrun = alpha:main\n[gui_scripts]\nshow=alpha.gui:x.y [x]\n"
    record = b"alpha.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n"
    names = (
        b"alpha.py\nalpha/__init__.py\nalpha-1.0.data/scripts/tool\nalpha-1.0.data/data/share/x\n"
        b"alpha-1.0.data/headers/a.h\nalpha-1.0.data/purelib/b.py\nempty/\n"
    )
    yield PART.join([metadata, wheel, points, b"", names])
    yield PART.join([metadata, wheel, points, record, b"alpha/x.py"])
    yield PART.join([metadata, wheel, b"", b"", b"alpha-1.0.data/data/lib64/python3.11/x\nbin\n"])


TARGETS = {
    "wheel": Target(
        run=_take_wheel,
        seeds=wheel_seeds,
        words=(
            b"PK\x01\x02",
            b"PK\x03\x04",
            b"PK\x05\x06",
            b"PK\x06\x06",
            b"PK\x06\x07",
            b"\xff" * 8,
        ),
    ),
    "wheel_texts": Target(
        run=_take_texts,
        seeds=_text_seeds,
        words=(
            *(PART, b"../", b"/etc/x", b"\\", b"C:", b".pth", b"pyvenv.cfg", b"bin/python", b"/"),
            *(b"Requires-Dist: ", b"Version: ", b"1" * 5000, b"sha256=", b".data/", b"lib64/"),
            *(b"__pycache__", b"\xcc\x81", b"a" * 256, b"x/" * 200, b"[console_scripts]", b","),
        ),
    ),
}
