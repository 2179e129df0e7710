"""Locks in which one value is of another type: read, or refused in one line that says where."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w

from interpreters import target
from venvctl import lockfiles, pins
from venvctl.errors import VenvctlError
from venvctl.lockfiles import LockOptions
from venvctl.pins import PinStore
from venvctl.selection import select

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

A = "a" * 64
COMMIT = "0123456789abcdef0123456789abcdef01234567"
WHEEL = "six-1.0-py3-none-any.whl"
URL = f"https://x.test/{WHEEL}"
WRONG: tuple[Any, ...] = (0, True, "", "x\ny", [], [1], {}, {"a": 1}, [{"a": 1}])

PYLOCK: dict[str, Any] = {
    "lock-version": "1.0",
    "created-by": "test",
    "environments": ["os_name == 'posix'"],
    "requires-python": ">=3.9",
    "extras": ["web"],
    "dependency-groups": ["dev"],
    "default-groups": ["dev"],
    "packages": [
        {
            "name": "six",
            "version": "1.0",
            "marker": "os_name == 'posix'",
            "requires-python": ">=3.9",
            "index": "https://x.test/simple",
            "dependencies": [{"name": "idna"}],
            "wheels": [{"name": WHEEL, "url": URL, "size": 3, "hashes": {"sha256": A}}],
            "sdist": {"path": "six-1.0.tar.gz", "hashes": {"sha256": A}},
        },
        {
            "name": "idna",
            "archive": {"url": "https://x.test/idna-1.0.zip", "hashes": {"sha256": A}},
        },
        {
            "name": "tool",
            "vcs": {
                "type": "git",
                "url": "https://x.test/t",
                "requested-revision": "main",
                "commit-id": COMMIT,
                "subdirectory": "py",
            },
        },
        {
            "name": "shop",
            "marker": "os_name == 'nt'",
            "directory": {"path": ".", "editable": True, "subdirectory": "x"},
        },
    ],
    "tool": {"x": 1},
}
POETRY: dict[str, Any] = {
    "package": [
        {
            "name": "six",
            "version": "1.0",
            "description": "",
            "optional": False,
            "python-versions": "*",
            "groups": ["main", "dev"],
            "markers": {"main": "os_name == 'posix'", "dev": "extra == 'web'"},
            "files": [{"file": "six-1.0.tar.gz", "hash": f"sha256:{A}"}],
            "dependencies": {"idna": {"version": ">=1", "optional": True, "markers": "x"}},
            "extras": {"a": ["idna"]},
            "source": {"type": "legacy", "url": "https://x.test/simple", "reference": "x"},
        },
        {
            "name": "tool",
            "version": "1.0",
            "groups": ["main"],
            "markers": "os_name == 'posix'",
            "files": [],
            "source": {
                "type": "git",
                "url": "https://x.test/t",
                "reference": "main",
                "resolved_reference": COMMIT,
                "subdirectory": "py",
            },
        },
        {
            "name": "idna",
            "version": "1.0",
            "groups": ["main"],
            "files": [{"file": "idna-1.0.zip", "hash": f"sha256:{A}"}],
            "source": {"type": "url", "url": "https://x.test/idna-1.0.zip"},
        },
    ],
    "extras": {"web": ["six"]},
    "metadata": {"lock-version": "2.1", "python-versions": ">=3.9", "content-hash": "x"},
}
POETRY_1 = {
    "package": [
        {
            "name": "six",
            "version": "1.0",
            "category": "main",
            "optional": False,
            "python-versions": "*",
            "dependencies": {
                "idna": [{"version": ">=1", "python": ">=3", "extras": ["a"], "platform": "linux"}],
                "toml": "^1",
            },
        },
        {"name": "idna", "version": "1.0"},
        {"name": "toml", "version": "1.0"},
    ],
    "metadata": {
        "lock-version": "1.1",
        "python-versions": "^3.9",
        "content-hash": "x",
        "files": {"six": [{"file": "six-1.0.tar.gz", "hash": f"sha256:{A}"}]},
    },
}
POETRY_PROJECT = {
    "tool": {
        "poetry": {
            "dependencies": {"python": "^3.9", "six": {"version": "*", "optional": False}},
            "dev-dependencies": {"idna": "*"},
            "group": {"docs": {"optional": True, "dependencies": {"toml": "*"}}},
            "extras": {"web": ["six"]},
        }
    },
    "project": {"name": "shop", "dependencies": ["toml>=1"]},
}
PDM: dict[str, Any] = {
    "metadata": {
        "groups": ["default", "dev"],
        "strategy": ["inherit_metadata"],
        "lock_version": "4.5.0",
        "content_hash": "sha256:x",
        "targets": [{"requires_python": ">=3.9"}],
    },
    "package": [
        {
            "name": "six",
            "version": "1.0",
            "extras": ["x"],
            "requires_python": ">=3",
            "groups": ["default"],
            "marker": "os_name == 'posix'",
            "dependencies": ["idna"],
            "files": [{"file": "six-1.0.tar.gz", "hash": f"sha256:{A}"}],
        },
        {
            "name": "idna",
            "version": "1.0",
            "groups": ["default"],
            "files": [{"url": "https://x.test/idna-1.0.tar.gz", "hash": f"sha256:{A}"}],
        },
        {
            "name": "tool",
            "version": "1.0",
            "groups": ["default"],
            "git": "https://x.test/t",
            "ref": "main",
            "revision": COMMIT,
            "subdirectory": "py",
        },
        {
            "name": "zipp",
            "version": "1.0",
            "groups": ["default"],
            "url": "https://x.test/zipp-1.0.zip",
            "files": [{"url": "https://x.test/zipp-1.0.zip", "hash": f"sha256:{A}"}],
        },
    ],
}
PDM_OLD: dict[str, Any] = {
    "metadata": {
        "lock_version": "4.1",
        "content_hash": "sha256:x",
        "files": {"six 1.0": [{"url": URL, "hash": f"sha256:{A}"}]},
    },
    "package": [
        {"name": "six", "version": "1.0", "dependencies": ["idna>=1 ; os_name == 'nt'"]},
        {"name": "idna", "version": "1.0"},
    ],
}
PDM_PROJECT = {
    "project": {
        "name": "shop",
        "dependencies": ["six"],
        "optional-dependencies": {"web": ["idna"]},
    },
    "dependency-groups": {"dev": ["idna", {"include-group": "test"}], "test": []},
    "tool": {
        "pdm": {
            "dev-dependencies": {"lint": ["six"]},
            "source": [
                {"name": "x", "url": "https://x.test/", "type": "index", "verify_ssl": False}
            ],
        }
    },
}
PIPFILE: dict[str, Any] = {
    "_meta": {
        "hash": {"sha256": "x"},
        "pipfile-spec": 6,
        "requires": {"python_version": "3.11", "python_full_version": "3.11.2"},
        "sources": [{"name": "x", "url": "https://x.test/simple", "verify_ssl": True}],
    },
    "default": {
        "six": {
            "hashes": [f"sha256:{A}"],
            "index": "x",
            "markers": "os_name == 'posix'",
            "version": "==1.0",
            "extras": ["a"],
        },
        "tool": {"git": "https://x.test/t", "ref": COMMIT, "subdirectory": "py"},
        "idna": {"file": "https://x.test/idna-1.0.zip", "hashes": [f"sha256:{A}"]},
        "shop": {"path": ".", "editable": True, "markers": "os_name == 'nt'"},
    },
    "develop": {"pytest": {"hashes": [f"sha256:{A}"], "version": "==1.0"}},
}
SAMPLES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "pylock": ("pylock.toml", PYLOCK, {}),
    "poetry": ("poetry.lock", POETRY, {}),
    "poetry 1": ("poetry.lock", POETRY_1, POETRY_PROJECT),
    "pdm": ("pdm.lock", PDM, PDM_PROJECT),
    "pdm 4.1": ("pdm.lock", PDM_OLD, PDM_PROJECT),
    "pipfile": ("Pipfile.lock", PIPFILE, {}),
}


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to every value in a document."""
    if above:
        yield above
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*above, key))


def with_value(document: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    inner: Any = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return changed


def without(document: dict[str, Any], place: tuple[Any, ...]) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    inner: Any = changed
    for key in place[:-1]:
        inner = inner[key]
    del inner[place[-1]]
    return changed


def outcome(folder: Path, name: str, lock: dict[str, Any], project: dict[str, Any]) -> str:
    """Read and select as a sync without an index would: "" or the error's message."""
    text = json.dumps(lock) if name == "Pipfile.lock" else tomli_w.dumps(lock)
    (folder / name).write_text(text, encoding="utf-8")
    if project:
        (folder / "pyproject.toml").write_text(tomli_w.dumps(project), encoding="utf-8")
    return chosen(folder, name)


def chosen(folder: Path, name: str) -> str:
    """The same of a lock that is there already."""
    image = target()
    try:
        read = lockfiles.read(folder / name, options=LockOptions(project=folder))
        found = pins.resolve(read, image, PinStore(folder / "pins"), transport=None)
        select(found, image, extras=read.extras, groups=read.groups, builds=True)
    except VenvctlError as error:
        return error.message
    return ""


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_samples_themselves_are_read(tmp_path: Path, sample: str) -> None:
    message = outcome(tmp_path, *SAMPLES[sample])
    assert message == "" or message.startswith("No file can be had for"), message


@pytest.mark.parametrize("sample", SAMPLES)
def test_byte_order_marks_and_line_ends_change_nothing(tmp_path: Path, sample: str) -> None:
    name, lock, project = SAMPLES[sample]
    plain = outcome(tmp_path, name, lock, project)
    text = (tmp_path / name).read_bytes()
    for path in tmp_path.glob("*.*"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert (tmp_path / name).read_bytes() != text
    assert chosen(tmp_path, name) == plain


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_value_of_another_type(tmp_path: Path, sample: str) -> None:
    name, lock, project = SAMPLES[sample]
    refused = 0
    for place in places(lock):
        for changed in (without(lock, place), *(with_value(lock, place, bad) for bad in WRONG)):
            message = outcome(tmp_path, name, changed, project)
            assert "\n" not in message, (place, message)
            refused += bool(message) and not message.startswith("No file can be had for")
    assert refused > 50


@pytest.mark.parametrize("sample", ["poetry 1", "pdm", "pdm 4.1"])
def test_every_value_of_the_project_of_another_type(tmp_path: Path, sample: str) -> None:
    name, lock, project = SAMPLES[sample]
    for place in places(project):
        for changed in (
            without(project, place),
            *(with_value(project, place, bad) for bad in WRONG),
        ):
            message = outcome(tmp_path, name, lock, changed)
            assert "\n" not in message, (place, message)
