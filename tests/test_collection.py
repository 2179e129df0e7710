"""A collection removes what nothing reaches, and nothing at all where it can't see everything."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

from estate import Estate
from restamp import replaced
from venvctl import disk
from venvctl.collection import CollectResult, collect
from venvctl.engine.model import Container, Engine
from venvctl.errors import BusyError, EngineUnreachableError, IntegrityError
from venvctl.snapshots import Use
from venvctl.verification import verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOURS = [f"2026-03-04T{hour:02}:00:00.000000Z" for hour in range(24)]


@dataclass(slots=True)
class Holders:
    """As much of an engine as a collection asks: who holds a volume; None when it is away."""

    started: list[str] | None = field(default_factory=list)
    state: str = "running"

    def containers(self, *, volume: str = "shop") -> list[Container]:
        if self.started is None:
            raise EngineUnreachableError("No Docker Engine answers.")
        return [
            Container(
                id=start,
                name="web",
                image="",
                state=self.state,
                started_at=start,
                health="",
                labels={},
                environment={},
                mounts={volume: ("/venv", False)},
                network_container="",
                auto_remove=False,
                tty=False,
                restart_count=0,
                exit_code=0,
            )
            for start in self.started
        ]

    def remove_helpers(self) -> int:
        return 0


@pytest.fixture
def holders() -> Holders:
    return Holders()


@pytest.fixture
def estate(tmp_path: Path, holders: Holders) -> Estate:
    return Estate(
        folder=tmp_path,
        engine=cast("Engine", holders),
        labels={"venvctl.keep": "0", "venvctl.keep-snapshots": "0"},
    )


def gc(estate: Estate, *, dry_run: bool = False) -> CollectResult:
    return collect(estate.root, dry_run=dry_run, progress=estate.progress)


def grow(estate: Estate, name: str = "shop", *, count: int = 3) -> None:
    """So many generations, an hour apart: of alpha, which all have, and of one wheel each."""
    alpha = estate.wheel("alpha", files={"alpha.py": "x" * 50_000})
    for number in range(1, count + 1):
        own = estate.wheel(f"own{number}", files={"own.py": "y" * 30_000 * number})
        estate.add(name, f"{number}", alpha, own, time=HOURS[number])


def used(folder: Path) -> int:
    """Bytes on disk; each file once, however many links it has."""
    states = {
        (state.st_dev, state.st_ino): state.st_blocks * 512
        for path in (folder, *folder.rglob("*"))
        for state in (path.lstat(),)
    }
    return sum(states.values())


def numbers(estate: Estate, name: str = "shop") -> list[int]:
    return [generation.number for generation in estate.environment(name).generations()]


def wheels(estate: Estate) -> list[str]:
    return sorted(file.path.name.partition("-")[0] for file in estate.root.store.iterate())


def test_old_generations_go_with_all_that_only_they_had(estate: Estate) -> None:
    grow(estate)
    before = used(estate.root.path)

    result = gc(estate)

    assert result.generations == ("shop 1", "shop 2")
    assert result.snapshots == ("1" * 32, "2" * 32)
    assert [name.partition("-")[0] for name in result.wheels] == ["own1", "own2"]
    assert len(result.trees) == 2
    assert numbers(estate) == [3]
    assert wheels(estate) == ["alpha", "own3"]
    assert len(list(estate.root.store.trees.glob("*.json"))) == 2
    assert estate.root.snapshots.keys() == ["3" * 32]
    # All but what the directories of the store itself shrink by.
    assert abs(before - used(estate.root.path) - result.bytes) <= 3 * 4096
    left = verify((), estate.root, repair=False, progress=estate.progress)
    # The estate's keys are made up.
    assert {problem.reason for problem in left.problems} == {"is not what its key says"}


def test_what_is_left_can_be_collected_again_and_nothing_goes(estate: Estate) -> None:
    grow(estate)
    gc(estate)

    again = gc(estate)

    assert again == CollectResult(
        dry_run=False,
        generations=(),
        snapshots=(),
        trees=(),
        wheels=(),
        records=0,
        quarantined=0,
        bytes=0,
        kept=again.kept,
    )
    assert again.kept is not None
    assert again.kept.generations == 1


def test_a_dry_run_says_the_same_and_writes_nothing(estate: Estate) -> None:
    grow(estate)
    before = [(path, path.lstat().st_mtime_ns) for path in sorted(estate.root.path.rglob("*"))]

    told = gc(estate, dry_run=True)

    after = [(path, path.lstat().st_mtime_ns) for path in sorted(estate.root.path.rglob("*"))]
    assert after == before
    done = gc(estate)
    assert told.dry_run
    assert (told.generations, told.snapshots, told.trees, told.wheels, told.bytes) == (
        done.generations,
        done.snapshots,
        done.trees,
        done.wheels,
        done.bytes,
    )


def test_a_file_that_another_environment_still_links_is_not_counted(estate: Estate) -> None:
    grow(estate)
    grow(estate, "till")
    alone = gc(estate, dry_run=True)
    shutil.rmtree(estate.environment("till").directory)

    result = gc(estate, dry_run=True)

    assert alone.generations == ("shop 1", "shop 2", "till 1", "till 2")
    assert result.generations == ("shop 1", "shop 2")
    # The trees and wheels go in both cases: only the other's directories and own files don't.
    assert alone.bytes - result.bytes < 2 * 200_000


def test_as_many_old_ones_stay_as_the_label_says(estate: Estate) -> None:
    estate.labels["venvctl.keep"] = "1"
    grow(estate)

    result = gc(estate)

    assert result.generations == ("shop 1",)
    assert numbers(estate) == [2, 3]
    assert wheels(estate) == ["alpha", "own2", "own3"]


def test_all_snapshots_stay_by_default_with_their_wheels_but_without_trees(
    estate: Estate,
) -> None:
    del estate.labels["venvctl.keep-snapshots"]
    grow(estate)

    result = gc(estate)

    assert (result.snapshots, result.wheels) == ((), ())
    assert wheels(estate) == ["alpha", "own1", "own2", "own3"]
    assert len(result.trees) == 2
    assert numbers(estate) == [3]


def test_what_a_running_holder_may_have_started_on_stays(estate: Estate, holders: Holders) -> None:
    grow(estate, count=4)
    holders.started = ["2026-03-04T23:00:00.000000001Z", "2026-03-04T02:30:00.123456789Z"]

    result = gc(estate)

    assert result.generations == ("shop 1",)
    assert numbers(estate) == [2, 3, 4]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("running", [1, 2, 3]),
        ("paused", [1, 2, 3]),
        ("restarting", [1, 2, 3]),
        ("exited", [3]),
        ("created", [3]),
        ("dead", [3]),
    ],
)
def test_only_holders_with_processes_count(
    estate: Estate, holders: Holders, state: str, expected: list[int]
) -> None:
    grow(estate)
    holders.started, holders.state = [HOURS[1]], state

    gc(estate)

    assert numbers(estate) == expected


def test_a_holder_from_the_future_or_without_a_time_keeps_everything(
    estate: Estate, holders: Holders
) -> None:
    grow(estate)
    for text in ("9999-01-01T00:00:00Z", "?"):
        holders.started = [text]
        assert gc(estate).generations == ()


def test_an_engine_that_does_not_answer_stops_it(estate: Estate, holders: Holders) -> None:
    grow(estate)
    holders.started = None

    with pytest.raises(EngineUnreachableError) as caught:
        gc(estate)

    assert caught.value.message == "No Docker Engine answers."
    assert numbers(estate) == [1, 2, 3]


def test_what_a_rollout_goes_back_to_stays(estate: Estate) -> None:
    grow(estate)
    environment = estate.environment("shop")
    state = environment.state()
    environment.save_state(type(state)(last_number=3, good=2, back_to=1))

    assert gc(estate).generations == ()


def test_the_history_says_what_went_and_no_number_comes_back(estate: Estate) -> None:
    grow(estate)

    gc(estate)

    environment = estate.environment("shop")
    event = environment.history()[-1]
    assert (event.kind, event.notes) == (
        "removal",
        (f"generation 1 ({'1' * 32})", f"generation 2 ({'2' * 32})"),
    )
    assert environment.next_number() == 4


def test_links_that_only_a_removed_generation_needed_go(estate: Estate) -> None:
    estate.add("shop", "a", estate.wheel("alpha", files={"alpha-1.0.data/data/etc/a": "1"}))
    estate.add("shop", "b", estate.wheel("beta"))
    volume = estate.environment("shop").volume
    assert (volume / "etc").is_symlink()

    gc(estate)

    assert sorted(path.name for path in volume.iterdir()) == [
        ".venvctl", "bin", "lib", "lib64", "pyvenv.cfg",
    ]  # fmt: skip


def test_records_of_images_and_of_wheels_that_are_gone_go(estate: Estate) -> None:
    grow(estate, count=1)
    root = estate.root
    known = root.path / "targets" / "known.json"
    disk.make_directory(known.parent)
    known.write_text("{}")
    (built,) = (file for file in root.store.iterate() if "alpha" in file.path.name)
    root.store.record_built("1" * 64, "2" * 64, built.sha256)
    lost = estate.wheel("lost")
    root.store.add(lost.path, file=lost.file, sha256=lost.sha256)
    root.store.record_built("3" * 64, "4" * 64, lost.sha256)
    other = estate.wheel("other")
    root.store.add(other.path, file=other.file, sha256=other.sha256)
    root.store.quarantine(other.sha256)

    result = gc(estate)

    assert (result.records, result.quarantined, result.wheels) == (2, 1, (lost.file,))
    assert not known.exists()
    assert list(root.store.quarantined.iterdir()) == []
    assert root.store.built("1" * 64, "2" * 64) == built.sha256
    assert root.store.built("3" * 64, "4" * 64) is None


def test_the_source_of_a_built_wheel_stays_with_its_snapshot(estate: Estate) -> None:
    grow(estate, count=1)
    source = estate.folder / "alpha-1.0.tar.gz"
    source.write_bytes(b"source")
    digest = "41cf6794ba4200b839c53531555f0f3998df4cbb01a4d5cb0b94e3ca5e23947d"
    estate.root.store.add(source, file=source.name, sha256=digest)
    facts = estate.root.path / "snapshots" / ("1" * 32) / "snapshot.json"
    facts.write_bytes(
        replaced(facts.read_bytes(), b'"source": ""', f'"source": "{digest}"'.encode())
    )

    assert gc(estate).wheels == ()


def test_a_snapshot_that_was_never_current_stays(estate: Estate) -> None:
    grow(estate, count=1)
    for key in "89":
        estate.snapshot(key, estate.wheel(f"gamma{key}"))
    # As an import for an environment writes it down.
    imported = Use(since="", number=0, registration=estate.registration("shop"))
    estate.root.snapshots.mark_current("9" * 32, imported)

    result = gc(estate)

    assert (result.snapshots, result.wheels) == ((), ())


def test_an_import_says_nothing_of_what_a_holder_started_on(
    estate: Estate, holders: Holders
) -> None:
    grow(estate)
    root = estate.root
    (estate.environment("shop").directory / "history.jsonl").unlink()
    for key in "12":
        snapshot = root.snapshots.load(key * 32)
        unused = Use(since="", number=0, registration=estate.registration("shop"))
        root.snapshots.mark_current(snapshot.key, unused)
    holders.started = [HOURS[2]]

    assert gc(estate).generations == ()


def test_an_environment_without_a_registration_is_left_alone(estate: Estate) -> None:
    grow(estate)
    (estate.environment("shop").directory / "environment.json").unlink()

    result = gc(estate)

    assert (result.generations, result.snapshots, result.wheels) == ((), (), ())


def test_of_an_environment_that_is_gone_its_own_retention_counts(estate: Estate) -> None:
    estate.labels["venvctl.keep-snapshots"] = "1"
    grow(estate)
    shutil.rmtree(estate.environment("shop").directory)

    result = gc(estate)

    assert result.snapshots == ("1" * 32, "2" * 32)
    assert wheels(estate) == ["alpha", "own3"]


def _unreadable_snapshot(estate: Estate) -> str:
    folder = estate.root.path / "snapshots" / ("1" * 32)
    (folder / "snapshot.json").write_text("{}")
    return f"Snapshot {'1' * 32} in {folder} can't be read: 'schema'."


def _halved_snapshot(estate: Estate) -> str:
    folder = estate.root.path / "snapshots" / ("1" * 32)
    (folder / "pylock.toml").unlink()
    return f"Snapshot {'1' * 32} in {folder} has lost its pylock.toml."


def _unreadable_registration(estate: Estate) -> str:
    path = estate.environment("shop").directory / "environment.json"
    path.write_text("[]")
    return f"{path} is not a JSON object."


def _dangling_current(estate: Estate) -> str:
    environment = estate.environment("shop")
    link = environment.volume / ".venvctl/current"
    link.unlink()
    link.symlink_to("generations/7-x")
    return (
        "Environment shop has 'generations/7-x' as its current generation, "
        f"which is not in {environment.generations_directory}."
    )


def _lost_current(estate: Estate) -> str:
    environment = estate.environment("shop")
    (environment.volume / ".venvctl/current").unlink()
    state = environment.state()
    environment.save_state(type(state)(volume_inode=7))
    return "Environment shop has lost its current generation."


def _unreadable_seal(estate: Estate) -> str:
    seal = estate.environment("shop").generations()[-1].path / "seal.json"
    seal.write_text("{}")
    return f"The seal of the generation {seal.parent} can't be read: 'schema'."


@pytest.mark.parametrize(
    "damage",
    [
        _unreadable_snapshot,
        _halved_snapshot,
        _unreadable_registration,
        _dangling_current,
        _lost_current,
        _unreadable_seal,
    ],
)
def test_a_root_that_can_t_be_read_stops_it_before_anything_goes(
    estate: Estate, damage: Callable[[Estate], str]
) -> None:
    grow(estate)
    message = damage(estate)
    before = sorted(estate.root.path.glob("*/**/*"))

    with pytest.raises(IntegrityError) as caught:
        gc(estate)

    assert caught.value.message == f"{message} Nothing was removed."
    assert wheels(estate) == ["alpha", "own1", "own2", "own3"]
    assert sorted(estate.root.path.glob("*/**/*")) == before


def test_a_folder_that_can_t_be_read_stops_it(estate: Estate) -> None:
    grow(estate)
    folder = estate.root.path / "snapshots"
    folder.rename(estate.folder / "aside")
    folder.write_bytes(b"")

    with pytest.raises(IntegrityError) as caught:
        gc(estate)

    assert caught.value.message == f"{folder} can't be read: Not a directory. Nothing was removed."
    assert numbers(estate) == [1, 2, 3]


def test_nobody_else_may_be_at_work(estate: Estate) -> None:
    grow(estate)

    with estate.root.working(), pytest.raises(BusyError) as caught:
        gc(estate)

    assert caught.value.message == f"Another venvctl is at work in {estate.root.path}."


def test_a_root_that_is_not_there_has_nothing_to_remove(estate: Estate) -> None:
    assert gc(estate).bytes == 0
    assert not estate.root.path.exists()


def test_whoever_needs_something_goes_before_it(estate: Estate) -> None:
    grow(estate)
    gone: list[str] = []

    def watch(operation: str, path: Path) -> None:
        top = path.relative_to(estate.root.path).parts[0]
        if operation in {"rename", "unlink"} and top != "tmp":
            gone.append(top)

    disk.observers.append(watch)
    try:
        gc(estate)
    finally:
        disk.observers.remove(watch)
    assert list(dict.fromkeys(gone)) == ["environments", "snapshots", "store"]
