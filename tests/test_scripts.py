"""What a wheel puts into ``bin`` runs with the environment's interpreter, wherever that is."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from estate import SITE, Estate
from venvctl import activators, scripts

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    return Estate(folder=tmp_path)


def test_an_entry_point_runs_what_it_names(estate: Estate) -> None:
    wheel = estate.wheel(
        "alpha",
        files={
            "alpha/__init__.py": (
                "import sys\nclass Tool:\n    @staticmethod\n    def main():\n"
                "        print(sys.argv)\n        return 3\n"
            )
        },
        entry_points=(
            "[console_scripts]\nalpha-tool = alpha:Tool.main\n"
            "[gui_scripts]\nalpha-window = alpha:Tool.main\n"
        ),
    )
    generation = estate.add("shop", "a", wheel)

    for name in ("alpha-tool", "alpha-window"):
        script = generation.path / "bin" / name
        assert script.read_bytes().startswith(b"#!/venv/bin/python\n")
        # There is no /venv here: the interpreter is named instead.
        done = subprocess.run(
            [sys.executable, script, "argument"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(generation.path / SITE)},
        )
        assert (done.stdout, done.returncode) == (f"['{script}', 'argument']\n", 3)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (b"#!python\nprint()\n", b"#!/venv/bin/python\nprint()\n"),
        (b"#!pythonw\nprint()\n", b"#!/venv/bin/python\nprint()\n"),
        (b"#!python -u\r\nprint()\r\n", b"#!/venv/bin/python\nprint()\r\n"),
        (b"#!python", b"#!/venv/bin/python"),
        (b"#!/bin/sh\necho\n", b"#!/bin/sh\necho\n"),
        (b"\x7fELF\x00", b"\x7fELF\x00"),
    ],
)
def test_a_script_s_first_line_names_the_environment_s_interpreter(
    estate: Estate, source: bytes, expected: bytes
) -> None:
    wheel = estate.wheel("alpha", files={"alpha-1.0.data/scripts/tool": source})

    generation = estate.add("shop", "a", wheel)

    assert (generation.path / "bin/tool").read_bytes() == expected
    assert os.access(generation.path / "bin/tool", os.X_OK)


def test_the_pin_names_its_own_generation_and_is_first_and_last() -> None:
    files = dict(scripts.pin(mount="/opt/venv", generation="/opt/venv/.venvctl/generations/1-a"))

    assert sorted(["alpha.pth", "_early.pth", *files]) == [
        "!venvctl.pth", "_early.pth", "_venvctl_pin.py", "alpha.pth", "~venvctl.pth",
    ]  # fmt: skip
    assert files["!venvctl.pth"] == files["~venvctl.pth"]
    assert files["!venvctl.pth"] == b"import _venvctl_pin; _venvctl_pin.pin()\n"
    module = files["_venvctl_pin.py"].decode()
    assert 'MOUNT = "/opt/venv"\n' in module
    assert 'GENERATION = "/opt/venv/.venvctl/generations/1-a"\n' in module
    assert "@" not in module
    compile(module, "_venvctl_pin.py", "exec")


def test_every_activator_speaks_of_the_mount() -> None:
    files = dict(activators.generate("/opt/venv"))

    assert sorted(files) == ["activate", "activate.csh", "activate.fish"]
    for text in files.values():
        assert b"/opt/venv" in text
        assert b"@" not in text


def test_activate_sets_what_it_says_and_deactivate_takes_it_back() -> None:
    text = dict(activators.generate("/opt/venv"))["activate"].decode()
    program = (
        f"{text}\necho $PATH $VIRTUAL_ENV ${{PYTHONHOME-unset}}\ndeactivate\n"
        "echo $PATH ${VIRTUAL_ENV-unset} $PYTHONHOME\n"
        "if command -v deactivate; then exit 9; fi\n"
    )
    done = subprocess.run(
        ["/bin/sh", "-euc", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONHOME": "/usr"},
    )
    assert done.stdout.splitlines() == [
        "/opt/venv/bin:/usr/bin:/bin /opt/venv unset",
        "/usr/bin:/bin unset /usr",
    ]
