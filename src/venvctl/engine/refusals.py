"""What the engine's words say about a container that it would not start."""

from __future__ import annotations

import re

# runc's words, in every version since 2015, for the program that a container is started with.
_PROGRAM = re.compile(r'exec: "([^"]*)"')


def is_about(words: str, mount: str) -> bool:
    """Whether a refusal is about something that is missing, or otherwise wrong, below a mount.

    A port that is taken, a bind mount whose source is gone, an engine in trouble are not.

    Args:
        words: the engine's.
        mount: absolute path in the container.
    """
    program = _PROGRAM.search(words)
    if program and not program[1].startswith("/"):
        return True  # it was looked up in PATH
    # Not where it goes on from another path: `…/merged/venv/plugins` is one of the host's.
    return re.search(rf"(?<![\w.-]){re.escape(mount.rstrip('/'))}/", words) is not None
