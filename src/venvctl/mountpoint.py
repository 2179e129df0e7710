"""Where containers may mount an environment: a path that means itself in every script (pure)."""

from __future__ import annotations

import posixpath
import re

from venvctl.errors import ConfigurationError

# It stands in first lines of scripts, in shell and Python code between quotes, and in archives.
_MOUNT = re.compile(r"/[A-Za-z0-9._+@%=,/-]{1,1000}")


def checked(text: str) -> str:
    """The path without what means nothing in it, such as a slash at its end.

    Raises:
        ConfigurationError: it is not absolute, the root, or has a character that scripts, shells
            or Python would take for more than a part of a path.
    """
    path = posixpath.normpath(text)
    if not text.startswith("/") or path.strip("/") == "":
        raise ConfigurationError(
            f"An environment can't be mounted at {text!r}.",
            hint="Give an absolute path in the container, such as /venv.",
        )
    if not _MOUNT.fullmatch(path):
        raise ConfigurationError(
            f"An environment can't be mounted at {text!r}: its scripts have that path in them.",
            hint="Mount it at a path of letters, digits and `. _ - + @ % = ,`, such as /venv.",
        )
    return path
