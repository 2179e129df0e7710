"""Who owns a path where wheels bring the same one, scripts included."""

from __future__ import annotations

from pathlib import Path

import pytest

from venvctl.arrangement import Conflict, arrange
from venvctl.errors import FileConflictError
from venvctl.manifest import EntryPoint, Manifest, ManifestFile
from venvctl.trees import Tree


def tree(
    name: str,
    *,
    files: tuple[str, ...] = (),
    points: tuple[tuple[str, str], ...] = (),
    raw: tuple[str, ...] = (),
) -> Tree:
    """A tree whose files all have their own content."""
    paths = [path.rpartition("/")[0] for path in files]
    manifest = Manifest(
        name=name,
        version="1.0",
        directories=tuple(path for path in paths if path),
        files=tuple(ManifestFile(path, name.ljust(64, "0"), 1, True) for path in files),  # noqa: FBT003 - a row
        raw_scripts=tuple(ManifestFile(path, name.ljust(64, "0"), 1, True) for path in raw),  # noqa: FBT003 - a row
        entry_points=tuple(
            EntryPoint(name=point, module=module, attribute="main", kind="console")
            for point, module in points
        ),
    )
    return Tree(path=Path("/trees") / name, manifest=manifest)


def test_two_entry_points_of_one_name_are_a_conflict_that_the_last_wins() -> None:
    found = arrange([tree("alpha", points=(("run", "a"),)), tree("beta", points=(("run", "b"),))])
    assert found.conflicts == (Conflict(path="bin/run", winner="beta", loser="alpha"),)
    assert found.scripts == {"bin/run": 1}


def test_equal_entry_points_are_none() -> None:
    found = arrange([tree("alpha", points=(("run", "x"),)), tree("beta", points=(("run", "x"),))])
    assert found.conflicts == ()


def test_a_later_file_wins_over_an_entry_point() -> None:
    found = arrange([tree("alpha", points=(("run", "a"),)), tree("beta", files=("bin/run",))])
    assert found.conflicts == (Conflict(path="bin/run", winner="beta", loser="alpha"),)
    assert found.scripts == {}
    assert [path for path, _ in found.links.items()] == ["bin/run"]


def test_a_later_script_wins_over_a_file() -> None:
    found = arrange([tree("alpha", files=("bin/run",)), tree("beta", raw=("run",))])
    assert found.conflicts == (Conflict(path="bin/run", winner="beta", loser="alpha"),)
    assert found.scripts == {"bin/run": 1}
    assert found.links == {}


def test_one_wheel_may_have_a_script_for_console_and_desktop() -> None:
    assert arrange([tree("alpha", points=(("run", "a"), ("run", "b")))]).conflicts == ()


@pytest.mark.parametrize("points", [(("run", "a"),), ()])
def test_a_script_where_another_wheel_has_a_folder_is_an_error(
    points: tuple[tuple[str, str], ...],
) -> None:
    raw = () if points else ("run",)
    with pytest.raises(FileConflictError) as caught:
        arrange([tree("alpha", points=points, raw=raw), tree("beta", files=("bin/run/x",))])
    assert caught.value.message == "alpha has a file where beta has a directory: bin/run."
