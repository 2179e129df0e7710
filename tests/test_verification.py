"""Every damage is found and named with all who share it, and what is repaired is a new file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from estate import SITE, Estate
from index import LocalIndex
from restamp import change, replaced
from venvctl.errors import BusyError, UsageError
from venvctl.mounts import lists_inodes
from venvctl.parcel import Parcel
from venvctl.seal import Seal
from venvctl.verification import Problem, VerifyResult, verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from venvctl.environments import Generation

CONTENT = "does not have the content it was made with"


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Estate:
    # Its keys are made up; those of real ones are tested in tests/faults/test_row_08.py.
    monkeypatch.setattr(Parcel, "key_fits", lambda _: True)
    return Estate(folder=tmp_path)


def look(estate: Estate, *names: str) -> VerifyResult:
    return verify(names, estate.root, repair=False, progress=estate.progress)


def mend(estate: Estate, *names: str, offline: bool = False) -> VerifyResult:
    return verify(names, estate.root, repair=True, offline=offline, progress=estate.progress)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def everything(generation: Generation) -> dict[str, str]:
    """All that a container can see of a generation: mode, and digest or link's target."""
    found = {}
    for path in sorted(generation.path.rglob("*")):
        state = path.lstat()
        content = (
            str(path.readlink())
            if path.is_symlink()
            else digest(path)
            if path.is_file()
            else "directory"
        )
        found[str(path.relative_to(generation.path))] = f"{state.st_mode:o} {content}"
    return found


def small(estate: Estate) -> Generation:
    """A generation of two wheels with all that a wheel can bring."""
    return estate.add(
        "shop",
        "a",
        estate.wheel(
            "alpha",
            files={
                "alpha/__init__.py": "x = 1\n",
                "alpha/data/empty.txt": "",
                "alpha-1.0.data/scripts/alpha-raw": "#!python\nprint()\n",
                "alpha-1.0.data/data/share/alpha.txt": "shared\n",
            },
            entry_points="[console_scripts]\nalpha-tool = alpha:x\n",
        ),
        estate.wheel("beta"),
    )


def test_what_was_made_is_right_and_a_shared_file_is_hashed_once(estate: Estate) -> None:
    alpha, beta, gamma = (estate.wheel(name) for name in ("alpha", "beta", "gamma"))
    estate.add("shop", "a", alpha, beta)
    one = look(estate)
    estate.add("shop", "b", alpha, beta, gamma)
    estate.add("till", "b", alpha, beta, gamma)

    result = look(estate)

    assert result.ok
    assert result.problems == ()
    assert result.environments == ("shop", "till")
    assert (one.generations, result.generations) == (1, 3)
    assert result.bytes > one.bytes
    # Of gamma six new files and a wheel; of each of two more generations the pin's three, the
    # activators, pyvenv.cfg and the seal.
    assert result.files - one.files == 6 + 1 + 2 * (3 + 3 + 1 + 1)


def test_what_a_generation_shares_is_known_by_its_directories(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not lists_inodes(os.path.realpath(estate.folder)):
        pytest.skip("the folder's file system is none whose directories tell inodes")
    asked = []
    lstat = os.lstat

    def noted(path: str) -> os.stat_result:
        asked.append(path)
        return lstat(path)

    alpha = estate.wheel("alpha")
    estate.add("shop", "a", alpha)
    second = estate.add("shop", "b", alpha, estate.wheel("beta"))

    monkeypatch.setattr("venvctl.checksums.os.lstat", noted)
    result = look(estate)
    monkeypatch.undo()

    assert result.ok
    assert f"{second.path}/{SITE}/beta.py" in asked
    assert f"{second.path}/{SITE}/alpha.py" not in asked


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts something")
def test_what_is_mounted_over_a_shared_file_is_found(estate: Estate) -> None:
    alpha = estate.wheel("alpha")
    estate.add("shop", "a", alpha)
    second = estate.add("shop", "b", alpha)
    victim = second.path / SITE / "alpha.py"
    evil = estate.folder / "evil.py"
    evil.write_text("evil\n")
    subprocess.run(["mount", "--bind", str(evil), str(victim)], check=True)
    try:
        result = look(estate)
    finally:
        subprocess.run(["umount", str(victim)], check=True)

    assert [(problem.path, problem.reason) for problem in result.problems] == [(victim, CONTENT)]


def test_the_same_content_in_another_file_is_right_but_not_its_mode(estate: Estate) -> None:
    alpha = estate.wheel("alpha")
    estate.add("shop", "a", alpha)
    second = estate.add("shop", "b", alpha)
    victim = second.path / SITE / "alpha.py"
    content = victim.read_bytes()
    victim.unlink()
    victim.write_bytes(content)
    victim.chmod(0o644)
    assert look(estate).ok
    victim.chmod(0o755)

    result = look(estate)

    assert [(problem.path, problem.found) for problem in result.problems] == [(victim, "0755")]


def test_a_changed_file_is_named_with_every_generation_that_shares_it(estate: Estate) -> None:
    alpha, beta = estate.wheel("alpha"), estate.wheel("beta")
    first = estate.add("shop", "a", alpha)
    estate.add("shop", "b", alpha, beta)
    estate.add("till", "a", alpha)
    estate.add("till", "c", beta)
    victim = first.path / SITE / "alpha.py"
    before = digest(victim)
    victim.write_bytes(b"evil\n")

    result = look(estate, "shop")

    assert not result.ok
    assert result.problems == (
        Problem(
            path=victim,
            place="generation 1 of shop",
            reason=CONTENT,
            expected=before,
            found=hashlib.sha256(b"evil\n").hexdigest(),
            shared_by=("generation 1 of shop", "generation 2 of shop", "generation 1 of till"),
        ),
    )
    assert str(result.problems[0]) == (
        f"{victim} does not have the content it was made with (expected {before}, "
        f"found {result.problems[0].found}); shared by generation 1 of shop, "
        "generation 2 of shop, generation 1 of till"
    )


def test_repair_gives_every_sharer_a_new_file_and_leaves_the_old_one_as_it_is(
    estate: Estate,
) -> None:
    alpha = estate.wheel("alpha")
    generations = [estate.add("shop", "a", alpha), estate.add("till", "a", alpha)]
    before = [everything(generation) for generation in generations]
    victims = [generation.path / SITE / "alpha.py" for generation in generations]
    victims[0].write_bytes(b"evil\n")

    with victims[0].open("rb") as held:
        result = mend(estate, "shop")

        assert held.read() == b"evil\n"  # who has it open reads on: nothing is written in place
    assert result.ok
    assert [problem.path for problem in result.repaired] == [victims[0]]
    assert [everything(generation) for generation in generations] == before
    assert victims[0].stat().st_ino == victims[1].stat().st_ino
    assert look(estate).ok


def remove(path: Path) -> None:
    path.unlink()


def write(path: Path) -> None:
    path.write_bytes(b"evil\n")


def replace(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"evil\n")


def widen(path: Path) -> None:
    path.chmod(0o666)


def link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def nest(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inner").write_bytes(b"")


_FILES = (
    *(f"{SITE}/alpha/__init__.py", f"{SITE}/alpha/data/empty.txt", f"{SITE}/_venvctl_pin.py"),
    *(f"{SITE}/beta-1.0.dist-info/RECORD", "bin/alpha-raw", "bin/alpha-tool", "bin/activate"),
    *("pyvenv.cfg", "share/alpha.txt"),
)
_LINKS = ("bin/python3", "lib64")


@pytest.mark.parametrize(
    ("victim", "damage"),
    [
        *((file, way) for file in _FILES for way in (remove, write, replace, widen, link, nest)),
        # To write through a link would be to write to an interpreter of this machine.
        *((name, way) for name in _LINKS for way in (remove, replace, link, nest)),
    ],
)
def test_every_damage_to_every_kind_of_file_is_found_and_repaired(
    estate: Estate, victim: str, damage: Callable[[Path], None]
) -> None:
    generation = small(estate)
    assert look(estate).ok
    before = everything(generation)
    damage(generation.path / victim)

    found = look(estate)

    assert {problem.path for problem in found.problems} >= {generation.path / victim}
    assert all(problem.path.is_relative_to(generation.path / victim) for problem in found.problems)
    assert mend(estate).ok
    assert everything(generation) == before


def test_reasons_are_said_in_words(estate: Estate) -> None:
    generation = small(estate)
    site = generation.path / SITE
    remove(site / "alpha/__init__.py")
    widen(generation.path / "bin/activate")
    (generation.path / "bin/python").unlink()
    (generation.path / "bin/python").symlink_to("/bin/sh")
    (site / "sitecustomize.py").write_bytes(b"")
    (site / "beta-1.0.dist-info").chmod(0o777)
    link(site / "beta.py")

    problems = look(estate).problems

    told = {str(each.path.relative_to(generation.path)): each for each in problems}
    assert {path: (each.reason, each.expected, each.found) for path, each in told.items()} == {
        f"{SITE}/alpha/__init__.py": (
            "is missing",
            hashlib.sha256(b"x = 1\n").hexdigest(),
            "",
        ),
        "bin/activate": ("does not have the mode it was made with", "0644", "0666"),
        "bin/python": ("does not lead where it should", "/usr/bin/python3.11", "/bin/sh"),
        f"{SITE}/sitecustomize.py": ("does not belong there", "", ""),
        f"{SITE}/beta-1.0.dist-info": (
            "does not have the mode it was made with",
            "0755",
            "0777",
        ),
        f"{SITE}/beta.py": ("is not a regular file", "", ""),
    }


def test_a_directory_that_is_missing_is_one_problem_and_comes_back(estate: Estate) -> None:
    generation = small(estate)
    before = everything(generation)
    folder = generation.path / SITE / "alpha"
    (generation.path / SITE / "alpha").rename(estate.folder / "elsewhere")

    result = mend(estate)

    assert [problem.path for problem in result.repaired] == [folder]
    assert everything(generation) == before


def test_a_planted_file_is_set_aside_and_not_destroyed(estate: Estate) -> None:
    generation = small(estate)
    planted = generation.path / SITE / "usercustomize.py"
    planted.write_bytes(b"import os\n")
    (generation.path / "extra").mkdir()

    result = mend(estate)

    assert [problem.path for problem in result.repaired] == [generation.path / "extra", planted]
    assert not planted.exists()
    aside = sorted(estate.root.store.quarantined.iterdir())
    assert [path.name.rpartition(".")[0] for path in aside] == ["extra", "usercustomize.py"]
    assert aside[1].read_bytes() == b"import os\n"


def test_a_damaged_wheel_names_its_generations_and_is_fetched_again_as_a_new_file(
    estate: Estate,
) -> None:
    with LocalIndex() as index:
        alpha = estate.wheel("alpha")
        estate.urls[alpha.file] = index.add(alpha.path)
        estate.add("shop", "a", alpha)
        stored = estate.root.store.get(alpha, name="alpha")
        inode = stored.stat().st_ino
        damaged = stored.read_bytes()[:-1] + b"\1"
        stored.write_bytes(damaged)

        found = look(estate)
        result = mend(estate)

    assert found.problems == (
        Problem(
            path=stored,
            place="the store",
            reason=CONTENT,
            expected=alpha.sha256,
            found=hashlib.sha256(damaged).hexdigest(),
            shared_by=("generation 1 of shop",),
        ),
    )
    assert result.ok
    assert digest(stored) == alpha.sha256
    assert stored.stat().st_ino != inode
    (aside,) = estate.root.store.quarantined.iterdir()
    assert (aside / alpha.file).read_bytes() == damaged


def test_an_empty_wheel_is_missing(estate: Estate) -> None:
    alpha = estate.wheel("alpha")
    estate.add("shop", "a", alpha)
    estate.root.store.get(alpha, name="alpha").write_bytes(b"")

    (problem,) = look(estate).problems

    assert (problem.path.name, problem.reason) == (alpha.file, "is missing")


@pytest.mark.parametrize("offline", [True, False])
def test_a_wheel_that_nobody_has_any_more_stays_a_problem_and_is_said(
    estate: Estate, *, offline: bool
) -> None:
    with LocalIndex() as index:
        alpha = estate.wheel("alpha")
        url = estate.urls[alpha.file] = index.add(alpha.path)
        generation = estate.add("shop", "a", alpha)
        before = everything(generation)
        index.remove(alpha.file)
        write(estate.root.store.get(alpha, name="alpha"))

        result = mend(estate, offline=offline)

    (problem,) = result.problems
    assert (problem.reason, problem.shared_by) == ("is missing", ("generation 1 of shop",))
    why = (
        "it is not in the store, and the network is off"
        if offline
        else f"{url} answers 404 Not Found"
    )
    assert estate.progress.warnings == [f"1 file can't be had:\n  alpha 1.0 ({alpha.file}): {why}"]
    assert everything(generation) == before


def test_a_tree_without_its_manifest_is_unpacked_again(estate: Estate) -> None:
    generation = small(estate)
    before = everything(generation)
    manifest = next(estate.root.store.trees.glob("*.json"))
    manifest.write_bytes(b"{")

    found = look(estate)

    assert [(problem.path, problem.reason) for problem in found.problems] == [
        (manifest.with_suffix(""), "is missing, or its manifest can't be read")
    ]
    assert mend(estate).ok
    assert everything(generation) == before


def test_a_manifest_that_was_changed_with_its_file_is_told_by_the_wheel(estate: Estate) -> None:
    generation = estate.add("shop", "a", estate.wheel("alpha"))
    victim = generation.path / SITE / "alpha.py"
    before = digest(victim)
    write(victim)
    (manifest,) = estate.root.store.trees.glob("*.json")
    manifest.write_bytes(replaced(manifest.read_bytes(), before.encode(), digest(victim).encode()))

    (problem,) = look(estate).problems

    assert problem.path == manifest
    assert problem.reason == f"does not say of {SITE}/alpha.py what the wheel's RECORD says"
    assert mend(estate).ok
    assert digest(victim) == before


def test_a_tree_is_not_given_up_while_its_wheel_is_lost(estate: Estate) -> None:
    generation = estate.add("shop", "a", estate.wheel("alpha"))
    write(generation.path / SITE / "alpha.py")
    (wheel,) = estate.root.store.iterate()
    write(wheel.path)

    result = mend(estate)

    assert len(result.problems) == 2
    assert len(list(estate.root.store.trees.glob("*.json"))) == 1
    assert estate.progress.warnings[1].endswith(" stays: its wheel is not in the store.")


def test_what_a_volume_s_root_should_have_is_checked_and_put_right(estate: Estate) -> None:
    small(estate)
    volume = estate.environment("shop").volume
    (volume / "bin").unlink()
    (volume / "lib").unlink()
    (volume / "lib").symlink_to("/usr/lib")
    (volume / "new").mkdir()

    result = mend(estate, "shop")

    assert {(each.path.name, each.reason) for each in result.repaired} == {
        ("bin", "is missing, or no link"),
        ("lib", "does not lead where it should"),
        ("new", "does not belong there"),
    }
    assert result.ok
    assert str((volume / "lib").readlink()) == ".venvctl/current/lib"
    assert sorted(path.name for path in volume.iterdir()) == [
        ".venvctl", "bin", "lib", "lib64", "pyvenv.cfg", "share",
    ]  # fmt: skip


def test_a_dangling_current_is_found_and_never_guessed(estate: Estate) -> None:
    generation = small(estate)
    link = estate.environment("shop").volume / ".venvctl/current"
    link.unlink()
    link.symlink_to("generations/9-nothing")

    result = mend(estate)

    assert [(each.path, each.reason, each.found) for each in result.problems] == [
        (link, "names no complete generation", "generations/9-nothing")
    ]
    assert generation.path.exists()


def test_a_generation_whose_seal_is_lost_or_another_s_is_a_problem(estate: Estate) -> None:
    first = small(estate)
    second = estate.add("shop", "b", estate.wheel("gamma"))
    seal = first.path / "seal.json"
    seal.write_bytes((second.path / "seal.json").read_bytes())

    (problem,) = look(estate).problems
    assert (problem.path, problem.reason) == (
        seal,
        f"can't be used: The generation {first.path} has the seal of {second.name}.",
    )
    seal.unlink()
    (problem,) = look(estate).problems
    assert (problem.path, problem.place, problem.reason) == (
        first.path,
        "shop",
        "is no complete generation: it has no seal",
    )


def test_a_snapshot_that_can_t_be_read_is_a_problem(estate: Estate) -> None:
    small(estate)
    facts = estate.root.path / "snapshots" / ("a" * 32) / "snapshot.json"
    facts.write_text("{}")

    (problem,) = look(estate).problems

    assert (problem.path, problem.reason) == (facts.parent, "can't be read: 'schema'")


def test_wheels_of_old_snapshots_are_checked_too(estate: Estate) -> None:
    alpha = estate.wheel("alpha")
    old = estate.add("shop", "a", alpha)
    estate.add("shop", "b", estate.wheel("beta"))
    estate.environment("shop").remove_generation(old)
    estate.root.store.remove(alpha.sha256)

    (problem,) = look(estate, "shop").problems

    assert (problem.path.name, problem.reason, problem.shared_by) == (alpha.file, "is missing", ())


def test_other_environments_are_left_out(estate: Estate) -> None:
    estate.add("shop", "a", estate.wheel("alpha"))
    till = estate.add("till", "b", estate.wheel("beta"))
    write(till.path / SITE / "beta.py")

    assert look(estate, "shop").ok
    assert not look(estate, "till").ok


def test_an_unknown_environment_is_an_error_that_names_the_known(estate: Estate) -> None:
    small(estate)

    with pytest.raises(UsageError) as caught:
        look(estate, "shop", "shopp")

    assert caught.value.message == (
        f"There is no environment 'shopp' in {estate.root.path}; known: shop."
    )


def test_without_repair_nothing_is_written(estate: Estate) -> None:
    generation = small(estate)
    write(generation.path / SITE / "beta.py")
    before = sorted(estate.root.path.rglob("*"))
    times = [path.lstat().st_mtime_ns for path in before]

    look(estate)

    assert sorted(estate.root.path.rglob("*")) == before
    assert [path.lstat().st_mtime_ns for path in before] == times


def test_a_repair_waits_for_nobody_for_ever(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(estate)
    monkeypatch.setattr("venvctl.verification._WAIT", 0.0)

    with estate.root.working(), pytest.raises(BusyError) as caught:
        mend(estate)

    assert caught.value.message == f"Another venvctl is at work in {estate.root.path}."


def test_what_another_version_generated_is_not_made_up(estate: Estate) -> None:
    generation = small(estate)
    pin = generation.path / SITE / "_venvctl_pin.py"
    seal = generation.path / "seal.json"
    change(
        seal, "generated", {**Seal.load(generation.path).generated, f"{SITE}/{pin.name}": "0" * 64}
    )
    change(seal, "created-by", "venvctl 0.0.9")

    result = mend(estate)

    assert [problem.path for problem in result.problems] == [pin]
    (warning,) = estate.progress.warnings
    assert warning == (
        f"{pin} can't be written again: venvctl 0.0.9 wrote another one. "
        "`venvctl restore shop` makes a new generation."
    )


def test_a_seal_that_was_changed_with_its_file_is_told_by_the_wheels(estate: Estate) -> None:
    generation = small(estate)
    script = generation.path / "bin" / "alpha-tool"
    script.write_text("#!/bin/sh\n")
    seal = generation.path / "seal.json"
    before = json.loads(seal.read_bytes())["generated"]["bin/alpha-tool"]
    seal.write_bytes(replaced(seal.read_bytes(), before.encode(), digest(script).encode()))

    (problem,) = look(estate).problems

    assert (problem.path, problem.reason, problem.expected, problem.found) == (
        seal,
        "does not say of bin/alpha-tool what its wheels say",
        before,
        digest(script),
    )


def test_a_seal_that_lacks_a_package_of_its_snapshot_is_told(estate: Estate) -> None:
    generation = small(estate)
    seal = generation.path / "seal.json"
    document = json.loads(seal.read_bytes())
    left = [each for each in document["packages"] if each["name"] != "beta"]
    change(seal, "packages", left)

    assert (seal, "does not say of beta what its snapshot says") in [
        (problem.path, problem.reason) for problem in look(estate).problems
    ]


def test_a_volume_directory_that_was_replaced_is_told(estate: Estate) -> None:
    small(estate)
    environment = estate.environment("shop")
    environment.save_state(
        dataclasses.replace(environment.state(), volume_inode=environment.volume.stat().st_ino)
    )
    assert look(estate).ok
    environment.volume.rename(environment.volume.with_name("moved"))
    shutil.copytree(environment.volume.with_name("moved"), environment.volume, symlinks=True)

    assert [(problem.path, problem.place, problem.reason) for problem in look(estate).problems] == [
        (
            environment.volume,
            "shop",
            "is another directory than the engine was given: running containers don't see it",
        )
    ]


def test_a_generation_without_its_snapshot_is_told_and_gets_it_again(estate: Estate) -> None:
    generation = small(estate)
    folder = estate.root.snapshots.path(generation.key)
    before = estate.root.snapshots.load(generation.key)
    shutil.rmtree(folder)

    (problem,) = look(estate).problems
    assert (problem.path, problem.reason) == (folder, "is missing")
    assert mend(estate).ok

    after = estate.root.snapshots.load(generation.key)
    assert (after.files, after.environments.keys()) == (before.files, before.environments.keys())


def test_what_nobody_needs_is_looked_at_without_a_name_and_set_aside(estate: Estate) -> None:
    """It would be taken as it is by the next who comes to need it."""
    gone = estate.add("shop", "a", estate.wheel("alpha"))
    estate.add("shop", "b", estate.wheel("beta"))
    estate.environment("shop").remove_generation(gone)
    estate.root.snapshots.remove(gone.key)
    (wheel,) = (each for each in estate.root.store.iterate() if "alpha" in each.path.name)
    (module,) = estate.root.store.trees.glob(f"*/prefix/{SITE}/alpha.py")
    for path in (wheel.path, module):
        write(path)

    assert look(estate, "shop").ok
    assert {problem.path for problem in look(estate).problems} == {wheel.path, module}
    assert mend(estate).ok

    assert estate.root.store.wheel(wheel.sha256) is None
    assert not module.exists()
