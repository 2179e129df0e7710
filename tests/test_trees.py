"""Trees are one for each wheel and interpreter, and know when they were changed."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING

import pytest

from estate import NO_ENGINE, TARGET
from interpreters import target
from treehouse import SITE, ensure, keep, load
from venvctl import trees, unpacking
from venvctl.progress import Silent
from venvctl.store import Problem, Store
from wheelhouse import make_wheel

if TYPE_CHECKING:
    from pathlib import Path


def test_one_wheel_has_a_tree_for_each_interpreter(store: Store, tmp_path: Path) -> None:
    files = keep(store, make_wheel(tmp_path, "alpha"))
    ensure(store, files)
    other = target("3.13.5")
    assert trees.load(store, files[0][0], other, bytecode=False) is None
    (tree,) = unpacking.ensure(
        store, files, other, bytecode=False, engine=NO_ENGINE, image="", progress=Silent()
    )
    assert (tree.path / "prefix/lib/python3.13/site-packages/alpha.py").exists()
    assert {path.name for path in trees.iterate(store)} == {
        f"{files[0][0]}-cpython-311-source",
        f"{files[0][0]}-cpython-313-source",
    }


def test_verify_names_every_change(store: Store, tmp_path: Path) -> None:
    wheel = make_wheel(
        tmp_path,
        "alpha",
        files={f"{name}.py": b"1" for name in "abcd"}
        | {"alpha-1.0.data/scripts/run": b"#!python\n"},
    )
    (tree,) = ensure(store, keep(store, wheel))
    assert trees.verify(tree) == []
    site = tree.path / SITE
    (site / "a.py").write_text("2")
    (site / "b.py").unlink()
    (site / "c.py").unlink()
    (site / "c.py").symlink_to("d.py")
    (site / "d.py").chmod(0o755)
    (tree.path / "scripts" / "run").write_text("#!python\nevil")
    assert trees.verify(tree) == [
        Problem(path=site / "a.py", reason="does not have the hash it was made with"),
        Problem(path=site / "b.py", reason="is missing"),
        Problem(path=site / "c.py", reason="is missing"),
        Problem(path=site / "d.py", reason="does not have the mode it was made with"),
        Problem(
            path=tree.path / "scripts" / "run", reason="does not have the hash it was made with"
        ),
    ]


def test_removes_a_tree_with_its_manifest(store: Store, tmp_path: Path) -> None:
    files = keep(store, make_wheel(tmp_path, "alpha"))
    (tree,) = ensure(store, files)
    trees.remove(store, tree.path.name)
    assert load(store, files[0][0]) is None
    assert list(trees.iterate(store)) == []
    with pytest.raises(ValueError, match=r"'\.\./wheels' is not the name of a tree"):
        trees.remove(store, "../wheels")


def test_names_are_those_of_the_layout() -> None:
    digest = hashlib.sha256(b"").hexdigest()
    assert trees.tree_name(digest, TARGET) == f"{digest}-cpython-311"
    threaded = dataclasses.replace(TARGET, cache_tag="cpython-313t")
    assert trees.tree_name(digest, threaded, bytecode=False) == f"{digest}-cpython-313t-source"
