"""Trees appear whole or not at all, once for each wheel, while other wheels still arrive."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import pytest

from estate import NO_ENGINE, TARGET
from treehouse import SITE, ensure, keep, load
from venvctl import disk, trees, unpacking
from venvctl.errors import CorruptFileError, DiskFullError, HostileWheelError
from venvctl.progress import Silent
from venvctl.store import Store
from venvctl.wheels import read
from wheelhouse import make_wheel


def test_gives_trees_in_the_order_of_the_wheels(store: Store, tmp_path: Path) -> None:
    files = keep(store, *(make_wheel(tmp_path, name) for name in ("beta", "alpha", "gamma")))
    made = ensure(store, files)
    assert [tree.manifest.name for tree in made] == ["beta", "alpha", "gamma"]
    assert [tree.path.name for tree in made] == [
        f"{sha256}-cpython-311-source" for sha256, _ in files
    ]
    assert (made[0].path / SITE / "beta.py").read_text() == "__version__ = '1.0'\n"
    assert list((store.root / "tmp").iterdir()) == []
    assert [load(store, sha256) for sha256, _ in files] == made


def test_makes_only_what_is_new(store: Store, tmp_path: Path) -> None:
    (alpha,) = keep(store, make_wheel(tmp_path, "alpha"))
    (first,) = ensure(store, [alpha])
    inode = first.path.stat().st_ino
    second = ensure(store, [*keep(store, make_wheel(tmp_path, "beta")), alpha])
    assert second[1] == first
    assert second[1].path.stat().st_ino == inode


def test_a_hostile_wheel_leaves_nothing_behind(store: Store, tmp_path: Path) -> None:
    good = make_wheel(tmp_path, "good")
    evil = make_wheel(tmp_path, "evil", files={"../x": b""})
    with pytest.raises(HostileWheelError) as caught:
        ensure(store, keep(store, good, evil))
    assert caught.value.message == (
        "The wheel 'evil-1.0-py3-none-any.whl' is refused: '../x' climbs out of its folder."
    )
    assert list(trees.iterate(store)) == []
    assert list((store.root / "tmp").iterdir()) == []


def test_damaged_wheels_are_set_aside_and_all_named(store: Store, tmp_path: Path) -> None:
    files = keep(store, *(make_wheel(tmp_path, name) for name in ("alpha", "beta", "gamma")))
    for _, path in files[:2]:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptFileError) as caught:
        ensure(store, files)
    assert caught.value.message == (
        "The store's content was damaged, and is set aside: alpha-1.0-py3-none-any.whl, "
        "beta-1.0-py3-none-any.whl."
    )
    assert [store.wheel(sha256) for sha256, _ in files] == [None, None, files[2][1]]
    assert list(trees.iterate(store)) == []


@pytest.mark.parametrize("damage", ["no manifest", "cut manifest", "no tree"])
def test_half_a_tree_is_none_and_made_anew(store: Store, tmp_path: Path, damage: str) -> None:
    files = keep(store, make_wheel(tmp_path, "alpha"))
    (tree,) = ensure(store, files)
    manifest = tree.path.with_name(tree.path.name + ".json")
    (tree.path / SITE / "alpha.py").write_text("left over")
    if damage == "no manifest":
        manifest.unlink()
    elif damage == "cut manifest":
        manifest.write_bytes(manifest.read_bytes()[:100])
    else:
        disk.remove_tree(tree.path)
    assert load(store, files[0][0]) is None
    (again,) = ensure(store, files)
    assert trees.verify(again) == []


def test_everything_is_on_disk_before_it_has_its_name(store: Store, tmp_path: Path) -> None:
    files = keep(store, make_wheel(tmp_path, "alpha"), make_wheel(tmp_path, "beta"))
    seen: list[str] = []

    def observe(operation: str, path: Path) -> None:
        if operation == "syncfs" or path.parent == store.trees:
            seen.append(f"{operation} {'manifest' if path.suffix == '.json' else 'tree'}")

    disk.observers.append(observe)
    try:
        ensure(store, files)
    finally:
        disk.observers.remove(observe)
    assert seen == ["syncfs tree", *["rename manifest", "rename tree"] * 2]


_CHILD = """
import os, sys
from pathlib import Path
from venvctl import disk, trees, unpacking
from venvctl.progress import Silent
from venvctl.store import Store
sys.path.insert(0, sys.argv[4])
from interpreters import target

def stop(operation, path):
    if (operation, path.name) == ("rename", sys.argv[3]):
        os.kill(os.getpid(), 9)

disk.observers.append(stop)
store = Store(Path(sys.argv[1]))
files = [(sha256, store.wheel(sha256)) for sha256 in sys.argv[2].split(",")]
options = {"bytecode": False, "engine": None, "image": "", "progress": Silent()}
unpacking.ensure(store, files, target("3.11.2"), **options)
"""


@pytest.mark.parametrize("suffix", [".json", ""])
def test_killed_between_two_renames(store: Store, tmp_path: Path, suffix: str) -> None:
    files = keep(store, make_wheel(tmp_path, "alpha"), make_wheel(tmp_path, "beta"))
    name = trees.tree_name(files[0][0], TARGET, bytecode=False) + suffix
    child = subprocess.run(
        [
            *(sys.executable, "-c", _CHILD, str(store.root)),
            *(",".join(sha256 for sha256, _ in files), name, str(Path(__file__).parent)),
        ],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert child.returncode == -9
    # What has both its names is whole; the other was never there.
    assert (load(store, files[0][0]) is not None) == (suffix == "")
    assert load(store, files[1][0]) is None
    # The kernel freed the dead writer's lock: nothing waits.
    start = time.monotonic()
    assert [trees.verify(tree) for tree in ensure(store, files)] == [[], []]
    assert time.monotonic() - start < 30


def test_a_tree_that_somebody_else_made_meanwhile_is_taken(store: Store, tmp_path: Path) -> None:
    files = keep(store, make_wheel(tmp_path, "alpha"))
    other: list[trees.Tree] = []

    def observe(operation: str, _: Path) -> None:
        if operation == "syncfs" and not other:
            other.append(cast("trees.Tree", None))  # the inner call flushes too
            other[:] = ensure(store, files)

    disk.observers.append(observe)
    try:
        (tree,) = ensure(store, files)
    finally:
        disk.observers.remove(observe)
    assert [tree] == other
    assert list((store.root / "tmp").iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a file system")
def test_a_full_disk_says_how_much_is_needed(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=True)
    try:
        store = Store(small)
        wheel = make_wheel(tmp_path, "alpha", files={"alpha.bin": bytes(3 << 20)})
        files = keep(store, wheel)
        with pytest.raises(DiskFullError) as caught:
            ensure(store, files)
        assert caught.value.message.startswith("No space left to write ")
        size = read(wheel.path, library="python3.11").size
        assert f": {size:,} bytes are needed; " in caught.value.message
        assert list((small / "tmp").iterdir()) == []
        assert list(trees.iterate(store)) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_begins_before_the_last_wheel_is_there(store: Store, tmp_path: Path) -> None:
    alpha, beta = keep(store, make_wheel(tmp_path, "alpha"), make_wheel(tmp_path, "beta"))
    with unpacking.Unpacking(store, TARGET, bytecode=False, engine=NO_ENGINE, image="") as work:
        work.expect([alpha[0], beta[0]])
        work.add(*alpha)
        (staging,) = (store.root / "tmp").iterdir()
        unpacked = staging / "trees" / alpha[0] / "prefix/lib/python3.11/site-packages/alpha.py"
        deadline = time.monotonic() + 30
        while not unpacked.exists():
            assert time.monotonic() < deadline, "alpha was not unpacked within 30 s"
            time.sleep(0.01)
        assert load(store, alpha[0]) is None  # it has no name yet
        made = work.finish([alpha, beta], Silent())
    assert [tree.manifest.name for tree in made] == ["alpha", "beta"]
    assert [load(store, sha256) for sha256, _ in (alpha, beta)] == made
    assert list((store.root / "tmp").iterdir()) == []


def test_what_nobody_finished_leaves_nothing_behind(store: Store, tmp_path: Path) -> None:
    (alpha,) = keep(store, make_wheel(tmp_path, "alpha"))
    with unpacking.Unpacking(store, TARGET, bytecode=False, engine=NO_ENGINE, image="") as work:
        work.add(*alpha)
    assert list(trees.iterate(store)) == []
    assert list((store.root / "tmp").iterdir()) == []


def test_a_wheel_that_was_just_hashed_is_not_hashed_again(store: Store, tmp_path: Path) -> None:
    """What RECORD says is checked all the same, so a change in between is found."""
    (alpha,) = keep(store, make_wheel(tmp_path, "alpha"))
    data = bytearray(alpha[1].read_bytes())
    data[data.index(b"PK\1\2") + 12] ^= 1  # a time: still the same files, and another digest
    alpha[1].write_bytes(data)
    with unpacking.Unpacking(store, TARGET, bytecode=False, engine=NO_ENGINE, image="") as work:
        work.add(*alpha, verified=True)
        assert len(work.finish([alpha], Silent())) == 1
    assert load(store, alpha[0]) is not None
