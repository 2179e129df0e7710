"""Runs inside a container of the image: prints what its interpreter is, as one line of JSON.

Beside this file lies a copy of `packaging`, so that tags and markers are what that library finds
in the image itself: its libc, its architecture, its ABI. Must run on every Python that
`packaging` supports, and import nothing else that the image might lack.
"""

import json
import os
import sys
import sysconfig
from typing import Dict  # noqa: UP035 - the image's Python may be older than venvctl's

MARK = "venvctl-probe:"


def free_threaded() -> str:
    """The suffix "t" for a build without the global interpreter lock (PEP 703), else ""."""
    return "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""


def interpreter() -> str:
    """The path that a virtual environment's `bin/python` should point to."""
    base = str(getattr(sys, "_base_executable", None) or sys.executable)
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}{free_threaded()}"
    versioned = os.path.join(os.path.dirname(base), name)
    # /usr/bin/python3 may be another version tomorrow; /usr/bin/python3.11 never is
    if os.path.exists(versioned) and os.path.samefile(versioned, base):
        return versioned
    return base


def library() -> str:
    """The interpreter's folder below `lib/` in a virtual environment, e.g. ``python3.11``."""
    scheme = "venv" if "venv" in sysconfig.get_scheme_names() else "posix_prefix"
    roots: Dict[str, str] = dict.fromkeys(  # noqa: UP006 - as above
        ("base", "platbase", "installed_base", "installed_platbase"), "/"
    )
    return sysconfig.get_path("purelib", scheme, vars=roots).split("/")[-2]


def main() -> None:
    """Print the facts behind a mark that no sitecustomize is likely to print."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from packaging import markers, tags  # noqa: PLC0415 - found only after the line above

    environment = dict(markers.default_environment())
    # those two describe the kernel, which every container of a host shares
    environment.pop("platform_release", None)
    environment.pop("platform_version", None)
    tag = sys.implementation.cache_tag or ""
    facts = {
        "interpreter": interpreter(),
        "version": "{}.{}.{}".format(*sys.version_info[:3]),
        "cache-tag": tag if tag.endswith(free_threaded()) else tag + free_threaded(),
        "library": library(),
        "tags": [str(tag) for tag in tags.sys_tags()],
        "markers": environment,
    }
    print(MARK + json.dumps(facts))  # noqa: T201 - this is how it answers


main()
