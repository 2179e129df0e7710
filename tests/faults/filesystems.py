"""File systems of our own, to be full, read-only, broken or somewhere else for real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

# What changes something on a disk.
CHANGES = (
    *("chmod", "create", "link", "mkdir", "rename", "rmdir", "symlink", "truncate", "unlink"),
    "write",
)
_MIRROR = Path(__file__).with_name("mirror.py")
_PATIENCE = 20.0  # seconds until it is mounted


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


@dataclass(frozen=True, slots=True)
class Brittle:
    """A file system that answers as broken disks and quotas do, to whichever process it is.

    Attributes:
        rules: the file that it looks at before each call.
    """

    rules: Path

    def fail(self, *operations: str, number: int, paths: str = "") -> None:
        """Have calls fail from now on.

        Args:
            operations: of these kinds.
            number: with this errno.
            paths: only for paths that have this in them.
        """
        rule = {"operations": operations, "number": number, "paths": paths}
        self.rules.write_text(json.dumps(rule))

    def heal(self) -> None:
        """Have everything work again."""
        self.rules.unlink()


@contextmanager
def brittle(path: Path, *, beneath: Path) -> Iterator[Brittle]:
    """Have such a file system (FUSE) at a path; skips the test where this user may not.

    Args:
        path: where.
        beneath: a folder that holds what is in it.
    """
    for folder in (path, beneath):
        folder.mkdir(parents=True)
        folder.chmod(0o700)
    rules = beneath.with_name(f"{beneath.name}.rules")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("no file system can be mounted here: there is no /dev/fuse")
    command = [sys.executable, str(_MIRROR), str(beneath), str(path), str(rules)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + _PATIENCE
            while not path.is_mount():
                assert process.poll() is None, process.stderr and process.stderr.read()
                assert time.monotonic() < deadline, "it was not mounted"
                time.sleep(0.02)
            yield Brittle(rules)
        finally:
            # A container may still hold it: it goes with the last one.
            subprocess.run(["umount", "--lazy", str(path)], check=False, timeout=30)
            process.terminate()
            process.wait(30)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)
