"""What an interpreter is: the facts that decide which files suit it."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.tags import Tag

if TYPE_CHECKING:
    from collections.abc import Mapping

# Marker variables that describe the running kernel, not the interpreter. A container shares its
# host's kernel: they are read from the host at selection time, and are no part of a fingerprint.
KERNEL_MARKERS = ("platform_release", "platform_version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One interpreter, as the service's image has it.

    Attributes:
        interpreter: absolute path in the image, what `bin/python` of a generation points to.
        version: full version, e.g. ``3.11.2``.
        cache_tag: `sys.implementation.cache_tag`, with ``t`` for a free-threaded build; it is in
            the names of trees.
        library: name of the interpreter's folder below ``lib/``, e.g. ``python3.11``.
        tags: the compatible wheel tags (PEP 425), most specific first, such as
            ``cp311-cp311-linux_x86_64``.
        markers: the environment marker values (PEP 508), without those in `KERNEL_MARKERS`.
    """

    interpreter: str
    version: str
    cache_tag: str
    library: str
    tags: tuple[str, ...]
    markers: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over every field: equal for interpreters that stand in for each other."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    @property
    def python_version(self) -> str:
        """Major and minor version, e.g. ``3.11``."""
        return self.markers["python_version"]

    def wheel_tags(self) -> list[Tag]:
        """The compatible tags, most specific first, as `packaging` objects."""
        return [Tag(*text.split("-")) for text in self.tags]

    def marker_environment(self) -> dict[str, str]:
        """All marker values (PEP 508), those of the kernel taken from this host."""
        return {
            **self.markers,
            "platform_release": platform.release(),
            "platform_version": platform.version(),
        }

    def to_dict(self) -> dict[str, object]:
        """The JSON form; `from_dict` reads it back."""
        return {
            "interpreter": self.interpreter,
            "version": self.version,
            "cache-tag": self.cache_tag,
            "library": self.library,
            "tags": list(self.tags),
            "markers": dict(self.markers),
        }

    @classmethod
    def from_dict(cls, facts: object) -> Target:
        """Read the JSON form; raises KeyError, TypeError or AttributeError if it is none."""
        if not isinstance(facts, dict):
            raise TypeError("not an object")
        return cls(
            interpreter=str(facts["interpreter"]),
            version=str(facts["version"]),
            cache_tag=str(facts["cache-tag"]),
            library=str(facts["library"]),
            tags=tuple(str(tag) for tag in facts["tags"]),
            markers={str(name): str(value) for name, value in facts["markers"].items()},
        )
