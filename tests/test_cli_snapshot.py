"""`venvctl snapshot` lists, shows and forgets what can be restored."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from standing import NAME, Standing
from venvctl.cli.application import run


@pytest.mark.usefixtures("standing")
def test_all_snapshots_oldest_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["snapshot", "list"]) == 0

    assert capsys.readouterr().out == (
        f"KEY{' ' * 31}CREATED               PYTHON  PACKAGES  ENVIRONMENTS\n"
        f"{'a' * 32}  2026-01-01T10:00:00Z  3.11.2  2         {NAME}\n"
        f"{'b' * 32}  2026-01-01T11:00:00Z  3.11.2  2         {NAME}\n"
    )


def test_one_snapshot_with_its_files_and_its_lock(
    standing: Standing, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["snapshot", "show", "a", "--json"]) == 0

    data = json.loads(capsys.readouterr().out)["data"]
    assert data["snapshot"]["key"] == "a" * 32
    assert [file["file"] for file in data["files"]] == [
        "alpha-1.0-py3-none-any.whl",
        "beta-2.0-py3-none-any.whl",
    ]
    assert data["pylock"] == str(standing.root.path / "snapshots" / ("a" * 32) / "pylock.toml")
    assert Path(data["pylock"]).exists()
    assert run(["snapshot", "show", "a"]) == 0
    assert "alpha    1.0      alpha-1.0-py3-none-any.whl  " in capsys.readouterr().out


@pytest.mark.usefixtures("standing")
@pytest.mark.parametrize(
    ("key", "reason"),
    [("c", "no snapshot's key begins"), ("", "more than one snapshot's key begins")],
)
def test_a_key_must_name_one(key: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["snapshot", "show", key]) == 2

    assert capsys.readouterr().err == (
        f"Error: {key!r} names no snapshot: {reason} with it.\n"
        "Hint: `venvctl snapshot list` shows them.\n"
    )


@pytest.mark.usefixtures("standing")
def test_a_snapshot_in_use_is_not_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["snapshot", "rm", "a"]) == 2

    assert capsys.readouterr().err == (
        f"Error: Snapshot {'a' * 32} is in use by {NAME} (generation 1).\n"
        "Hint: `venvctl gc` forgets what nothing needs any more.\n"
    )


def test_a_generation_without_a_registration_needs_its_snapshot_too(
    standing: Standing, capsys: pytest.CaptureFixture[str]
) -> None:
    (standing.environment.directory / "environment.json").unlink()

    assert run(["snapshot", "rm", "a"]) == 2

    assert capsys.readouterr().err.startswith(
        f"Error: Snapshot {'a' * 32} is in use by {NAME} (generation 1).\n"
    )


def test_what_can_not_be_restored_any_more_is_said(
    standing: Standing, capsys: pytest.CaptureFixture[str]
) -> None:
    standing.environment.remove_generation(standing.environment.numbered(1))
    use = standing.root.snapshots.load("a" * 32).environments[NAME]
    loss = (
        f"  {NAME} was this at {use.since.partition('.')[0]}Z, "
        "and can't be restored to it any more\n"
        "  1 wheel that nothing else needs: alpha-1.0-py3-none-any.whl\n"
    )

    assert run(["snapshot", "rm", "a", "--dry-run"]) == 0

    assert capsys.readouterr().out == f"{'a' * 32}: would be forgotten\n{loss}"
    assert standing.root.snapshots.keys() == ["a" * 32, "b" * 32]

    assert run(["snapshot", "rm", "a"]) == 0

    assert capsys.readouterr().out == f"{'a' * 32}: forgotten\n{loss}"
    assert standing.root.snapshots.keys() == ["b" * 32]


def test_the_last_snapshot_of_an_environment_is_told_as_such(
    standing: Standing, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        shutil.rmtree(standing.environment.numbered(number).path)
    assert run(["snapshot", "rm", "a"]) == 0
    capsys.readouterr()

    assert run(["snapshot", "rm", "b", "--dry-run"]) == 0

    assert (
        capsys.readouterr()
        .out.splitlines()[1]
        .endswith("; it has no other snapshot, so nothing of it can be restored any more")
    )
    assert run(["snapshot", "rm", "b", "--json"]) == 0

    data = json.loads(capsys.readouterr().out)["data"]
    assert data["last_of"] == [NAME]
    assert data["wheels"] == ["alpha-1.1-py3-none-any.whl", "beta-2.0-py3-none-any.whl"]


@pytest.mark.parametrize("lost", [False, True])
def test_one_that_can_not_be_read_is_listed_stops_a_collection_and_can_be_forgotten(
    standing: Standing, capsys: pytest.CaptureFixture[str], *, lost: bool
) -> None:
    standing.environment.remove_generation(standing.environment.numbered(1))
    folder = standing.root.snapshots.path("a" * 32)
    facts = folder / "snapshot.json"
    why = "has lost its snapshot.json."
    if lost:
        facts.unlink()
    else:
        facts.write_bytes(facts.read_bytes().replace(b"/venv", b"/wenv", 1))
        why = "can't be read: it is not what its own digest says."
    message = f"Snapshot {'a' * 32} in {folder} {why}"
    hint = (
        "`venvctl verify --repair` writes it anew if a generation of it is left; else "
        f"`venvctl snapshot rm {'a' * 32}` forgets it."
    )

    assert run(["snapshot", "list"]) == 0
    assert capsys.readouterr().out == (
        f"KEY{' ' * 31}CREATED               PYTHON  PACKAGES       ENVIRONMENTS\n"
        f"{'a' * 32}  -                     -       can't be read  -\n"
        f"{'b' * 32}  2026-01-01T11:00:00Z  3.11.2  2              {NAME}\n"
        f"{message} {hint}\n"
    )
    assert run(["gc"]) == 6
    assert capsys.readouterr().err == f"Error: {message} Nothing was removed.\nHint: {hint}\n"
    # Another one is not kept from being restored by it; of this one nobody knows whose it was.
    assert run(["restore", NAME]) == 6
    assert run(["snapshot", "show", "b"]) == 0
    capsys.readouterr()

    assert run(["snapshot", "rm", "a"]) == 0
    assert capsys.readouterr().out == f"{'a' * 32}: forgotten\n"
    assert standing.root.snapshots.keys() == ["b" * 32]
    assert not folder.exists()


def test_no_snapshot_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VENVCTL_ROOT", str(tmp_path))

    assert run(["snapshot", "list"]) == 0

    assert capsys.readouterr().out == f"There is no snapshot in {tmp_path}.\n"
