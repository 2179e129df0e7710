"""What an interpreter is: the facts that decide which files suit it."""

from __future__ import annotations

import hashlib
import json
import platform
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.tags import Tag

if TYPE_CHECKING:
    from collections.abc import Mapping

# Marker variables that describe the running kernel, not the interpreter. A container shares its
# host's kernel: they are read from the host at selection time, and are no part of a fingerprint.
KERNEL_MARKERS = ("platform_release", "platform_version")


# What becomes part of a path on this host, or a line of `pyvenv.cfg`, is no free text.
_COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VERSION = re.compile(r"[0-9A-Za-z.+!_-]{1,64}")
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{0,1000}")
_ABSOLUTE = re.compile(r"/[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,1000}")
_TAG = re.compile(
    r"[^\x00-\x20\x7f-\x9f\ud800-\udfff-]{1,200}(-[^\x00-\x20\x7f-\x9f\ud800-\udfff-]{1,200}){2}"
)
_SHOWN = 200  # characters of a value in a message


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
        """Read the JSON form, which an image or an archive may have made up.

        Raises:
            KeyError, TypeError, AttributeError, ValueError: it is none, or what becomes part of a
                path or of a line is not fit for that.
        """
        if not isinstance(facts, dict):
            raise TypeError("not an object")
        interpreter = _fit(_ABSOLUTE, str(facts["interpreter"]), "interpreter")
        if not isinstance(facts["markers"], dict):
            raise TypeError("its markers are not an object")
        markers = {
            _fit(_PRINTABLE, str(name), "marker"): _fit(_PRINTABLE, str(value), f"marker {name}")
            for name, value in facts["markers"].items()
        }
        _fit(_VERSION, markers["python_version"], "marker python_version")
        return cls(
            interpreter=interpreter,
            version=_fit(_VERSION, str(facts["version"]), "version"),
            cache_tag=_fit(_COMPONENT, str(facts["cache-tag"]), "cache tag"),
            library=_fit(_COMPONENT, str(facts["library"]), "library"),
            tags=tuple(_fit(_TAG, str(tag), "tag") for tag in facts["tags"]),
            markers=markers,
        )


def _fit(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"the {what} {text[:_SHOWN]!a} can't be one")
    return text
