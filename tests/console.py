"""Runs venvctl for tests: in this process, or in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import venvctl

SOURCE = Path(venvctl.__file__).parents[1]
COMMAND = (sys.executable, "-m", "venvctl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def envelope(self) -> Any:
        """The one JSON object on stdout."""
        [line] = self.stdout.splitlines()
        return json.loads(line)

    @property
    def data(self) -> Any:
        assert self.envelope["ok"], self.envelope
        return self.envelope["data"]


def environment(**variables: str) -> dict[str, str]:
    """The environment of a process that finds this venvctl, wherever it is started."""
    return {**os.environ, "PYTHONPATH": str(SOURCE), **variables}


def venvctl_command(*arguments: str, cwd: Path | None = None, **variables: str) -> Done:
    """Run a command in a process of its own."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Done(code=done.returncode, stdout=done.stdout, stderr=done.stderr)
