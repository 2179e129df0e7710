"""What is told of an environment's bytes is what `du` says of the same directories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from estate import Estate
from venvctl.cli.application import run
from venvctl.collection import collect
from venvctl.generations import SEAL
from venvctl.usage import Census, RootUsage

if TYPE_CHECKING:
    from pathlib import Path

    from venvctl.environments import Generation
    from wheelhouse import BuiltWheel


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    """Two environments with three generations that share wheels in every way."""
    estate = Estate(folder=tmp_path, labels={"venvctl.keep": "5"})
    everywhere = estate.wheel("everywhere", files={f"every/m{n}.py": "e" * 700 for n in range(40)})
    ours = estate.wheel("ours", files={"ours/__init__.py": "o" * 60_000, "ours/empty.py": ""})
    first = estate.wheel("part", "1.0", files={"part.py": "1" * 10_000})
    second = estate.wheel("part", "2.0", files={"part.py": "2" * 30_000, "deep/er/m.py": "x"})
    estate.add("shop", "a", everywhere, ours, first)
    estate.add("shop", "b", everywhere, ours, second)
    estate.add("tools", "c", everywhere, entry_script(estate))
    return estate


def entry_script(estate: Estate) -> BuiltWheel:
    return estate.wheel(
        "tool",
        files={"tool.py": "def main(): ..."},
        entry_points="[console_scripts]\ntool=tool:main",
    )


def du(*folders: Path, without: tuple[Path, ...] = ()) -> int:
    """Bytes on disk of everything in some folders, each inode once, but for what others have."""
    return sum(
        blocks for inode, blocks in inodes(*folders).items() if inode not in inodes(*without)
    )


def inodes(*folders: Path) -> dict[int, int]:
    return {
        (state := path.lstat()).st_ino: state.st_blocks * 512
        for folder in folders
        for path in (folder, *folder.rglob("*"))
        if not path.is_symlink()
    }


def generations(estate: Estate, name: str) -> list[Generation]:
    return estate.environment(name).generations()


def test_bytes_are_those_that_du_says(estate: Estate) -> None:
    one, two = (generation.path for generation in generations(estate, "shop"))
    [three] = (generation.path for generation in generations(estate, "tools"))

    shop = Census(estate.root).environment("shop")

    assert shop.alone == du(one, two, without=(three,))
    assert shop.shared == du(one, two) - shop.alone > 0
    assert [each.number for each in shop.generations] == [1, 2]
    for each, mine, others in zip(
        shop.generations, (one, two), ((two, three), (one, three)), strict=True
    ):
        assert each.alone == du(mine, without=others)
        assert each.shared == du(mine) - each.alone > 0


def test_a_generation_that_nobody_shares_with_is_all_its_own(estate: Estate) -> None:
    estate.add("lone", "d", estate.wheel("lonely", files={"lonely.py": "l" * 5000}))

    lone = Census(estate.root).environment("lone")

    assert (lone.alone, lone.shared) == (du(generations(estate, "lone")[0].path), 0)


def test_the_whole_root(estate: Estate) -> None:
    every = [each.path for name in ("shop", "tools") for each in generations(estate, name)]
    wheels = [file.size for file in estate.root.store.iterate()]

    whole = Census(estate.root).whole(wheels=wheels)

    assert (whole.environments, whole.generations) == (2, 3)
    assert whole.alone + whole.shared == du(*every)
    assert whole.wheels == sum(
        file.path.stat().st_blocks * 512 for file in estate.root.store.iterate()
    )


def test_an_environment_without_generations_takes_nothing(estate: Estate) -> None:
    nothing = Census(estate.root).environment("nobody")

    assert (nothing.alone, nothing.shared, nothing.generations) == (0, 0, ())


def test_what_can_t_be_read_is_left_out(estate: Estate) -> None:
    first, second = generations(estate, "shop")
    (first.path / SEAL).write_text("{")
    for manifest in estate.root.store.trees.glob("*.json"):
        manifest.write_text("{")

    shop = Census(estate.root).environment("shop")

    assert [each.number for each in shop.generations] == [second.number]
    assert shop.shared == 0


def test_a_dry_run_tells_what_will_be_left(estate: Estate) -> None:
    estate.labels["venvctl.keep"] = "0"
    estate.root.registry.claim(estate.registration("shop"))
    estate.engine = None  # type: ignore[assignment]  # nothing is old enough for it to be asked

    told = collect(estate.root, dry_run=True, progress=estate.progress)
    done = collect(estate.root, dry_run=False, progress=estate.progress)

    assert told.kept == done.kept
    assert isinstance(done.kept, RootUsage)
    assert (done.kept.environments, done.kept.generations) == (2, 2)


def test_status_tells_it_only_when_asked(
    estate: Estate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VENVCTL_ROOT", str(estate.root.path))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    monkeypatch.chdir(estate.folder)
    shop = Census(estate.root).environment("shop")

    run(["status", "shop"])
    assert "bytes" not in capsys.readouterr().out
    run(["status", "shop", "--verbose"])

    first, second = shop.generations
    assert (
        f"  on disk: {shop.alone:,} bytes of its own, {shop.shared:,} that other environments have"
        f" too\n    generation 1: {first.alone:,} bytes of its own, {first.shared:,} that other"
        f" generations have too\n    generation 2: {second.alone:,} bytes of its own,"
        f" {second.shared:,} that other generations have too\n"
    ) in capsys.readouterr().out
