"""The text of a requirements file → logical lines, by pip's rules for each."""

from __future__ import annotations

import codecs
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from venvctl.errors import LockError
from venvctl.lockfiles.files import check_text

if TYPE_CHECKING:
    from collections.abc import Iterator

# The UTF-32 marks begin with the UTF-16 ones, so they are tried first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CODING = re.compile(rb"coding[:=]\s*([-\w.]+)")
_COMMENT = re.compile(r"(^|\s+)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
# Longer than any line that a tool writes: the longest has some 200 hashes of 80 characters.
_LONGEST_LINE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A requirement with its options, or options alone, without comments and continuations."""

    text: str
    place: str


def read_lines(content: bytes, name: str) -> Iterator[Line]:
    """Split a requirements file into what pip takes as one line each.

    Args:
        content: the file.
        name: what messages call it.

    Raises:
        LockError: the encoding is unknown or wrong, or there is a NUL.
    """
    text = _decode(content, name)
    check_text(text, name)
    for number, joined in _join(text):
        line = _COMMENT.sub("", joined).strip()
        if len(line) > _LONGEST_LINE:
            raise LockError(
                f"{name}:{number}: The line is longer than {_LONGEST_LINE:,} characters.",
                hint="Check that it is a lockfile.",
            )
        if line:
            yield Line(text=line, place=f"{name}:{number}")


def expand_variables(text: str, place: str) -> str:
    """Replace each ``${NAME}`` by the environment variable's value.

    Raises:
        LockError: a variable is not set (pip would go on with the literal text, and fail later).
    """

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1], "")
        if not found:
            raise LockError(
                f"{place}: The environment variable {match[1]} is not set.",
                hint=f"Set {match[1]} where venvctl runs.",
            )
        return found

    return _VARIABLE.sub(value, text)


def _decode(content: bytes, name: str) -> str:
    encoding = "utf-8"
    for mark, of_mark in _MARKS:
        if content.startswith(mark):
            content, encoding = content[len(mark) :], of_mark
            break
    else:
        for line in content.split(b"\n", 2)[:2]:
            found = _CODING.search(line) if line.startswith(b"#") else None
            if found:
                encoding = found[1].decode("ascii")
                break
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        if error.start >= len(content):  # a codec that counts otherwise
            raise _undecodable(name, encoding) from error
        line_number = content.count(b"\n", 0, error.start) + 1
        raise LockError(
            f"{name}:{line_number}: This is not {encoding.upper()}:"
            f" byte 0x{content[error.start]:02x} at offset {error.start}.",
            hint="Save the file as UTF-8, or name its encoding in its first line:"
            " `# -*- coding: latin-1 -*-`.",
        ) from error
    except UnicodeError as error:
        raise _undecodable(name, encoding) from error
    except LookupError as error:
        raise LockError(
            f"{name}:1: The encoding {encoding!r} is unknown.", hint="Save the file as UTF-8."
        ) from error


def _undecodable(name: str, encoding: str) -> LockError:
    return LockError(f"{name}:1: This is not {encoding.upper()}.", hint="Save the file as UTF-8.")


def _join(text: str) -> Iterator[tuple[int, str]]:
    """Join lines that end in a backslash; a comment line ends what goes before it."""
    first = 0
    parts: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        comment = bool(_COMMENT.match(line))
        if not parts:
            first = number
        if line.endswith("\\") and not comment:
            parts.append(line.strip("\\"))
            continue
        # The space keeps a comment a comment once it is joined.
        parts.append(f" {line}" if comment else line)
        yield first, "".join(parts)
        parts = []
    if parts:
        yield first, "".join(parts)
