"""TOML text → tables, with errors that name the line."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from venvctl.errors import LockError

if TYPE_CHECKING:
    from pathlib import Path

    from venvctl.lockfiles.files import Files

_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
# A key of many dots: the standard library's parser takes more than quadratic time for one, and no
# lockfile has any. Possessive, and only from the start of a word, so that this search is linear.
_DEEP_KEY = re.compile(
    r"""(?<![\w"'.-])(?:(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){30}"""
)


def load(files: Files, path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        LockError: it is not UTF-8, not TOML, or nested too deep; the message names the line.
    """
    return parse(files.text(path), files.display(path))


def parse(text: str, name: str) -> dict[str, Any]:
    """Parse TOML; `name` is what messages call the file."""
    deep = _DEEP_KEY.search(text)
    if deep:
        raise too_deep(name, text.count("\n", 0, deep.start()) + 1)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        found = _PLACE.search(message)
        line = (found and found[1]) or text.count("\n") + 1
        raise LockError(
            f"{name}:{line}: {_PLACE.sub('', message)}.",
            hint="The file is not valid TOML; make the lock again.",
        ) from error
    except RecursionError as error:
        raise too_deep(name, 1) from error


def too_deep(name: str, line: int) -> LockError:
    """The error for a file that is nested deeper than any lock is."""
    return LockError(
        f"{name}:{line}: The file is nested too deep.", hint="Check that it is a lockfile."
    )
