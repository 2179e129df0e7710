"""For random packages, markers, tags and hashes, the selection is what uv installs."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import uv
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from index import LocalIndex
from interpreters import target
from venvctl import lockfiles, pins
from venvctl.errors import SelectionError, UnavailableError
from venvctl.indexes import IndexOptions
from venvctl.lockfiles import LockOptions
from venvctl.pins import PinStore
from venvctl.selection import select
from venvctl.settings import Settings
from wheelhouse import BuiltWheel, make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from venvctl.target import Target

LOCAL = ("127.0.0.1",)
TAGS = (
    *("py3-none-any", "py2.py3-none-any", "py311-none-any", "cp311-none-any", "py2-none-any"),
    *("cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-manylinux_2_28_x86_64"),
    *("cp311-cp311-manylinux2014_aarch64", "cp311-abi3-manylinux_2_17_aarch64"),
    *("cp38-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64", "cp311-cp311-manylinux_2_40_x86_64"),
    *("cp312-cp312-manylinux_2_17_x86_64", "cp312-none-manylinux_2_17_x86_64"),
    *("cp311-cp311-musllinux_1_1_x86_64", "cp312-abi3-musllinux_1_2_x86_64"),
    *("py3-none-manylinux_2_17_x86_64", "cp311-cp311-win_amd64", "cp311.cp312-none-any"),
)
MARKERS = (
    *("", "", "", "python_version < '3.12'", "python_version >= '3.12'", "sys_platform == 'win32'"),
    *("platform_machine == 'aarch64'", "python_full_version > '3.11.1' and os_name == 'posix'"),
    *("implementation_name == 'pypy'", "'linux' in sys_platform", "python_version in '3.11 3.13'"),
)
# Lower bounds alone: uv ignores all else (measured), which pip and the specification don't. And one
# for all files of a package: of several, uv looks at that of the file with the best tags alone.
PYTHONS = ("", "", ">=3.8", ">=3.12", ">=3.11.2", ">=3.11.8", ">=3")
# uv's word for a platform → the same as images have it.
PLATFORMS = {
    ("3.11.7", "x86_64-manylinux_2_36"): target("3.11.7"),
    ("3.12.3", "x86_64-manylinux_2_36"): target("3.12.3"),
    ("3.11.7", "aarch64-manylinux_2_36"): target("3.11.7", machine="aarch64"),
    ("3.11.7", "x86_64-unknown-linux-musl"): target("3.11.7", libc="musl-1.2"),
}
_numbers = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a lock: its marker, its wheels (build tag and tag), which of them are allowed.

    `python` is the Requires-Python of all.
    """

    marker: str
    wheels: list[tuple[str, str]]
    allowed: list[bool]
    python: str


lines = st.builds(
    Line,
    marker=st.sampled_from(MARKERS),
    wheels=st.lists(
        st.tuples(st.sampled_from(("", "", "1", "2", "10")), st.sampled_from(TAGS)),
        min_size=1,
        max_size=5,
        unique=True,
    ),
    allowed=st.lists(st.sampled_from((True, True, True, False)), min_size=5, max_size=5),
    python=st.sampled_from(PYTHONS),
)


@pytest.fixture(scope="module")
def index() -> Iterator[LocalIndex]:
    with LocalIndex() as running:
        yield running


@settings(
    max_examples=int(os.environ.get("VENVCTL_EXAMPLES", "25")),
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],  # shrinking would run uv for minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(content=st.lists(lines, min_size=1, max_size=4), platform=st.sampled_from(tuple(PLATFORMS)))
def test_the_selection_is_what_uv_installs(
    content: list[Line],
    platform: tuple[str, str],
    index: LocalIndex,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("like-uv")
    lock = folder / "requirements.txt"
    text = ""
    for line in content:
        # uv remembers an index's answers, so each example has packages of its own.
        name = f"p{next(_numbers)}"
        wheels = [publish(folder, index, name, *wheel, python=line.python) for wheel in line.wheels]
        hashes = [
            wheel.sha256 for wheel, allowed in zip(wheels, line.allowed, strict=False) if allowed
        ]
        text += f"{name}==1.0" + (f" ; {line.marker}" if line.marker else "")
        # A lock always has one hash: of a file that the index lost, at the worst.
        text += "".join(f" \\\n    --hash=sha256:{value}" for value in hashes or ["0" * 64]) + "\n"
    lock.write_text(text)
    assert selected(lock, index, PLATFORMS[platform]) == installed(lock, index, *platform)


def publish(
    folder: Path,
    index: LocalIndex,
    name: str,
    build: str,
    tag: str,
    requires: Sequence[str] = (),
    *,
    python: str = "",
) -> BuiltWheel:
    """A wheel that says which file it came from."""
    file = f"{build}-{tag}" if build else tag
    files = {f"{name}.origin": file}
    wheel = make_wheel(folder, name, tag=tag, build=build, files=files, requires=requires)
    index.add(wheel.path, requires_python=python)
    return wheel


def selected(lock: Path, index: LocalIndex, image: Target) -> dict[str, str] | None:
    """Package → build and tag of its file; None where the lock can't be had for the image."""
    read = lockfiles.read(lock, options=LockOptions(project=lock.parent))
    store = PinStore(lock.parent / "pins")
    options = IndexOptions(url=index.url, insecure_hosts=LOCAL)
    try:
        pylock = pins.resolve(read, image, store, transport=Settings().transport, index=options)
        selection = select(pylock, image, insecure_hosts=LOCAL)
    except (SelectionError, UnavailableError):
        return None
    return {
        file.name: file.file.removeprefix(f"{file.name}-1.0-").removesuffix(".whl")
        for file in selection.files
    }


def installed(lock: Path, index: LocalIndex, version: str, platform: str) -> dict[str, str] | None:
    """The same of what uv installs."""
    into = lock.parent / "installed"
    done = subprocess.run(
        [
            *(uv.find_uv_bin(), "pip", "install", "--no-deps", "--require-hashes", "--no-build"),
            *("--requirements", str(lock), "--target", str(into), "--default-index", index.url),
            *("--python", sys.executable, "--python-version", version),
            *("--python-platform", platform, "--no-config", "--quiet"),
        ],
        env={**os.environ, "UV_CACHE_DIR": str(lock.parent / "uv-cache")},
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        return None
    return {path.stem: path.read_text() for path in into.glob("*.origin")}
