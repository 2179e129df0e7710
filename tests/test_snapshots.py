"""A snapshot is read back as it was written, and one that can't be read never passes for none."""

from __future__ import annotations

import dataclasses
import tomllib
from typing import TYPE_CHECKING

import pytest

from estate import TARGET, Estate
from restamp import change
from venvctl import disk
from venvctl.errors import IntegrityError, UsageError
from venvctl.origin import Origin
from venvctl.snapshots import Use

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from venvctl.snapshots import SnapshotStore

KEY = "a" * 32


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    return Estate(folder=tmp_path)


@pytest.fixture
def snapshots(estate: Estate) -> SnapshotStore:
    return estate.root.snapshots


def test_what_is_saved_is_loaded(estate: Estate, snapshots: SnapshotStore) -> None:
    alpha, beta = estate.wheel("alpha"), estate.wheel("Beta.Thing", "2.0")
    estate.urls[alpha.file] = "https://files.example/alpha.whl"
    saved = estate.snapshot("a", alpha, beta)

    loaded = snapshots.load(KEY)

    assert loaded == saved
    assert loaded.target == TARGET
    assert loaded.files[0].url == "https://files.example/alpha.whl"
    assert loaded.files[1].name == "beta-thing"
    assert KEY in snapshots
    assert "b" * 32 not in snapshots
    assert snapshots.keys() == [KEY]


def test_a_built_wheel_names_its_source(estate: Estate, snapshots: SnapshotStore) -> None:
    alpha = estate.wheel("alpha")
    plain = estate.snapshot("b", alpha)
    built = dataclasses.replace(plain.files[0], source="5" * 64)
    snapshots.save(dataclasses.replace(plain, key=KEY, files=(built,)))

    assert snapshots.load(KEY).files == (built,)


def test_its_lock_is_one_that_any_installer_reads(estate: Estate, snapshots: SnapshotStore) -> None:
    alpha = estate.wheel("alpha")
    estate.snapshot("a", alpha)

    lock = tomllib.loads((snapshots.path(KEY) / "pylock.toml").read_text())

    wheel = f"../../store/wheels/{alpha.sha256[:2]}/{alpha.sha256}/{alpha.file}"
    assert lock == {
        "lock-version": "1.0",
        "created-by": "venvctl",
        "packages": [
            {
                "name": "alpha",
                "version": "1.0",
                "wheels": [
                    {
                        "name": alpha.file,
                        "path": wheel,
                        "size": alpha.size,
                        "hashes": {"sha256": alpha.sha256},
                    }
                ],
            }
        ],
    }
    assert (snapshots.path(KEY) / wheel).resolve().read_bytes() == alpha.path.read_bytes()


def test_it_is_not_written_without_its_wheels(estate: Estate, snapshots: SnapshotStore) -> None:
    alpha = estate.wheel("alpha")
    snapshot = estate.snapshot("b", alpha)
    estate.root.store.remove(alpha.sha256)

    with pytest.raises(IntegrityError) as caught:
        snapshots.save(dataclasses.replace(snapshot, key=KEY))

    assert caught.value.message == (
        f"{alpha.file} (SHA-256 {alpha.sha256}) left the store while its snapshot was written."
    )
    assert KEY not in snapshots
    assert caught.value.hint == "Sync again."


def use(estate: Estate, name: str, since: str, number: int) -> Use:
    return Use(since=since, number=number, registration=estate.registration(name))


def test_the_last_one_that_was_current_is_at_the_end(
    estate: Estate, snapshots: SnapshotStore
) -> None:
    for key in "abcd":
        estate.snapshot(key, estate.wheel("alpha"))
    snapshots.mark_current("a" * 32, use(estate, "shop", "2026-01-01T00:00:03Z", 1))
    snapshots.mark_current("b" * 32, use(estate, "shop", "2026-01-01T00:00:02Z", 2))
    snapshots.mark_current("c" * 32, use(estate, "shop", "2026-01-01T00:00:09Z", 0))
    snapshots.mark_current("d" * 32, use(estate, "till", "2026-01-01T00:00:04Z", 1))

    assert [each.key[0] for each in snapshots.of("shop")] == ["c", "b", "a"]
    assert snapshots.latest("shop")[1:] == ("a" * 32, 1)
    assert snapshots.latest("none") == ("", "", 0)
    # Back on an earlier one: it is the last again.
    snapshots.mark_current("b" * 32, use(estate, "shop", "2026-01-01T00:00:05Z", 2))
    assert [each.key[0] for each in snapshots.of("shop")] == ["c", "a", "b"]
    assert snapshots.load("b" * 32).environments == {
        "shop": use(estate, "shop", "2026-01-01T00:00:05Z", 2)
    }


def test_an_image_is_adopted_once(estate: Estate, snapshots: SnapshotStore) -> None:
    snapshot = estate.snapshot("b", estate.wheel("alpha"))
    snapshots.save(dataclasses.replace(snapshot, key=KEY, image=""))

    snapshots.adopt(KEY, "sha256:one")
    snapshots.adopt(KEY, "sha256:two")

    assert snapshots.load(KEY).image == "sha256:one"


def test_one_that_is_removed_is_gone(estate: Estate, snapshots: SnapshotStore) -> None:
    estate.snapshot("a", estate.wheel("alpha"))

    snapshots.remove(KEY)
    snapshots.remove(KEY)

    assert snapshots.keys() == []
    with pytest.raises(UsageError) as caught:
        snapshots.load(KEY)
    assert caught.value.message == f"There is no snapshot {KEY}."


@pytest.mark.parametrize("key", ["", "a", "A" * 32, "../" + "a" * 29, "a" * 33, "a" * 31 + "\n"])
def test_no_text_becomes_a_path_unchecked(snapshots: SnapshotStore, key: str) -> None:
    with pytest.raises(UsageError) as caught:
        snapshots.load(key)

    assert caught.value.message == (
        f"{key!r} is not a snapshot's key: 32 digits and lower-case letters a to f."
    )


def _not_json(folder: Path) -> None:
    (folder / "snapshot.json").write_text("{")


def _newer_schema(folder: Path) -> None:
    _change(folder, "schema", 2)


def _no_target(folder: Path) -> None:
    _change(folder, "target", {})


def _no_origin(folder: Path) -> None:
    _change(folder, "origins", {})


def _not_toml(folder: Path) -> None:
    (folder / "pylock.toml").write_text("=")


def _not_a_lock(folder: Path) -> None:
    (folder / "pylock.toml").write_text("packages = 1\n")


def _change(folder: Path, name: str, value: object) -> None:
    change(folder / "snapshot.json", name, value)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (
            _not_json,
            "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
        (_newer_schema, "schema 2 of snapshot.json is not known"),
        (_no_target, "'interpreter'"),
        (_no_origin, "'alpha'"),
        (_not_toml, "Invalid statement (at line 1, column 1)"),
    ],
)
def test_one_that_can_t_be_read_says_why_and_is_still_there(
    estate: Estate, snapshots: SnapshotStore, damage: Callable[[Path], None], reason: str
) -> None:
    estate.snapshot("a", estate.wheel("alpha"))
    damage(snapshots.path(KEY))

    with pytest.raises(IntegrityError) as caught:
        snapshots.load(KEY)

    assert caught.value.message == (
        f"Snapshot {KEY} in {snapshots.path(KEY)} can't be read: {reason}."
    )
    assert snapshots.keys() == [KEY]


def test_a_lock_of_another_kind_is_refused(estate: Estate, snapshots: SnapshotStore) -> None:
    estate.snapshot("a", estate.wheel("alpha"))
    _not_a_lock(snapshots.path(KEY))

    with pytest.raises(IntegrityError):
        snapshots.load(KEY)


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        (["snapshot.json"], "snapshot.json"),
        (["pylock.toml"], "pylock.toml"),
        (["snapshot.json", "pylock.toml"], "pylock.toml and snapshot.json"),
    ],
)
def test_one_that_lost_a_file_is_told_and_never_taken_for_another(
    estate: Estate, snapshots: SnapshotStore, lost: list[str], words: str
) -> None:
    estate.snapshot("a", estate.wheel("alpha"))
    estate.snapshot("b", estate.wheel("alpha"))
    folder = snapshots.path("b" * 32)
    (folder.parent / "notes").mkdir()
    for name in lost:
        (folder / name).unlink()

    assert snapshots.keys() == [KEY]
    assert snapshots.halves() == {"b" * 32: words}
    with pytest.raises(IntegrityError) as caught:
        snapshots.load("b" * 32)
    assert caught.value.message == f"Snapshot {'b' * 32} in {folder} has lost its {words}."
    assert caught.value.hint == (
        "`venvctl verify --repair` writes it anew if a generation of it is left; else "
        f"`venvctl snapshot rm {'b' * 32}` forgets it."
    )


def test_a_killed_save_leaves_nothing_of_its_name(
    estate: Estate, snapshots: SnapshotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = estate.snapshot("a", estate.wheel("alpha"))

    def publish(_: Path, target: Path) -> None:
        raise OSError(5, "Input/output error", str(target))

    monkeypatch.setattr(disk, "publish", publish)
    with pytest.raises(OSError, match="Input/output error"):
        snapshots.save(dataclasses.replace(snapshot, key="b" * 32))

    assert not snapshots.path("b" * 32).exists()
    assert list((estate.root.path / "tmp").iterdir()) == []


def test_a_lock_that_was_changed_is_told_by_the_facts(
    estate: Estate, snapshots: SnapshotStore
) -> None:
    estate.snapshot("a", estate.wheel("alpha"))
    lock = snapshots.path(KEY) / "pylock.toml"
    lock.write_text(lock.read_text().replace('"venvctl"', '"vEnvctl"'))

    with pytest.raises(IntegrityError) as caught:
        snapshots.load(KEY)

    assert caught.value.message == (
        f"Snapshot {KEY} in {lock.parent} can't be read: "
        "pylock.toml is not what snapshot.json says."
    )


def test_the_origin_of_every_file_is_kept(estate: Estate, snapshots: SnapshotStore) -> None:
    alpha = estate.wheel("alpha")
    estate.snapshot("a", alpha)
    assert snapshots.load(KEY).files == (
        Origin(name="alpha", version="1.0", file=alpha.file, sha256=alpha.sha256),
    )
