"""The hashes a lock may rely on: SHA-256 or stronger, in strict lower-case hex."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from venvctl.errors import LockError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Digits of a hex digest. MD5 and SHA-1 are left out on purpose: files that collide can be made.
ALGORITHMS = {"sha256": 64, "sha384": 96, "sha512": 128}
_HEX = re.compile(r"[0-9a-f]+")


def parse_hash(text: str, place: str) -> str:
    """Check a hash written as ``<algorithm>:<hex>``, and return it.

    Args:
        text: the hash.
        place: where the lock has it, for the message.

    Raises:
        LockError: the algorithm is too weak or unknown, or the digest is malformed.
    """
    algorithm, _, digest = text.partition(":")
    if algorithm not in ALGORITHMS:
        raise LockError(
            f"{place}: The hash {text!r} is not one of {', '.join(ALGORITHMS)}.",
            hint="Make the lock again with SHA-256 hashes.",
        )
    if len(digest) != ALGORITHMS[algorithm] or not _HEX.fullmatch(digest):
        raise LockError(
            f"{place}: The hash {text!r} is malformed: {algorithm} has"
            f" {ALGORITHMS[algorithm]} digits of lower-case hex.",
            hint="Make the lock again; hashes are not to be edited by hand.",
        )
    return text


def sha256_of(hashes: Mapping[str, str], place: str) -> str:
    """The SHA-256 (hex) among a file's hashes; the store is keyed by it.

    Args:
        hashes: algorithm → digest (PEP 751).
        place: where the lock has it, for the message.

    Raises:
        LockError: there is none (SHA-384 or SHA-512 alone can't name a file in the store), or it is
            malformed.
    """
    if "sha256" not in hashes:
        others = ", ".join(sorted(hashes)) or "none at all"
        raise LockError(
            f"{place}: There is no SHA-256 hash, only {others}.",
            hint="Make the lock again with SHA-256 hashes; venvctl keeps files under theirs.",
        )
    return parse_hash(f"sha256:{hashes['sha256']}", place).partition(":")[2]
