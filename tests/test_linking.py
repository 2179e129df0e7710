"""Thousands of links are made by several threads at once, and are as if one had made them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from venvctl import linking
from venvctl.arrangement import arrange
from venvctl.linking import LinkedDirectory
from venvctl.manifest import Manifest, ManifestFile
from venvctl.trees import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator

# Enough for each thread to have a part, in four levels of directories.
FOLDERS = tuple(
    f"lib/{top}/{middle}/{last}"
    for top in range(10)
    for middle in range(10)
    for last in range(linking._FEW // 50)
)


@pytest.fixture(params=[0o022, 0o077, 0o000], ids=oct)
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def make_tree(folder: Path, name: str, content: str = "") -> Tree:
    """A tree with two files in each of the folders."""
    directories = {str(parent) for path in FOLDERS for parent in [Path(path), *Path(path).parents]}
    directories -= {"."}
    paths = [f"{path}/{file}" for path in FOLDERS for file in (f"{name}.py", "shared.py")]
    for directory in sorted(directories):
        (folder / "prefix" / directory).mkdir(parents=True, exist_ok=True)
    for path in paths:
        (folder / "prefix" / path).write_text(content + path)
    return Tree(
        path=folder,
        manifest=Manifest(
            name=name,
            version="1",
            directories=tuple(sorted(directories)),
            files=tuple(ManifestFile(path, content + path, 1, False) for path in paths),  # noqa: FBT003 - a row
        ),
    )


def place(into: Path, *trees: Tree) -> LinkedDirectory:
    into.mkdir()
    links = LinkedDirectory(into)
    links.place(trees, arrange(trees))
    return links


@pytest.mark.usefixtures("_umask")
def test_every_file_is_the_tree_s_own_and_every_directory_lets_everybody_in(
    tmp_path: Path,
) -> None:
    tree = make_tree(tmp_path / "tree", "alpha")

    links = place(tmp_path / "made", tree)

    assert links.copied == 0
    assert {
        str(path.relative_to(links.path)): path.stat().st_ino
        for path in links.path.rglob("*")
        if path.is_file()
    } == {
        file.path: (tree.path / "prefix" / file.path).stat().st_ino for file in tree.manifest.files
    }
    made = {
        str(path.relative_to(links.path)): stat.S_IMODE(path.stat().st_mode)
        for path in links.path.rglob("*")
        if path.is_dir()
    }
    assert made == dict.fromkeys(tree.manifest.directories, 0o755)


def test_what_a_later_tree_has_takes_the_place_of_what_was_linked_before(tmp_path: Path) -> None:
    alpha, beta = (make_tree(tmp_path / name, name, content=name) for name in ("alpha", "beta"))
    links = place(tmp_path / "made", alpha)

    links.place([alpha, beta], arrange([alpha, beta]))

    for path in FOLDERS:
        found = {file.name: file.read_text() for file in (links.path / path).iterdir()}
        assert found == {
            "alpha.py": f"alpha{path}/alpha.py",
            "beta.py": f"beta{path}/beta.py",
            "shared.py": f"beta{path}/shared.py",
        }


def test_what_can_t_be_linked_is_copied_by_whichever_thread_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = make_tree(tmp_path / "tree", "alpha")
    real = os.link

    def link(source: str, target: str, **options: int) -> None:
        if target.endswith("shared.py"):
            raise OSError(18, "as between two mounts")
        real(source, target, **options)  # type: ignore[arg-type] # handles and a flag

    monkeypatch.setattr(os, "link", link)
    links = place(tmp_path / "made", tree)

    assert links.copied == len(FOLDERS)
    for path in FOLDERS:
        copy = links.path / path / "shared.py"
        assert copy.read_text() == f"{path}/shared.py"
        assert copy.stat().st_nlink == 1


def test_an_error_of_any_thread_is_told(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", "alpha")
    lost = tree.path / "prefix" / FOLDERS[-1] / "shared.py"
    lost.unlink()

    with pytest.raises(FileNotFoundError) as caught:
        place(tmp_path / "made", tree)

    assert caught.value.filename == f"{FOLDERS[-1]}/shared.py"
