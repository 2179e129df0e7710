"""Which file a tree was unpacked from, and where that file came from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which file a tree was unpacked from.

    Attributes:
        file: the wheel's name. sha256: its digest.
        source: the digest of the sdist it was built from, or "".
        url: where it was had, without credentials; "" for a local file.
    """

    name: str
    version: str
    file: str
    sha256: str
    source: str = ""
    url: str = ""
