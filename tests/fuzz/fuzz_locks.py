"""Locks of every format, as bytes."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, cast

from fuzzing import PART, PYTHON, BrokenInvariantError, Place, Target, check_error
from venvctl import lockfiles, pins
from venvctl.errors import LockError, VenvctlError
from venvctl.lockfiles import FORMATS, LockOptions
from venvctl.selection import select

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NEXT = PART.decode()
_LOCK_NAMES = {
    "pylock": "pylock.toml",
    "uv": "uv.lock",
    "requirements": "requirements.txt",
    "poetry": "poetry.lock",
    "pdm": "pdm.lock",
    "pipfile": "Pipfile.lock",
}


def _read_lock(format_: str, data: bytes, place: Place) -> None:
    """A lock, and behind a `PART` the pyproject.toml beside it."""
    folder = cast("Path", place.once("project", lambda path: path))
    content, _, project = data.partition(PART)
    files = {_LOCK_NAMES[format_]: content, "pyproject.toml": project, "other.txt": project}
    for name in ("pyproject.toml", "other.txt"):
        (folder / name).touch()

    def read(path: Path) -> bytes:
        if path.parent != folder or path.name not in files:
            raise LockError(f"The lockfile {path} does not exist.")
        return files[path.name]

    try:
        lock = lockfiles.read(
            folder / _LOCK_NAMES[format_],
            options=LockOptions(project=folder, format=format_),
            read_bytes=read,
        )
        pins._applicable(lock, PYTHON)
        selection = select(
            lock.pylock, PYTHON, extras=lock.extras, groups=lock.groups or (), builds=True
        )
    except VenvctlError as error:
        check_error(error)
        return
    for file in selection.files:
        if "/" in file.file or file.file in {".", ".."} or "\0" in file.file:
            raise BrokenInvariantError(f"{file.file!r} is a file's name")


_DIGEST = "a" * 64
_HOST = "https://index.test"


def _lock_seeds(format_: str) -> Iterator[bytes]:
    yield from (text.encode() for text in _LOCKS[format_])


_LOCKS: dict[str, tuple[str, ...]] = {
    "pylock": (
        (
            'lock-version = "1.0"\ncreated-by = "x"\nrequires-python = ">=3.8"\n'
            'extras = ["e"]\ndependency-groups = ["g"]\ndefault-groups = ["g"]\n'
            "environments = [\"sys_platform == 'linux'\"]\n"
            '[[packages]]\nname = "alpha"\nversion = "1.0"\nmarker = "python_version > \'3\'"\n'
            f'[[packages.wheels]]\nurl = "{_HOST}/alpha-1.0-py3-none-any.whl"\nsize = 9\n'
            f'hashes = {{sha256 = "{_DIGEST}"}}\n'
            f'[packages.sdist]\nname = "alpha-1.0.tar.gz"\nurl = "{_HOST}/alpha-1.0.tar.gz"\n'
            f'hashes = {{sha256 = "{_DIGEST}"}}\n'
        ),
        (
            'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "beta"\n'
            f'[packages.vcs]\ntype = "git"\nurl = "{_HOST}/b.git"\ncommit-id = "{"b" * 40}"\n'
            '[[packages]]\nname = "gamma"\n[packages.archive]\npath = "./gamma-1.tar.gz"\n'
            f'hashes = {{sha256 = "{_DIGEST}"}}\n'
        ),
    ),
    "uv": (
        (
            'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n\n'
            '[[package]]\nname = "alpha"\nversion = "1.0"\n'
            f'source = {{ registry = "{_HOST}/simple" }}\n'
            f'wheels = [\n    {{ url = "{_HOST}/alpha-1.0-py3-none-any.whl",'
            f' hash = "sha256:{_DIGEST}", size = 9 }},\n]\n\n'
            '[[package]]\nname = "shop"\nversion = "0"\nsource = { virtual = "." }\n'
            'dependencies = [\n    { name = "alpha" },\n]\n\n'
            '[package.metadata]\nrequires-dist = [{ name = "alpha" }]\n'
        ),
    ),
    "requirements": (
        (
            f"-i {_HOST}/simple --trusted-host index.test\n-r other.txt\n-c other.txt\n"
            f"alpha[x]==1.0 ; python_version > '3' \\\n    --hash=sha256:{_DIGEST}\n# a comment\n"
            f"beta @ {_HOST}/beta-1.0-py3-none-any.whl#sha256={_DIGEST}\n"
            f"gamma @ git+{_HOST}/c.git@{'b' * 40}#subdirectory=d\n"
            f"--no-binary :all:\n--find-links ./wheels\n{_NEXT}"
            f"delta==1.0 --hash=sha256:{_DIGEST}"
        ),
        "\ufeffalpha==1.0\n",
        "# -*- coding: latin-1 -*-\nalpha===1.0",
    ),
    "poetry": (
        (
            '[[package]]\nname = "alpha"\nversion = "1.0"\noptional = false\n'
            'python-versions = "*"\n'
            f'groups = ["main", "dev"]\nfiles = [{{file = "a", hash = "sha256:{_DIGEST}"}}]\n'
            'markers = {main = "python_version > \'3\' and extra == \\"x\\""}\n'
            '[package.dependencies]\nbeta = [{version = "^1.2", markers = "os_name == \'posix\'"},'
            ' {version = "~1", optional = true}]\n[package.source]\ntype = "legacy"\n'
            f'url = "{_HOST}/simple"\nreference = "r"\n[extras]\nx = ["alpha"]\n[metadata]\n'
            'lock-version = "2.1"\npython-versions = "^3.8 || >=2.7,<3.0"\ncontent-hash = "c"\n'
        ),
        (
            '[[package]]\nname = "alpha"\nversion = "1.0"\n[package.dependencies]\nbeta = "*"\n'
            '[[package]]\nname = "beta"\nversion = "2.0"\n'
            f'[package.source]\ntype = "git"\nurl = "{_HOST}"\nresolved_reference = "{"b" * 40}"\n'
            '[metadata]\nlock-version = "1.1"\npython-versions = "*"\ncontent-hash = "c"\n'
            f'[metadata.files]\nalpha = [{{file = "a", hash = "sha256:{_DIGEST}"}}]\n{_NEXT}'
            '[tool.poetry.dependencies]\npython = "^3.8"\nalpha = "^1.0"\n[tool.poetry.extras]\n'
            'x = ["alpha"]\n'
        ),
    ),
    "pdm": (
        (
            '[metadata]\ngroups = ["default", "dev"]\nstrategy = ["inherit_metadata"]\n'
            'lock_version = "4.5.0"\ncontent_hash = "sha256:c"\n'
            '[[metadata.targets]]\nrequires_python = ">=3.8"\n'
            '[[package]]\nname = "alpha"\nversion = "1.0"\ngroups = ["default"]\n'
            f'marker = "os_name == \'posix\'"\nfiles = [{{file = "a", hash = "sha256:{_DIGEST}"}},'
            f' {{url = "{_HOST}/alpha-1.0-py3-none-any.whl", hash = "sha256:{_DIGEST}"}}]\n'
        ),
        (
            '[metadata]\ngroups = ["default"]\nstrategy = []\nlock_version = "4.5.0"\n'
            'content_hash = "c"\n[[package]]\nname = "alpha"\nversion = "1.0"\n'
            f"dependencies = [\"beta>1; os_name == 'posix'\"]\n{_NEXT}"
            '[project]\nname = "p"\ndependencies = ["alpha"]\n[tool.pdm]\n'
        ),
    ),
    "pipfile": (
        json.dumps(
            {
                "_meta": {
                    "hash": {"sha256": _DIGEST},
                    "pipfile-spec": 6,
                    "requires": {"python_version": "3.11"},
                    "sources": [{"name": "i", "url": f"{_HOST}/simple", "verify_ssl": True}],
                },
                "default": {
                    "alpha": {
                        "hashes": [f"sha256:{_DIGEST}"],
                        "version": "==1.0",
                        "index": "i",
                        "markers": "python_version >= '3'",
                    },
                    "beta": {"git": _HOST, "ref": "b" * 40},
                    "gamma": {"file": f"{_HOST}/gamma-1.0.tar.gz", "hashes": []},
                },
                "develop": {},
            },
            indent=1,
        ),
    ),
}
TOML_WORDS = (
    b'lock-version = "1.0"',
    b"[[packages]]",
    b"[[package]]",
    b'version = "1.0"',
    b"name = ",
    b"markers",
    b"1" * 5000,
    b"../",
    b"file:///",
    b"http://[",
    b"(" * 300,
    b"a." * 300,
    b"[" * 2000,
    b"python_version",
    b" and ",
    b"extra == ",
    b"sha256:",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x00",
    b"\\u0000",
    b"nan",
    b"1979-05-27T07:32:00Z",
    b"{}",
    b"[]",
    b"true",
    b"-1",
    b"\xe2\x80\xa8",
    b"git+ssh://",
    b"os_name ~= 'x'",
    b"in python_version",
)
_LOCK_WORDS = {
    "requirements": (
        *(b"-r ", b"-c ", b"-e ", b"--hash=sha256:", b"${HOME}", b"coding: utf-7", b"\\\n", b"#"),
        *(b"coding: base64", b"coding: punycode", b"coding: undefined", b"coding: idna"),
    ),
}

TARGETS = {
    f"lock_{name}": Target(
        run=partial(_read_lock, name),
        seeds=partial(_lock_seeds, name),
        words=(*TOML_WORDS, *_LOCK_WORDS.get(name, ()), PART),
    )
    for name in FORMATS
}
