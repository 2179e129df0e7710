"""For random packages, what `sync` warns of is what `uv pip check` complains of."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import uv
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from interpreters import target
from venvctl.dependencies import conflicts
from venvctl.manifest import Manifest

if TYPE_CHECKING:
    from pathlib import Path

    from venvctl.target import Target

NAMES = ("alpha", "beta", "gamma-Ray", "delta.x")
VERSIONS = ("1.0", "1.5.post1", "2.0rc1", "2.0", "2.0+local", "1!0.5", "2.0.dev3")
SPECIFIERS = (
    *("", ">=1", ">1.0", "<2", "<2.0", "~=1.0", "==2.0", "==2.0.*", "!=2.0", "===2.0"),
    *(">=2.0rc1", "<=2.0", ">=1,<2", "==2.0+local", ">=1!0", " (>=2)"),
)
MARKERS = (
    *("", "", "", "python_version < '3.12'", "python_version >= '3.12'", "extra == 'fast'"),
    *("sys_platform == 'win32'", "platform_machine == 'aarch64'", "os_name == 'posix'"),
    *("extra == 'fast' or python_version >= '3.8'", "python_full_version == '3.13.1'"),
    *("implementation_name == 'cpython' and 'linux' in sys_platform",),
)
# With lower bounds alone: `uv pip check` ignores the others, which uv and pip honour on installing.
PYTHONS = ("", "", "", ">=3.8", ">=3.12", ">=3.8,<4", ">=3.13.2")
# uv's words for a target → the same as an image has it.
TARGETS = {
    ("3.11.7", "x86_64-manylinux_2_36"): target("3.11.7"),
    ("3.13.1", "x86_64-manylinux_2_36"): target("3.13.1"),
    ("3.12.3", "aarch64-manylinux_2_36"): target("3.12.3", machine="aarch64"),
}

requirements = st.builds(
    lambda name, extra, specifier, marker: (
        f"{name}{extra}{specifier}" + (f" ; {marker}" if marker else "")
    ),
    name=st.sampled_from((*NAMES, "Gamma_ray", "nobody")),
    extra=st.sampled_from(("", "", "[fast]")),
    specifier=st.sampled_from(SPECIFIERS),
    marker=st.sampled_from(MARKERS),
)
packages = st.fixed_dictionaries(
    {},
    optional={
        name: st.tuples(
            st.sampled_from(VERSIONS),
            st.lists(requirements, max_size=3),
            st.sampled_from(PYTHONS),
        )
        for name in NAMES
    },
)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with nothing in it."""
    folder = tmp_path_factory.mktemp("checked") / "venv"
    subprocess.run(
        [uv.find_uv_bin(), "venv", "--quiet", "--python", sys.executable, str(folder)], check=True
    )
    return folder / "bin/python"


@settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],  # shrinking would run uv for minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(installed=packages, place=st.sampled_from(tuple(TARGETS)))
def test_the_warnings_are_what_uv_complains_of(
    installed: dict[str, tuple[str, list[str], str]], place: tuple[str, str], python: Path
) -> None:
    (site,) = python.parents[1].glob("lib/python*/site-packages")
    for old in site.glob("*.dist-info"):
        shutil.rmtree(old)
    manifests = []
    for name, (version, requires, requires_python) in installed.items():
        folder = site / f"{re.sub(r'[-_.]+', '_', name).lower()}-{version}.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in requires]
        lines += ["Provides-Extra: fast"]
        lines += [f"Requires-Python: {requires_python}"] if requires_python else []
        (folder / "METADATA").write_text("\n".join(lines) + "\n")
        (folder / "WHEEL").write_text("Wheel-Version: 1.0\nTag: py3-none-any\n")
        (folder / "RECORD").write_text("")
        manifests.append(
            Manifest(
                name=name,
                version=version,
                directories=(),
                files=(),
                requires_dist=tuple(requires),
                requires_python=requires_python,
            )
        )
    assert warned(manifests, TARGETS[place]) == complained(python, *place)


def warned(manifests: list[Manifest], image: Target) -> set[tuple[str, str, str]]:
    """Package, what it requires, and what is there ("" for nothing, and where that is Python)."""
    found = set()
    for sentence in conflicts(manifests, image):
        match = re.fullmatch(
            r"(\S+) \S+ requires (Python|[\w.-]+).*?"
            r"(?:, not \S+|, and the lock has (?P<version>\S+)|(, which is not in .*))",
            sentence,
        )
        assert match, sentence
        found.add((normal(match[1]), normal(match[2]), match["version"] or ""))
    return found


def complained(python: Path, version: str, platform: str) -> set[tuple[str, str, str]]:
    """The same of uv."""
    done = subprocess.run(
        [
            *(uv.find_uv_bin(), "pip", "check", "--python", str(python), "--no-config"),
            *("--python-version", version, "--python-platform", platform, "--color=never"),
        ],
        env={**os.environ, "COLUMNS": "1000"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = set()
    for line in done.stderr.splitlines():
        match = re.fullmatch(
            r"The package `(.+?)` requires (Python|`[\w.-]+).*?, but (it's not|`(.+?)` is) "
            r"installed",
            line,
        )
        if match:
            # Of Python it names the interpreter that is there, not the one that was asked for.
            there = "" if match[2] == "Python" else match[4] or ""
            found.add((normal(match[1]), normal(match[2].strip("`")), there))
        else:
            assert not line.startswith("The package"), line
    assert done.returncode == (1 if found else 0), done.stderr
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
