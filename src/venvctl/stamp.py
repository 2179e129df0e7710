"""Texts that have their own digest, so that one flipped bit in them is noticed.

    {"digest":"<SHA-256 of all that follows, behind a brace>", ...}

or, where it is no JSON, in a comment of one line. What was written before there were digests has
none, and is read as it is.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_MEMBER = "digest"
_HEAD = b'{"digest":"'
_TAIL = b'",'
_MARK = b"# SHA-256 of what follows: "
_START, _END = len(_HEAD), len(_HEAD) + 64  # of the hexadecimal digits
_BODY = _END + len(_TAIL)


def stamped(
    document: Mapping[str, object], *, indent: int | None = None, compact: bool = False
) -> bytes:
    """The text of an object that is not empty, its digest first.

    Args:
        document: what `json` can write.
        indent: as `json.dumps` has it.
        compact: without a space anywhere.
    """
    separators = (",", ":") if compact else None
    body = json.dumps(document, indent=indent, separators=separators).encode()[1:]
    return _HEAD + _digest(body).encode() + _TAIL + body


def opened(data: bytes) -> Any:
    """What a stamped text says, without its digest; what is no object is given as it is.

    Raises:
        ValueError: it is no JSON, or not what its digest says.
    """
    if data[_START - 2 : _START] == _HEAD[-2:] and data[_END:_BODY] == _TAIL:
        if data[:_START] != _HEAD or data[_START:_END] != _digest(data[_BODY:]).encode():
            raise ValueError("it is not what its own digest says")
        return json.loads(b"{" + data[_BODY:])
    document = json.loads(data)
    if isinstance(document, dict) and _MEMBER in document:
        raise ValueError("its digest is not where it belongs")
    return document


def marked(text: bytes) -> bytes:
    """A text whose comments begin with a number sign (TOML), the digest in its first line."""
    return _MARK + hashlib.sha256(text).hexdigest().encode() + b"\n" + text


def unmarked(data: bytes) -> bytes:
    """A marked text without its first line; one that begins with no comment is given as it is.

    Raises:
        ValueError: it is not what its digest says.
    """
    if not data.startswith(_MARK[:1]):
        return data
    first, _, text = data.partition(b"\n")
    if first != _MARK + hashlib.sha256(text).hexdigest().encode():
        raise ValueError("it is not what its own digest says")
    return text


def _digest(body: bytes) -> str:
    return hashlib.sha256(b"{" + body).hexdigest()
