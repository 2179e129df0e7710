"""The bench runs: every row and every curve, with little to do, and no word of how long it took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from index import LocalIndex
from wheelhouse import make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.engine

BENCH = Path(__file__).parents[2] / "bench"
TIMEOUT = 900  # seconds
# What starts with every interpreter, whoever asks it.
_SITE = {"_distutils_hack", "sitecustomize", "usercustomize"}
CHANGES = ("2.8", "2.9", "2.10", "3.2")
# Rows of the table → how many comparisons each is.
ROWS = {
    "nothing-changed": 2,
    "nothing-up": 1,
    "one-package": 5,
    "warm": 2,
    "cold": 2,
    "served": 9,
    "verified": 1,
    "hook": 1,
    "start": 3,
}


@pytest.fixture
def lists(tmp_path: Path, image_311: str) -> Iterator[tuple[Path, str]]:
    """A folder with lists of packages, and an index that has them."""
    assert image_311 == "venvctl-test/python:3.11"  # the bench's own
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "small.txt").write_text("idna==3.20\nrequests==1.0\n")
    (folder / "changing.txt").write_text("".join(f"idna=={version}\n" for version in CHANGES))
    with LocalIndex() as index:
        for version in (*CHANGES, "3.20"):
            index.add(make_wheel(tmp_path / "made", "idna", version).path)
        index.add(make_wheel(tmp_path / "made", "requests", "1.0").path)
        yield folder, index.url


def bench(folder: Path, index: str, *arguments: str) -> tuple[str, Path]:
    """Run it; the page, and the folder of the page and the numbers."""
    output = folder.parent / "output"
    process = subprocess.Popen(
        [
            sys.executable, str(BENCH), "--quick", "--size", "small", "--lists", str(folder),
            "--documents", str(output), "--measured", str(output), *arguments,
        ],
        env={**os.environ, "BENCH_INDEX": index, "BENCH_FOLDER": str(folder.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    try:
        said, _ = process.communicate(timeout=TIMEOUT)
    finally:
        process.terminate()  # it then takes its containers away
        process.wait()
    assert process.returncode == 0, said
    return (output / "benchmarks.md").read_text(), output


@pytest.mark.parametrize(
    "rows", ["nothing-changed,nothing-up,hook,start", "one-package,warm,cold,verified"]
)
def test_rows_are_measured_beside_their_peers(lists: tuple[Path, str], rows: str) -> None:
    page, output = bench(*lists, "--rows", rows, "--note", "A test.")

    measured = json.loads((output / "small.json").read_text())
    assert {name: len(found["rows"]) for name, found in measured.items()} == {
        name: ROWS[name] for name in rows.split(",")
    }
    for found in measured.values():
        for row in found["rows"]:
            assert all(took > 0 for took in (*row["ours"], *row["theirs"])), row
            assert f"| {row['what']} |" in page
            assert f"| {row['peer']} |" in page
    assert "A test." in page
    assert ET.parse(output / "benchmarks-small.svg").getroot().tag.endswith("svg")  # noqa: S314 - it is ours


def test_what_a_visitor_sees_is_measured(lists: tuple[Path, str]) -> None:
    page, output = bench(*lists, "--rows", "served")

    rows = json.loads((output / "small.json").read_text())["served"]["rows"]
    assert len(rows) == ROWS["served"]
    assert page.count("(`venvctl up --watch`)") == page.count("(`venvctl up`)") == 4
    assert "how long that container is away" in page


def test_curves_and_imports_are_measured(lists: tuple[Path, str]) -> None:
    page, output = bench(*lists, "--rows", "files,environments,generations,imports")

    curves = json.loads((output / "curves.json").read_text())
    assert set(curves) == {"files", "environments", "generations"}
    assert [curve["points"][-1][0] for curve in curves["files"].values()].count(200) == 16
    for name in curves:
        assert ET.parse(output / f"growth-{name}.svg").getroot().tag.endswith("svg")  # noqa: S314 - it is ours
    assert "| `venvctl sync`, nothing changed |" in page
    imports = json.loads((output / "imports.json").read_text())
    for command in ("`venvctl --version`", "`venvctl sync`, nothing changed"):
        assert {"standard library", "venvctl"} == set(imports[command]) - _SITE


def test_a_row_that_is_measured_again_leaves_the_others(lists: tuple[Path, str]) -> None:
    bench(*lists, "--rows", "hook")
    page, output = bench(*lists, "--rows", "imports")

    assert "`git commit` with venvctl's hook" in page
    assert list(json.loads((output / "small.json").read_text())) == ["hook"]


def test_a_row_that_does_not_exist_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH), "--rows", "colt"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.endswith("error: there is no row 'colt'\n")
