"""Small file systems of our own, to be full, read-only or somewhere else for real."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def mounted(path: Path, *, size: str) -> Iterator[None]:
    """Have a tmpfs of that size at a path; skips the test where this user may not mount."""
    path.mkdir(parents=True, exist_ok=True)
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(path))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    try:
        yield
    finally:
        # A container may still hold it: it goes with the last one.
        _run("umount", "--lazy", str(path))


def remount(path: Path, options: str) -> None:
    """Change what a mounted file system allows, such as ``ro`` or ``size=64m``."""
    _run("mount", "-o", f"remount,{options}", str(path))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)
