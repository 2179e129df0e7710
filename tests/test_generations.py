"""A generation is whole when it has its name, and holds what its wheels and nobody else put in."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import stat
from typing import TYPE_CHECKING

import pytest

from estate import NO_ENGINE, SITE, TARGET, Estate
from venvctl import disk, generations, trees, unpacking
from venvctl.arrangement import Conflict, arrange
from venvctl.errors import DiskFullError, FileConflictError
from venvctl.generations import Blueprint
from venvctl.origin import Origin
from venvctl.seal import Seal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from venvctl.trees import Tree
    from wheelhouse import BuiltWheel


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    return Estate(folder=tmp_path)


def unpack(estate: Estate, *wheels: BuiltWheel) -> list[Tree]:
    store = estate.root.store
    files = [
        (wheel.sha256, store.add(wheel.path, file=wheel.file, sha256=wheel.sha256))
        for wheel in wheels
    ]
    return unpacking.ensure(
        store,
        files,
        TARGET,
        bytecode=False,
        engine=NO_ENGINE,
        image="",
        progress=estate.progress,
    )


def blueprint(wheels: Sequence[BuiltWheel], **changes: str) -> Blueprint:
    plain = Blueprint(
        number=3,
        key="a" * 32,
        mount="/venv",
        target=TARGET,
        image="sha256:image",
        lock_digests={"requirements.lock": "1"},
        files=[
            Origin(
                name=wheel.name,
                version=wheel.version,
                file=wheel.file,
                sha256=wheel.sha256,
                url=f"https://files.example/{wheel.file}",
            )
            for wheel in wheels
        ],
        created="2026-01-01T00:00:00Z",
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type] # texts


def assemble(estate: Estate, *wheels: BuiltWheel, **changes: str) -> Path:
    return generations.assemble(
        unpack(estate, *wheels),
        blueprint(wheels, **changes),
        into=estate.folder / "generations",
        root=estate.root.path,
        progress=estate.progress,
    )


def files(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    )


def test_it_holds_what_the_wheels_hold_and_what_every_venv_has(estate: Estate) -> None:
    path = assemble(
        estate,
        estate.wheel(
            "alpha",
            files={
                "alpha.py": "",
                "alpha-1.0.data/scripts/raw": "#!python -O\nprint()\n",
                "alpha-1.0.data/data/share/alpha.txt": "",
            },
            entry_points="[console_scripts]\nalpha-tool = alpha:main\n",
        ),
    )

    assert path.name == f"3-{'a' * 32}"
    info = f"{SITE}/alpha-1.0.dist-info"
    assert files(path) == sorted(
        [
            *("bin/activate", "bin/activate.csh", "bin/activate.fish", "bin/alpha-tool"),
            *("bin/python", "bin/python3", "bin/python3.11", "bin/raw"),
            *(f"{SITE}/!venvctl.pth", f"{SITE}/_venvctl_pin.py", f"{SITE}/alpha.py"),
            *(f"{SITE}/~venvctl.pth", "lib64", "pyvenv.cfg", "seal.json", "share/alpha.txt"),
            *(f"{info}/{name}" for name in ("INSTALLER", "METADATA", "RECORD", "REQUESTED")),
            *(f"{info}/WHEEL", f"{info}/entry_points.txt"),
        ]
    )
    assert (path / "bin/raw").read_text() == "#!/venv/bin/python\nprint()\n"
    assert (path / "bin/alpha-tool").read_text().startswith("#!/venv/bin/python\n")
    links = {name: str((path / name).readlink()) for name in generations.symbolic_links(TARGET)}
    assert links == {
        "bin/python": "/usr/bin/python3.11",
        "bin/python3": "python",
        "bin/python3.11": "python",
        "lib64": "lib",
    }
    assert (path / "pyvenv.cfg").read_text() == (
        "home = /usr/bin\n"
        "include-system-site-packages = false\n"
        "version = 3.11.2\n"
        "executable = /usr/bin/python3.11\n"
    )
    pin = (path / SITE / "_venvctl_pin.py").read_text()
    assert f'GENERATION = "/venv/.venvctl/generations/3-{"a" * 32}"\n' in pin
    assert 'MOUNT = "/venv"\n' in pin


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_everybody_in_a_container_can_read_it_whatever_the_umask(
    estate: Estate, umask: int
) -> None:
    wheel = estate.wheel("alpha", entry_points="[console_scripts]\nalpha-tool = alpha:main\n")
    os.umask(umask)

    path = assemble(estate, wheel)

    modes = {
        str(each.relative_to(path)): stat.S_IMODE(each.stat().st_mode)
        for each in (path, *path.rglob("*"))
        if not each.is_symlink()
    }
    assert {mode for name, mode in modes.items() if (path / name).is_dir()} == {0o755}
    executable = {name for name, mode in modes.items() if mode == 0o755 and (path / name).is_file()}
    assert executable == {"bin/alpha-tool"}
    assert set(modes.values()) == {0o755, 0o644}


def test_files_are_links_of_the_tree_s_and_what_is_generated_is_not(estate: Estate) -> None:
    wheel = estate.wheel("alpha")
    (tree,) = unpack(estate, wheel)

    path = assemble(estate, wheel)

    assert (path / SITE / "alpha.py").samefile(tree.path / "prefix" / SITE / "alpha.py")
    assert (path / "pyvenv.cfg").stat().st_nlink == 1


def test_it_is_on_disk_before_it_has_its_name(estate: Estate) -> None:
    wheel = estate.wheel("alpha")
    unpack(estate, wheel)
    told: list[str] = []

    def observe(operation: str, path: Path) -> None:
        if path.name in {"generations", f"3-{'a' * 32}"} or operation == "syncfs":
            told.append(operation)

    disk.observers.append(observe)
    try:
        assemble(estate, wheel)
    finally:
        disk.observers.remove(observe)
    assert told == ["syncfs", "rename", "fsync"]


def test_its_seal_says_what_it_is_made_of(estate: Estate) -> None:
    alpha, beta = estate.wheel("alpha"), estate.wheel("beta", "2.0")

    path = assemble(estate, alpha, beta)

    seal = Seal.load(path)
    assert (seal.number, seal.key, seal.mount) == (3, "a" * 32, "/venv")
    assert seal.target == TARGET
    assert seal.image == "sha256:image"
    assert seal.lock_digests == {"requirements.lock": "1"}
    assert [package.origin for package in seal.packages] == blueprint([alpha, beta]).files
    assert [package.tree for package in seal.packages] == [
        f"{wheel.sha256}-cpython-311-source" for wheel in (alpha, beta)
    ]
    assert sorted(seal.generated) == [
        "bin/activate", "bin/activate.csh", "bin/activate.fish",
        f"{SITE}/!venvctl.pth", f"{SITE}/_venvctl_pin.py", f"{SITE}/~venvctl.pth", "pyvenv.cfg",
    ]  # fmt: skip


def owners(estate: Estate) -> tuple[BuiltWheel, BuiltWheel]:
    """Two wheels that both own a module, with different content, and another with the same."""
    return (
        estate.wheel("alpha", files={"shared.py": "alpha\n", "same.py": "same\n"}),
        estate.wheel("beta", files={"shared.py": "beta\n", "same.py": "same\n"}),
    )


def test_of_two_owners_the_last_in_name_order_wins_and_it_is_said_and_sealed(
    estate: Estate,
) -> None:
    path = assemble(estate, *owners(estate))

    assert (path / SITE / "shared.py").read_text() == "beta\n"
    assert Seal.load(path).conflicts == (
        Conflict(path=f"{SITE}/shared.py", winner="beta", loser="alpha"),
    )
    (warning,) = estate.progress.warnings
    assert warning == (
        f"beta and alpha both own {SITE}/shared.py, with different content: "
        "the file of beta is used."
    )


def test_where_the_label_asks_for_it_two_owners_are_an_error_and_nothing_is_left(
    estate: Estate,
) -> None:
    with pytest.raises(FileConflictError) as caught:
        assemble(estate, *owners(estate), conflicts="error")

    assert caught.value.message == (
        f"beta and alpha both own {SITE}/shared.py, with different content."
    )
    assert not (estate.folder / "generations").exists()
    assert list((estate.root.path / "tmp").iterdir()) == []


def test_a_file_where_another_has_a_folder_is_an_error(estate: Estate) -> None:
    alpha = estate.wheel("alpha", files={"thing/__init__.py": ""})
    beta = estate.wheel("beta", files={"thing": ""})

    with pytest.raises(FileConflictError) as caught:
        assemble(estate, alpha, beta)

    assert caught.value.message == (f"beta has a file where alpha has a directory: {SITE}/thing.")


def test_the_loser_s_bytecode_is_not_taken_for_the_winner_s(estate: Estate) -> None:
    first, second = unpack(estate, *owners(estate))
    compiled = {
        tree.manifest.name: dataclasses.replace(
            tree,
            manifest=dataclasses.replace(
                tree.manifest,
                bytecode=tuple(
                    trees.ManifestFile(
                        f"{SITE}/__pycache__/{module}.cpython-311.pyc", "0" * 64, 1, False  # noqa: FBT003 - a row
                    )
                    for module in modules
                ),
            ),
        )
        # The winner's own source could not be compiled.
        for tree, modules in ((first, ("shared", "same")), (second, ("same",)))
    }  # fmt: skip

    links = arrange([compiled["alpha"], compiled["beta"]]).links

    assert sorted(path for path in links if path.endswith(".pyc")) == [
        f"{SITE}/__pycache__/same.cpython-311.pyc"
    ]
    assert links[f"{SITE}/shared.py"][0] == 1


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EMLINK, errno.EPERM])
def test_what_can_not_be_linked_is_copied_and_that_is_said(
    estate: Estate, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    wheel = estate.wheel("alpha", files={"alpha.py": "x = 1\n"})
    (tree,) = unpack(estate, wheel)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    # No file system at hand refuses links, or has few enough of them, on demand.
    monkeypatch.setattr(os, "link", refuse)
    path = assemble(estate, wheel)

    assert (path / SITE / "alpha.py").read_text() == "x = 1\n"
    assert not (path / SITE / "alpha.py").samefile(tree.path / "prefix" / SITE / "alpha.py")
    (warning,) = estate.progress.warnings
    assert warning == (
        "6 files were copied because they could not be hard-linked: the store and the "
        "environments should lie on one file system, and belong to one user."
    )


def test_a_full_disk_leaves_nothing_behind(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = estate.wheel("alpha")
    unpack(estate, wheel)

    def fill(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", fill)
    with pytest.raises(DiskFullError):
        assemble(estate, wheel)

    assert list((estate.folder / "generations").iterdir()) == []
    assert list((estate.root.path / "tmp").iterdir()) == []


def test_a_file_of_a_wheel_in_the_place_of_a_generated_one_is_not_written_through(
    estate: Estate,
) -> None:
    wheel = estate.wheel(
        "alpha",
        files={"alpha.py": "", "alpha-1.0.data/data/bin/alpha-tool": "mine\n"},
    )
    other = estate.wheel("beta", entry_points="[console_scripts]\nalpha-tool = beta:main\n")
    first, _ = unpack(estate, wheel, other)

    path = assemble(estate, wheel, other)

    assert (first.path / "prefix/bin/alpha-tool").read_text() == "mine\n"
    assert (path / "bin/alpha-tool").read_text().startswith("#!/venv/bin/python\n")


def test_the_seal_is_json_with_its_schema(estate: Estate) -> None:
    document = json.loads((assemble(estate, estate.wheel("alpha")) / "seal.json").read_bytes())
    assert document["schema"] == 1
    assert document["created"] == "2026-01-01T00:00:00Z"
    assert document["created-by"] == "venvctl 0.1.0"


def test_linked_ahead_or_not_makes_no_difference(estate: Estate) -> None:
    """What comes later may win a path, lose it, or have the bytecode of a source dropped."""
    wheels = [
        estate.wheel("alpha", files={"alpha.py": b"1", "shared.py": b"alpha", "same.py": b"s"}),
        estate.wheel("beta", files={"beta/deep/one.py": b"1", "shared.py": b"beta"}),
        estate.wheel("gamma", files={"shared.py": b"gamma", "same.py": b"s"}),
    ]
    trees = unpack(estate, *wheels)
    for number, early in enumerate(([], [0], [2], [0, 2], [1, 2], [0, 1, 2]), start=1):
        into = estate.folder / f"generations-{number}"
        with generations.Assembly(
            into=into, root=estate.root.path, progress=estate.progress
        ) as assembly:
            assembly.begin([trees[index] for index in early])
            path = assembly.finish(trees, blueprint(wheels))
        content = {
            str(file.relative_to(path)): (file.read_bytes(), file.stat().st_ino)
            for file in (path / SITE).rglob("*.py")
            if not file.name.startswith("_venvctl")  # written for each generation
        }
        if number == 1:
            expected = content
        assert content == expected
        assert (path / SITE / "shared.py").read_bytes() == b"gamma"
    assert list((estate.root.path / "tmp").iterdir()) == []
