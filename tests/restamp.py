"""Stamped files with something else in them, and the digest that belongs to that."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from venvctl import stamp

if TYPE_CHECKING:
    from pathlib import Path


def replaced(data: bytes, before: bytes, after: bytes) -> bytes:
    """A stamped text in which something stands in place of something else."""
    body = data.partition(b'",')[2].replace(before, after)
    digest = hashlib.sha256(b"{" + body).hexdigest().encode()
    return b'{"digest":"' + digest + b'",' + body


def change(path: Path, name: str, value: object) -> None:
    """Give a member of a stamped file another value."""
    document = {**stamp.opened(path.read_bytes()), name: value}
    path.write_bytes(stamp.stamped(document, indent=1))
