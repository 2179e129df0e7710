"""FAULTS 7 and 8, everywhere: a bit flips in any file of a root, or the file is cut, or it goes."""

from __future__ import annotations

import dataclasses
import itertools
import os
import random
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from estate import NO_ENGINE
from promises import unharmed
from venvctl.cli.application import run
from venvctl.daemon.roster import Roster
from venvctl.errors import VenvctlError
from venvctl.project import ComposeProject
from venvctl.removal import remove
from venvctl.rollback import rollback
from venvctl.root import Root
from venvctl.seal import Seal
from venvctl.sync import SyncOptions
from venvctl.verification import VerifyResult, verify
from wheelhouse import make_sdist

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from world import World

pytestmark = pytest.mark.engine

SEED = int(os.environ.get("VENVCTL_FLIP_SEED", str(time.time_ns())))
DRAW = random.Random(SEED)  # noqa: S311 - nothing secret

# What says nothing that would be missed, whatever happens to it.
WORTHLESS = {
    r"(environments/[^/]+/|store/trees/\.)?lock": "taken and left, never read",
    r"helpers/[^/]+": "empty: its name is the note",
    r"answers/[^/]+": "given as long as it is whole, else found anew (tests/test_gate.py)",
}
# What is had anew when somebody asks for it, so that nobody can tell that it was there.
HAD_ANEW = {
    r"targets/.+": "the image is asked",
    r"store/builds/.+": "a snapshot knows the wheel; else it is built",
    r"pins/.+": "the index is asked",
    r"projects/.+": "`venvctl up` writes it",
    r"environments/[^/]+/reader\.json": "the user asks for it",
    r"store/wheels/.+\.tar\.gz": "a snapshot that was imported never had it",
}


def matches(path: Path, patterns: dict[str, str], root: Root) -> bool:
    relative = str(path.relative_to(root.path))
    return any(re.fullmatch(pattern, relative) for pattern in patterns)


@pytest.fixture
def world(world: World) -> World:
    """A root with something of every kind that a root can have."""
    world.labels = {"venvctl.builds": "allow"}
    world.index.add(make_sdist(world.folder, "gamma"))
    for version in ("1.0", "1.1", "1.2"):
        world.wheel("alpha", version)
        write_lock(world, f"alpha=={version}", "gamma==1.0")
        world.sync()
    rollback(world.name, world.root, to=None, progress=world.progress)
    # Of what is gone a snapshot is left, with a wheel and a tree that nobody else has.
    gone = dataclasses.replace(world, name=f"{world.name}-gone")
    world.wheel("delta", "1.0")
    write_lock(world, "delta==1.0")
    gone.sync()
    remove(gone.name, world.root)
    write_lock(world, "alpha==1.2", "gamma==1.0")
    world.root.registry.follow(
        ComposeProject(name="shop", directory=world.folder, files=(), environments=())
    )
    roster = Roster(world.root)
    roster.follow_project_for("shop", 1000)
    roster.follow_for(world.name, 1000)
    return world


def write_lock(world: World, *pins: str) -> None:
    """A lock without hashes: what the index had is written down in pin records."""
    head = (f"--index-url {world.index.url}", f"--trusted-host {world.index.host}")
    world.lock.write_text("\n".join((*head, *pins)) + "\n")


def files(world: World) -> list[Path]:
    """Every regular file of the root, one for each inode."""
    found: dict[int, Path] = {}
    for folder, _, names in sorted(os.walk(world.root.path)):
        for name in sorted(names):
            path = Path(folder, name)
            if not path.is_symlink():
                found.setdefault(path.stat().st_ino, path)
    return list(found.values())


def look(world: World) -> VerifyResult:
    # Whoever would ask an engine fails.
    root = Root(world.root.path, engine=NO_ENGINE)
    return verify((), root, repair=False, progress=world.progress)


def flipped(content: bytes) -> bytes:
    place = DRAW.randrange(len(content))
    changed = content[place] ^ (1 << DRAW.randrange(8))
    return content[:place] + bytes([changed]) + content[place + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a bit flipped": flipped,
    "another bit flipped": flipped,
    "cut in the middle": lambda content: content[: len(content) // 2],
    "its last byte gone": lambda content: content[:-1],
    "emptied": lambda _: b"",
}


def damaged(path: Path, ways: Iterable[str] = DAMAGES) -> Iterator[str]:
    """Damage a file in some ways, one after the other, and put it right at the end of each."""
    content = path.read_bytes()
    for name in ways:
        path.write_bytes(DAMAGES[name](content))
        try:
            yield name
        finally:
            path.write_bytes(content)


def test_no_damage_of_any_file_stays_unnoticed(world: World) -> None:
    assert look(world).problems == ()
    missed, kinds = [], set()
    for path in files(world):
        if matches(path, WORTHLESS, world.root):
            continue
        kinds.add(path.relative_to(world.root.path).parts[0])
        if path.stat().st_size:
            missed += [f"{path}: {name}" for name in damaged(path) if look(world).ok]
        aside = path.with_name(".aside")
        path.rename(aside)
        if look(world).ok and not matches(path, HAD_ANEW, world.root):
            missed.append(f"{path}: gone")
        aside.rename(path)
    assert not missed, f"seed {SEED}"
    assert kinds == {"environments", "pins", "projects", "snapshots", "store", "targets"}
    assert look(world).problems == ()


# What nothing else says, and what a repair tells of it.
TOLD = {
    "pins/*/alpha/1.1-*.json": "has the index asked again",
    "pins/builds/*.toml": "has what the build needs resolved again",
    "projects/shop.json": "`venvctl up` in that project has it followed again",
    "projects/shop.owner": "Say again which user's it is: `echo",
    "environments/*/reader.json": "Say again which user's it is: `echo",
}
# Of each kind one that can be made again.
MENDED = [
    "environments/*/environment.json",
    "environments/*/state.json",
    "environments/*/history.jsonl",
    "environments/*/volume/.venvctl/generations/1-*/seal.json",
    "environments/*/volume/.venvctl/generations/3-*/seal.json",
    "environments/*/volume/.venvctl/generations/2-*/pyvenv.cfg",
    "environments/*/volume/.venvctl/generations/2-*/lib/python3.11/site-packages/alpha/late.py",
    "snapshots/*/snapshot.json",
    "snapshots/*/pylock.toml",
    "store/builds/*.json",
    "store/trees/*.json",
    "store/wheels/*/*/alpha-1.2-*.whl",
    "store/wheels/*/*/delta-*.whl",
    "targets/*.json",
]


def mend(world: World) -> tuple[VerifyResult, list[str]]:
    world.progress.warnings.clear()
    result = verify((), world.root, repair=True, progress=world.progress)
    return result, world.progress.warnings


def seals(world: World) -> Mapping[str, tuple[object, ...]]:
    """What is in each generation, as its seal has it, but for when it was made."""
    found = {}
    for generation in world.environment.generations():
        seal = Seal.load(generation.path)
        found[generation.name] = (seal.packages, seal.target, seal.generated, seal.image)
    return found


def test_what_can_be_made_again_is_and_the_rest_is_told_with_what_to_type(world: World) -> None:
    before, held = seals(world), world.environment.state().held
    assert held
    ways = {**DAMAGES, "gone": None}
    for pattern in MENDED:
        # The snapshot of what is gone has no generation that could tell what was in it.
        known = {f"snapshots/{name.partition('-')[2]}" for name in before}
        path = next(
            path
            for path in sorted(world.root.path.glob(pattern))
            if not pattern.startswith("snapshots/")
            or str(path.parent.relative_to(world.root.path)) in known
        )
        for name, damage in ways.items():
            if damage is None:
                path.unlink()
            else:
                path.write_bytes(damage(path.read_bytes()))
            result, warnings = mend(world)
            assert result.problems == (), f"{path}: {name}: {warnings}"
            assert seals(world) == before
            assert world.environment.state().held.keys() == held.keys()
            if not path.exists():
                break  # nobody needs it, or it is had again by whoever asks
    for pattern, words in TOLD.items():
        (path,) = world.root.path.glob(pattern)
        content = path.read_bytes()
        path.write_bytes(flipped(content))
        result, warnings = mend(world)
        assert [problem.path for problem in result.problems] == [path]
        (warning,) = (each for each in warnings if str(path) in each)
        assert words in warning
        path.write_bytes(content)
    assert look(world).problems == ()
    current = world.environment.current()
    assert current is not None
    assert current.number == 2
    assert not unharmed(world, 2)


RECORDS = [*TOLD, *(each for each in MENDED if "volume" not in each)]
COMMANDS = [
    ["status"], ["status", "--json"], ["history"], ["env", "list"], ["path"], ["diff", "1", "2"],
    ["snapshot", "list"], ["gc", "--dry-run"], ["verify"], ["logs"], ["sbom"],
    ["sync", "--dry-run"],
]  # fmt: skip


def test_whatever_is_damaged_no_sync_changes_or_empties_anything(world: World) -> None:
    """Either it goes on as before, or it stops with an error that says what to type."""
    before = world.environment.current()
    assert before is not None
    comments = itertools.count()
    for path in (path for pattern in RECORDS for path in sorted(world.root.path.glob(pattern))):
        for name in damaged(path):
            write_lock(world, "alpha==1.2", "gamma==1.0", f"# {next(comments)}")
            try:
                result = world.sync()
            except VenvctlError as error:
                assert error.hint, f"{path}: {name}: {error.message}"  # noqa: PT017 - most go on
            else:
                assert result.generation == before.number, f"{path}: {name}: {result}"
            assert world.environment.current() == before, f"{path}: {name}"


def test_whatever_is_damaged_every_command_answers_or_says_what_is_wrong(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VENVCTL_ROOT", str(world.root.path))
    monkeypatch.chdir(world.folder)
    for path in (path for pattern in RECORDS for path in sorted(world.root.path.glob(pattern))):
        for name in damaged(path, ("a bit flipped", "emptied")):
            for command in COMMANDS:
                named = command[0] in {"history", "path", "diff", "sbom"}
                arguments = [command[0], *([world.name] if named else []), *command[1:]]
                code = run(arguments)
                output, said = capsys.readouterr()
                said = said or output
                assert code in {0, 1, 2, 4, 5, 6}, f"{path}: {name}: {arguments}: {said}"
                assert (code == 0) or ": " in said, f"{path}: {name}: {arguments}: {said}"
                assert "Traceback" not in said
                assert "bug" not in said


def test_a_seal_and_its_snapshot_damaged_together_are_made_anew_as_it_is_told(
    world: World,
) -> None:
    current = world.environment.current()
    assert current is not None
    snapshot = world.root.snapshots.path(current.key)
    for path in (current.path / "seal.json", snapshot / "snapshot.json"):
        path.write_bytes(flipped(path.read_bytes()))

    result, warnings = mend(world)

    assert {problem.path for problem in result.problems} == {current.path / "seal.json", snapshot}
    assert any(f"`venvctl sync {world.name} --force` makes another" in each for each in warnings)
    # What is there goes on running meanwhile.
    assert world.python("import alpha; print(alpha.VERSION)") == "1.1"
    write_lock(world, "alpha==1.1", "gamma==1.0")
    world.sync(SyncOptions(force=True))

    assert world.python("import alpha; print(alpha.VERSION)") == "1.1"
    # Now there is a snapshot that can be read, and the old generation is what that says.
    assert mend(world)[0].problems == ()
    assert seals(world).keys() >= {current.name}
    assert not unharmed(world, 4)
