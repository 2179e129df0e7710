"""The `uv` that is installed with venvctl, run without what could change its answers."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uv

from venvctl.errors import VenvctlError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# uv's own settings that say how to reach an index, and nothing about what to choose from it.
_KEPT = re.compile(
    r"UV_((DEFAULT_|EXTRA_)?INDEX(_.*)?|FIND_LINKS|KEYRING_PROVIDER|CACHE_DIR|NATIVE_TLS|SYSTEM_CERTS"
    r"|INSECURE_HOST|HTTP_.*|REQUEST_TIMEOUT|CONCURRENT_DOWNLOADS|OFFLINE|CREDENTIALS_DIR)"
)
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@`'\"]*@")
_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How one run of uv ended; credentials in URLs are cut out of `stderr`."""

    exit_code: int
    stdout: str
    stderr: str

    def reason(self) -> str:
        """What uv says went wrong, as one line without uv's own marks."""
        lines = [
            line.strip().removeprefix("error: ").removeprefix("cause: ")
            for line in self.stderr.splitlines()
            if line.strip() and not line.lstrip().startswith(("warning:", "hint:"))
        ]
        return " ".join(lines).rstrip(".") or f"uv ended with exit code {self.exit_code}"


@contextmanager
def directory(files: Mapping[str, str]) -> Iterator[Path]:
    """A temporary directory that only this user can read.

    Args:
        files: relative path, already checked → content.
    """
    with tempfile.TemporaryDirectory(prefix="venvctl-uv-") as name:
        path = Path(name)
        for file, text in files.items():
            (path / file).parent.mkdir(parents=True, exist_ok=True)
            (path / file).write_text(text, encoding="utf-8")
        yield path


def run(
    arguments: Sequence[str], *, within: Path, environment: Mapping[str, str] | None = None
) -> Answer:
    """Run uv to its end.

    Args:
        arguments: what follows `uv`; they can be seen by other users, so no credentials.
        within: the working directory, so that no project's own configuration is found.
        environment: further variables, such as index URLs with their credentials.

    Raises:
        VenvctlError: uv is missing, or takes longer than five minutes.
    """
    variables = {
        name: value
        for name, value in os.environ.items()
        if name != "VIRTUAL_ENV" and (not name.startswith("UV_") or _KEPT.fullmatch(name))
    }
    try:
        done = subprocess.run(
            [
                uv.find_uv_bin(),
                *("--no-progress", "--color=never", "--no-python-downloads"),
                *arguments,
            ],
            cwd=within,
            # uv folds what it says to the width of a terminal that it is not speaking to
            env={**variables, "COLUMNS": "10000", **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise VenvctlError(
            "uv is not installed beside venvctl.",
            hint="Install venvctl again, with its dependencies.",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise VenvctlError(
            f"uv gave no answer in {_SECONDS} seconds.", hint="Check the index and the network."
        ) from error
    return Answer(
        exit_code=done.returncode,
        stdout=done.stdout.decode(errors="replace"),
        stderr=_CREDENTIALS.sub("", done.stderr.decode(errors="replace")),
    )
