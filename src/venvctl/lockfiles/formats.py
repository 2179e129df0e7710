"""Which format a lock has, by its name or else its shape, and who reads it."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

from packaging.pylock import is_valid_pylock_path

from venvctl.errors import LockChangedError, LockError
from venvctl.lockfiles.files import Files
from venvctl.lockfiles.model import FORMATS
from venvctl.lockfiles.pdm import read_pdm
from venvctl.lockfiles.pipfile import read_pipfile
from venvctl.lockfiles.poetry import read_poetry
from venvctl.lockfiles.pylock import read_pylock
from venvctl.lockfiles.requirements import read_requirements
from venvctl.lockfiles.uv import read_uv

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from venvctl.lockfiles.model import Lock, LockOptions

_READERS: dict[str, Callable[[Files, Path, LockOptions], Lock]] = {
    "pdm": read_pdm,
    "pipfile": read_pipfile,
    "poetry": read_poetry,
    "pylock": read_pylock,
    "requirements": read_requirements,
    "uv": read_uv,
}
_NAMES = {
    "uv.lock": "uv",
    "poetry.lock": "poetry",
    "pdm.lock": "pdm",
    "Pipfile.lock": "pipfile",
}


def read_lock(path: Path, *, options: LockOptions, read_bytes: Callable[[Path], bytes]) -> Lock:
    """As `venvctl.lockfiles.read`."""
    files = Files(options.project, read_bytes)
    if options.format and options.format not in FORMATS:
        raise LockError(
            f"The lock format {options.format!r} is unknown; there is {', '.join(FORMATS)}.",
            hint="Correct the label `venvctl.format`, or remove it.",
        )
    known = options.format or known_by_name(path)
    # A lock that doesn't exist says so before anything else is found wrong with it.
    content = files.read(path)
    form = known or known_by_shape(content)
    if options.package and form != "uv":
        raise LockError(
            f"{files.display(path)}: Only uv.lock has packages to choose from"
            f" ({options.package!r}).",
            hint="Remove the label `venvctl.package`.",
        )
    try:
        return _READERS[form](files, path, options)
    except LockError as error:
        looks = known_by_name(path) or known_by_shape(content)
        if options.format in {"", looks} or isinstance(error, LockChangedError):
            raise
        raise LockError(
            error.message,
            hint=f"The label `venvctl.format` says {form}, and the file looks like {looks}: "
            "correct the label, or remove it.",
        ) from error


def known_by_name(path: Path) -> str:
    """The format that a file's name promises, or ""."""
    if is_valid_pylock_path(path):
        return "pylock"
    if path.name in _NAMES:
        return _NAMES[path.name]
    return "requirements" if path.suffix in {".txt", ".in"} else ""


def known_by_shape(content: bytes) -> str:
    """The format of a file of any other name, such as ``requirements.lock`` or ``prod.lock``."""
    content = content.removeprefix(codecs.BOM_UTF8)

    def has(pattern: bytes) -> bool:
        return re.search(pattern, content, re.MULTILINE) is not None

    form = "requirements"
    if re.match(rb"\s*\{", content):
        form = "pipfile"
    # PEP 751 requires both of these keys.
    elif has(rb"^created-by\s*=") and has(rb"^lock-version\s*="):
        form = "pylock"
    elif has(rb"^(\[\[package\]\]|\[metadata\])"):
        if has(rb"^version\s*=\s*\d+\s*$"):
            form = "uv"
        else:
            form = "poetry" if has(rb"^python-versions\s*=") else "pdm"
    return form
