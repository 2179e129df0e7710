"""For random locks of PEP 751 and of uv, with extras and groups, the selection is uv's."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import tomli_w
import uv
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from index import LocalIndex
from test_like_uv import LOCAL, MARKERS, PLATFORMS, TAGS, publish
from venvctl import lockfiles, pins
from venvctl.errors import VenvctlError
from venvctl.lockfiles import LockOptions
from venvctl.pins import PinStore
from venvctl.selection import select
from wheelhouse import make_sdist

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from venvctl.target import Target

# More of them: VENVCTL_EXAMPLES=500 make test ARGS="-k like_uv"
EXAMPLES = int(os.environ.get("VENVCTL_EXAMPLES", "12"))
WANTED = (
    *("", "", "", "'web' in extras", "'gui' in extras", "'dev' in dependency_groups"),
    *("'docs' in dependency_groups", "'web' in extras or 'dev' in dependency_groups"),
    *("'web' in extras and 'gui' not in extras", "'docs' not in dependency_groups"),
)
_numbers = itertools.count()
often = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],  # shrinking would run uv for minutes
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
    ],
)
extras = st.lists(st.sampled_from(("web", "gui")), unique=True)
groups = st.lists(st.sampled_from(("dev", "docs")), unique=True)
wheels = st.lists(
    st.tuples(st.sampled_from(("", "", "1", "2", "10")), st.sampled_from(TAGS)),
    min_size=1,
    max_size=4,
    unique=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A package: when it is needed, by its marker and what is asked for, and its wheels."""

    marker: str
    wanted: str
    wheels: list[tuple[str, str]]
    sdist: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """What a project, its extra or its group depends on."""

    owner: str
    marker: str
    wheels: list[tuple[str, str]]
    needs: bool  # the one before it
    universal: bool  # it has a wheel for any Python too


entries = st.builds(
    Entry,
    marker=st.sampled_from(MARKERS),
    wanted=st.sampled_from(WANTED),
    wheels=wheels,
    sdist=st.booleans(),
)
dependencies = st.builds(
    Dependency,
    owner=st.sampled_from(("", "", "web", "gui", "dev", "docs")),
    marker=st.sampled_from(MARKERS),
    wheels=wheels,
    needs=st.booleans(),
    universal=st.sampled_from((True, True, True, False)),
)


@pytest.fixture(scope="module")
def index() -> Iterator[LocalIndex]:
    with LocalIndex() as running:
        yield running


@often
@given(
    content=st.lists(entries, min_size=1, max_size=5),
    asked=st.tuples(extras, groups),
    platform=st.sampled_from(tuple(PLATFORMS)),
)
def test_of_a_lock_of_pep_751(
    content: list[Entry],
    asked: tuple[list[str], list[str]],
    platform: tuple[str, str],
    index: LocalIndex,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("pylock")
    lock = folder / "pylock.toml"
    packages = [package(folder, index, entry) for entry in content]
    document = {
        "lock-version": "1.0",
        "created-by": "test",
        "extras": ["gui", "web"],
        "dependency-groups": ["dev", "docs"],
        "default-groups": ["docs"],
        "packages": packages,
    }
    lock.write_text(tomli_w.dumps(document))
    options = LockOptions(project=folder, extras=tuple(asked[0]), groups=tuple(asked[1]))
    # To uv, groups that are named stand for the default ones; here they are added.
    arguments = ["--requirements", str(lock), "--preview-features", "pylock"]
    arguments += [f"--extra={name}" for name in asked[0]]
    arguments += [f"--group={name}" for name in sorted({"docs", *asked[1]})]
    assert selected(lock, options, PLATFORMS[platform]) == installed(folder, arguments, platform)


@often
@given(
    content=st.lists(dependencies, min_size=1, max_size=6),
    asked=st.tuples(extras, groups),
    platform=st.sampled_from(tuple(PLATFORMS)),
)
def test_of_a_lock_of_uv(
    content: list[Dependency],
    asked: tuple[list[str], list[str]],
    platform: tuple[str, str],
    index: LocalIndex,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("uv")
    names = [f"q{next(_numbers)}" for _ in content]
    owned: dict[str, list[str]] = {owner: [] for owner in ("", "web", "gui", "dev", "docs")}
    for position, (name, dependency) in enumerate(zip(names, content, strict=True)):
        requires = names[position - 1 : position] if dependency.needs else []
        universal = [("", "py3-none-any")] if dependency.universal else []
        for build, tag in dict.fromkeys([*dependency.wheels, *universal]):
            publish(folder, index, name, build, tag, requires=requires)
        owned[dependency.owner].append(
            name + (f" ; {dependency.marker}" if dependency.marker else "")
        )
    project = {
        "project": {
            "name": "shop",
            "version": "1",
            "requires-python": ">=3.11",
            "dependencies": owned[""],
            "optional-dependencies": {"web": owned["web"], "gui": owned["gui"]},
        },
        "dependency-groups": {"dev": owned["dev"], "docs": owned["docs"]},
    }
    (folder / "pyproject.toml").write_text(tomli_w.dumps(project))
    # uv locks nothing that a required environment has no file for.
    assume(run(["lock", "--default-index", index.url], folder) == 0)
    options = LockOptions(project=folder, extras=tuple(asked[0]), groups=tuple(asked[1]))
    exported = run(
        [
            *("export", "--frozen", "--no-emit-workspace", "--no-default-groups"),
            *(f"--extra={name}" for name in asked[0]),
            *(f"--group={name}" for name in asked[1]),
            *("--output-file", "export.txt"),
        ],
        folder,
        check=True,
    )
    assert exported == 0
    arguments = ["--requirements", str(folder / "export.txt"), "--default-index", index.url]
    found = selected(folder / "uv.lock", options, PLATFORMS[platform])
    assert found == installed(folder, arguments, platform)


def package(folder: Path, index: LocalIndex, entry: Entry) -> dict[str, object]:
    """One package of a lock of PEP 751."""
    name = f"r{next(_numbers)}"
    built = [publish(folder, index, name, build, tag) for build, tag in entry.wheels]
    parts = [f"({part})" for part in (entry.marker, entry.wanted) if part]
    found: dict[str, object] = {
        "name": name,
        "version": "1.0",
        "wheels": [
            {
                "name": wheel.file,
                "url": index.file_url(wheel.file),
                "hashes": {"sha256": wheel.sha256},
            }
            for wheel in built
        ],
    }
    if parts:
        found["marker"] = " and ".join(parts)
    if entry.sdist:
        path = make_sdist(folder, name)
        index.add(path)
        found["sdist"] = {
            "name": path.name,
            "url": index.file_url(path.name),
            "hashes": {"sha256": "0" * 64},
        }
    return found


def selected(lock: Path, options: LockOptions, image: Target) -> dict[str, str] | None:
    """Package → build and tag of its wheel; None where the lock can't be had for the image."""
    try:
        read = lockfiles.read(lock, options=options)
        pylock = pins.resolve(read, image, PinStore(lock.parent / "pins"), transport=None)
        selection = select(
            pylock, image, extras=read.extras, groups=read.groups, insecure_hosts=LOCAL
        )
    except VenvctlError:
        return None
    return {
        file.name: file.file.removeprefix(f"{file.name}-1.0-").removesuffix(".whl")
        for file in selection.files
    }


def installed(
    folder: Path, arguments: list[str], platform: tuple[str, str]
) -> dict[str, str] | None:
    """The same of what uv installs, without building anything."""
    into = folder / "installed"
    done = run(
        [
            *("pip", "install", "--no-deps", "--no-build", *arguments, "--target", str(into)),
            *("--python", sys.executable, "--python-version", platform[0]),
            *("--python-platform", platform[1]),
        ],
        folder,
    )
    return {path.stem: path.read_text() for path in into.glob("*.origin")} if done == 0 else None


def run(arguments: list[str], folder: Path, *, check: bool = False) -> int:
    """How uv ends."""
    return subprocess.run(
        [uv.find_uv_bin(), *arguments, "--no-config", "--quiet", "--no-python-downloads"],
        cwd=folder,
        env={**os.environ, "UV_CACHE_DIR": str(folder / "uv-cache")},
        capture_output=True,
        check=check,
    ).returncode
