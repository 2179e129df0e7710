"""Builds a wheel from source; runs inside a container of the image that builds are made in.

    python -I -c SOURCE ORDER

ORDER is a JSON object: ``task`` (``describe`` or ``build``), ``archive`` (its name in /inputs, or
empty where the source is unpacked already), ``subdirectory``, ``archival``, ``arguments`` for uv,
and for ``build`` also ``requires``, ``backend`` and ``path`` of the build system. /inputs has the
program ``uv``, the archive, and the wheels that the build needs; it is only read. /work is scratch
that outlives this container, /output takes the wheel. Standard output gets one line behind MARK:
for ``describe`` what the source says of its build system, for a build that failed what else its
backend asks for. All that a backend prints goes to standard error. Works from Python 3.9 on, with
the standard library alone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib

MARK = "venvctl-build:"
UV = "/inputs/uv"
SOURCE = "/work/source"
# Asks a backend as PEP 517 has it done: in the source's folder, which is not importable itself.
HOOK = """\
import contextlib, importlib, json, os, sys
output = os.dup(1)
os.dup2(2, 1)
name, paths, mark = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
sys.path[:1] = [os.path.abspath(path) for path in paths]
module, _, attributes = name.partition(":")
backend = importlib.import_module(module)
for attribute in attributes.split(".") if attributes else ():
    backend = getattr(backend, attribute)
hook = getattr(backend, "get_requires_for_build_wheel", None)
sys.argv[:] = ["setup.py"]
found = json.dumps({"requires": [str(text) for text in hook()] if hook else []})
os.write(output, (mark + found + "\\n").encode())
"""


def unpack(archive: str) -> None:
    """Unpack an archive into SOURCE."""
    if archive.endswith(".zip"):
        with zipfile.ZipFile(archive) as source:
            source.extractall(SOURCE)  # noqa: S202 - nothing else can be written to in here
        return
    with tarfile.open(archive) as source:
        if hasattr(tarfile, "data_filter"):
            # "Source distribution archives" (PEP 721): use the data filter where there is one.
            source.extractall(SOURCE, filter="data")
        else:
            source.extractall(SOURCE)  # noqa: S202 - nothing else can be written to in here


def project(subdirectory: str) -> str:
    """The folder that is to be built: an archive has its files in one folder."""
    entries = os.listdir(SOURCE)
    folder = SOURCE
    if len(entries) == 1 and os.path.isdir(os.path.join(SOURCE, entries[0])):
        folder = os.path.join(SOURCE, entries[0])
    return os.path.join(folder, subdirectory) if subdirectory else folder


def prepare(archive: str, archival: str, subdirectory: str) -> str:
    """Have the source unpacked; says where the project is."""
    if not os.path.isdir(SOURCE):
        try:
            unpack("/inputs/" + archive)
        except (
            tarfile.TarError,
            zipfile.BadZipFile,
            OSError,
            EOFError,
            ValueError,
            zlib.error,
        ) as error:
            sys.exit("The archive can't be read: " + str(error).partition(":")[0])
    # setuptools-scm and hatch-vcs read the version from this file where they can't ask git.
    file = os.path.join(SOURCE, ".git_archival.txt")
    if archival and shutil.which("git") is None:
        with open(file, "w", encoding="utf-8") as stream:
            stream.write(archival)
    return project(subdirectory)


def describe(folder: str) -> None:
    """Print what the source says of its build system."""
    text = None
    path = os.path.join(folder, "pyproject.toml")
    if os.path.exists(path):
        with open(path, encoding="utf-8", errors="replace") as stream:
            text = stream.read()
    legacy = os.path.exists(os.path.join(folder, "setup.py"))
    sys.stdout.write(MARK + json.dumps({"pyproject": text, "legacy": legacy}) + "\n")


def environment() -> dict[str, str]:
    """The image's own environment without what would change what uv or the interpreter does."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("UV_", "PIP_", "PYTHON")) and name != "VIRTUAL_ENV"
    }
    os.makedirs("/work/tmp", exist_ok=True)
    return {
        **kept,
        "UV_CACHE_DIR": "/work/cache",
        "UV_PYTHON_DOWNLOADS": "never",
        "TMPDIR": "/work/tmp",  # /tmp is in memory, and small
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def main() -> int:
    """Do as ordered; ends with uv's own exit code."""
    order = json.loads(sys.argv[1])
    os.umask(0o022)
    folder = prepare(order["archive"], order["archival"], order["subdirectory"])
    if order["task"] == "describe":
        describe(folder)
        return 0
    settings = ["--no-config", "--no-progress", "--color=never", "--python", sys.executable]
    settings += order["arguments"]
    variables = environment()
    command = [UV, "build", "--wheel", "--no-sources", "--out-dir", "/output", *settings, folder]
    code = subprocess.call(command, env=variables, stdout=sys.stderr.fileno())
    if code and order["backend"]:
        needed = [f"--with={requirement}" for requirement in order["requires"]]
        question = ["python", "-c", HOOK, order["backend"], json.dumps(order["path"]), MARK]
        # Quiet, whatever comes of it: the build has said already why it failed.
        subprocess.call(
            [UV, "run", "--quiet", "--isolated", "--no-project", *needed, *settings, *question],
            env=variables,
            cwd=folder,
            stderr=subprocess.DEVNULL,
        )
    return code


sys.exit(main())
