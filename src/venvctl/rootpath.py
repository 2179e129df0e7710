"""Where the root is; importing this costs nothing, because the gate does."""

from __future__ import annotations

import os

_VARIABLES = ("VENVCTL_ROOT", "STATE_DIRECTORY")


def is_said() -> bool:
    """Whether a variable says where the root is."""
    return any(os.environ.get(variable) for variable in _VARIABLES)


def locate() -> str:
    """Path of the root: $VENVCTL_ROOT, $STATE_DIRECTORY, or the system's or user's place for it.

    Raises:
        RootError: the variable names no absolute path.
    """
    for variable in _VARIABLES:
        # systemd separates several state directories by colons; the first is ours
        text = os.environ.get(variable, "").partition(":")[0]
        if text:
            if not text.startswith("/"):
                from venvctl.errors import RootError  # noqa: PLC0415 - only who fails pays for it

                raise RootError(f"{variable} is {text!r}, which is no absolute path.")
            return text
    if os.geteuid() == 0:
        return "/var/lib/venvctl"
    from platformdirs import user_data_dir  # noqa: PLC0415 - only who needs it pays for it

    return user_data_dir("venvctl", appauthor=False)
