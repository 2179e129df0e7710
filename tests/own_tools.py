"""Other tools' answers to what a lock means: exports, and the files that pip and uv would take."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import uv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from venvctl.lockfiles import LockOptions
    from venvctl.target import Target

PIP = "pip==26.3"  # its finder is not an interface: another version may need another script
# A line that names a URL or a repository, with the lines that go on with it.
_DIRECT = re.compile(r"^(?:\S+ @ |[\w+.-]+://)(?:.*\\\n)*.*$", re.MULTILINE)
_MAIN = "main"
# What a tool may want to see beside the lock; nothing else is copied.
_BESIDE = ("pyproject.toml", "poetry.toml", "pdm.toml", "Pipfile", "README*", "LICENSE*")


class ExportError(Exception):
    """The lock's own tool can't be run, or refuses the lock."""


def export(lock: Path, options: LockOptions, folder: Path) -> Path:
    """What a lock's own tool exports from it, as a requirements file with hashes.

    A pylock.toml and a requirements file need no export: they are returned as they are.

    Args:
        lock: the lock; its tool sees a copy of it and of its project file, except for uv.
        options: format, extras, groups and package.
        folder: a directory for the copy and the export.

    Raises:
        ExportError: the tool can't be run, or refuses.
    """
    if options.format in {"pylock", "requirements"}:
        return lock
    if options.format == "uv":
        work = lock.parent
    else:
        work = folder / "project"
        work.mkdir()
        shutil.copy(lock, work / lock.name)
        for pattern in _BESIDE:
            for path in lock.parent.glob(pattern):
                if path.is_file():
                    shutil.copy(path, work)
    text = _run(_command(options), work)
    exported = folder / "export.txt"
    # uv and pdm name the project itself, and pipenv warns among the lines.
    exported.write_text(text, encoding="utf-8")
    return exported


def _command(options: LockOptions) -> list[str]:
    binary = uv.find_uv_bin()
    tool = [binary, "tool", "run", "--quiet", "--no-config"]
    if options.format == "uv":
        return [
            *(binary, "export", "--frozen", "--no-emit-workspace", "--no-default-groups"),
            *("--no-header", "--no-annotate", "--quiet"),
            *(f"--extra={extra}" for extra in options.extras),
            *(f"--group={group}" for group in options.groups),
            *([f"--package={options.package}"] if options.package else []),
        ]
    if options.format == "poetry":
        groups = ",".join([_MAIN, *options.groups])
        return [
            *(*tool, "--with", "poetry-plugin-export", "poetry", "export", "--no-ansi"),
            *("--format", "requirements.txt", "--only", groups),
            *(f"--extras={extra}" for extra in options.extras),
        ]
    if options.format == "pdm":
        return [
            *(*tool, "pdm", "export", "--format", "requirements"),
            # Groups here are PDM's development groups, which it refuses beside `--prod`.
            *([] if options.groups else ["--prod"]),
            *(f"--group={name}" for name in (*options.extras, *options.groups)),
        ]
    categories = ["default", *options.groups]
    return [
        *(*tool, "pipenv", "requirements", "--hash", "--categories", ",".join(categories)),
    ]


def _run(command: Sequence[str], work: Path) -> str:
    done = subprocess.run(
        command,
        cwd=work,
        env={
            **{name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"},
            "PIPENV_IGNORE_VIRTUALENVS": "1",
            "PDM_IGNORE_SAVED_PYTHON": "1",
            "COLUMNS": "1000",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode != 0:
        raise ExportError(
            f"{' '.join(command[1:8])} … ended in {done.returncode}:\n{done.stderr[-1500:]}"
        )
    return done.stdout


def pip_choice(
    lock: Path, options: LockOptions, targets: Mapping[str, Target]
) -> Mapping[str, Mapping[str, str]]:
    """What pip would take: target → package → file name or commit; see `pip_choice.py`."""
    asked = {
        "lock": str(lock),
        "pylock": options.format == "pylock",
        "extras": options.extras,
        "groups": options.groups,
        "targets": {
            name: {
                "tags": image.tags,
                "environment": image.marker_environment(),
                "version": image.version,
            }
            for name, image in targets.items()
        },
    }
    done = subprocess.run(
        [
            *(uv.find_uv_bin(), "run", "--quiet", "--no-config", "--no-project", "--isolated"),
            *("--with", PIP, "python", str(Path(__file__).with_name("pip_choice.py"))),
        ],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, dict[str, str]] = json.loads(done.stdout)
    return found


def uv_choice(
    lock: Path, options: LockOptions, targets: Mapping[str, Target], folder: Path
) -> Mapping[str, Mapping[str, str]]:
    """What uv would take of a requirements file, of the targets that it has a word for.

    What comes from a repository or a URL is left out: uv would fetch it.
    """
    if options.format == "pylock":
        return {}
    text = lock.read_text(encoding="utf-8", errors="replace")
    if _DIRECT.search(text):
        lock = folder / "from-indexes.txt"
        lock.write_text(_DIRECT.sub("", text), encoding="utf-8")
    return {
        name: _uv_choice(lock, image)
        for name, image in targets.items()
        if not image.cache_tag.endswith("t")
    }


def _uv_choice(lock: Path, image: Target) -> Mapping[str, str]:
    machine = image.markers["platform_machine"]
    musl = any("musllinux" in tag for tag in image.tags)
    platform = f"{machine}-unknown-linux-musl" if musl else f"{machine}-manylinux_2_36"
    done = subprocess.run(
        [
            *(uv.find_uv_bin(), "pip", "install", "--dry-run", "--verbose", "--no-deps"),
            *("--no-config", "--color=never", "--index-strategy", "unsafe-best-match"),
            *("--requirements", str(lock), "--target", str(lock.parent / "nowhere")),
            *("--python-version", image.version, "--python-platform", platform),
        ],
        env={**os.environ, "RUST_LOG": "uv_resolver=debug,uv_distribution=off"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode != 0:
        lines = [
            line for line in done.stderr.splitlines() if not line.startswith(("DEBUG", "TRACE"))
        ]
        return {"error": " ".join(" ".join(lines).split())[:500]}
    return {
        match[1]: match[2]
        for match in re.finditer(
            r"Selecting: (\S+)==\S+ \[\w+\] \((.+)\)$", done.stderr, re.MULTILINE
        )
    }
