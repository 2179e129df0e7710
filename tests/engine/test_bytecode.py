"""Bytecode on the real engine: made by the image's own interpreter, and used by it."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest

from interpreters import target
from venvctl import disk, trees, unpacking
from venvctl.bytecode import Compiler
from venvctl.engine.model import Mount, Task
from venvctl.errors import DiskFullError, VenvctlError
from venvctl.extraction import extract
from venvctl.progress import Silent
from venvctl.store import Store
from wheelhouse import BuiltWheel, make_wheel
from world import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from venvctl.engine.docker import DockerEngine
    from venvctl.target import Target

pytestmark = pytest.mark.engine

TARGET = target("3.11.2")
SITE = "lib/python3.11/site-packages"
UNCHECKED_HASH = b"\1\0\0\0"  # the flags of PEP 552: hash-based, and never checked
NOBODY = 65534


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", str(path)], check=True)


def ensure(
    root: Path,
    engine: DockerEngine,
    image: str,
    *wheels: BuiltWheel,
    interpreter: Target = TARGET,
) -> list[trees.Tree]:
    store = Store(root)
    files = [
        (wheel.sha256, store.add(wheel.path, file=wheel.file, sha256=wheel.sha256))
        for wheel in wheels
    ]
    return unpacking.ensure(
        store,
        files,
        interpreter,
        bytecode=True,
        engine=engine,
        image=image,
        progress=Silent(),
    )


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def run(engine: DockerEngine, image: str, tree: trees.Tree, program: str) -> str:
    """What a program says that has a tree's site-packages on its path."""
    result = engine.run(
        Task(
            purpose="test",
            image=image,
            command=(TARGET.interpreter, "-v", "-c", program),
            mounts=(Mount(source=str(tree.path / "prefix" / SITE), target="/site"),),
            environment={"PYTHONPATH": "/site"},
        )
    )
    assert result.exit_code == 0, result.stderr
    return result.stdout + result.stderr


def test_the_interpreter_takes_it_without_looking_at_the_source(
    engine: DockerEngine, image_311: str, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, "alpha", files={"alpha/__init__.py": b"def f(): return 1 / 0\n"})
    (tree,) = ensure(tmp_path / "root", engine, image_311, wheel)
    (compiled,) = tree.manifest.bytecode
    assert compiled.path == f"{SITE}/alpha/__pycache__/__init__.cpython-311.pyc"
    assert (tree.path / "prefix" / compiled.path).read_bytes()[4:8] == UNCHECKED_HASH
    said = run(
        engine,
        image_311,
        tree,
        "import alpha, sys; print(alpha.f.__code__.co_filename, alpha.__cached__)",
    )
    assert "/site/alpha/__init__.py /site/alpha/__pycache__/__init__.cpython-311.pyc\n" in said
    assert "code object from '/site/alpha/__pycache__/__init__.cpython-311.pyc'" in said


def test_what_is_compiled_and_what_is_not(
    engine: DockerEngine, image_311: str, tmp_path: Path
) -> None:
    wheel = make_wheel(
        tmp_path,
        "alpha",
        files={
            "alpha/__init__.py": b"",
            "alpha/two.py": b"print 'old'\n",
            "alpha/null.py": b"\0",
            "alpha/deep.py": b"(" * 100_000,
            "alpha/warns.py": b"x = '\\d'\n",
            "alpha/sub.name/odd-name.v2.py": b"x = 1\n",
            "alpha/tests/test_alpha.py": b"",
            "alpha/test/helper.py": b"",
            "alpha/data.txt": b"",
            "alpha-1.0.data/data/share/example.py": b"",
            "alpha-1.0.data/scripts/run.py": b"#!python\n",
        },
    )
    (tree,) = ensure(tmp_path / "root", engine, image_311, wheel)
    manifest = tree.manifest
    assert [file.path.removeprefix(f"{SITE}/") for file in manifest.bytecode] == [
        "alpha/__pycache__/__init__.cpython-311.pyc",
        "alpha/__pycache__/warns.cpython-311.pyc",
        "alpha/sub.name/__pycache__/odd-name.v2.cpython-311.pyc",
    ]
    assert manifest.uncompiled == tuple(
        f"{SITE}/alpha/{name}.py" for name in ("deep", "null", "two")
    )
    assert f"{SITE}/alpha/__pycache__" in manifest.directories
    assert list(manifest.directories) == sorted(manifest.directories)
    assert trees.verify(tree) == []
    on_disk = {
        str(path.relative_to(tree.path / "prefix"))
        for path in (tree.path / "prefix").rglob("*")
        if path.is_file()
    }
    assert on_disk == {file.path for file in (*manifest.files, *manifest.bytecode)}
    assert list((tmp_path / "root" / "tmp").iterdir()) == []


def test_each_interpreter_has_its_own(
    engine: DockerEngine, image_311: str, image_313: str, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, "alpha")
    (old,) = ensure(tmp_path / "root", engine, image_311, wheel)
    newer = target("3.13.5")
    (new,) = ensure(tmp_path / "root", engine, image_313, wheel, interpreter=newer)
    assert [
        file.path.rpartition("/")[2] for file in (*old.manifest.bytecode, *new.manifest.bytecode)
    ] == [
        "alpha.cpython-311.pyc",
        "alpha.cpython-313.pyc",
    ]


def test_the_same_wheel_gives_the_same_bytecode_in_any_company(
    engine: DockerEngine, image_311: str, tmp_path: Path
) -> None:
    source = (
        b"import os\nNAMES = {'a', 'b', 'c', 'd'}\ndef f(x): return x in {'q', 'r', 's', 't'}\n"
    )
    wheel = make_wheel(tmp_path, "alpha", files={f"alpha/m{n}.py": source for n in range(30)})
    other = make_wheel(tmp_path, "aardvark", files={"a.py": b"NAMES = 'a', 'q', 'os', 'f', 'x'\n"})
    (alone,) = ensure(tmp_path / "one", engine, image_311, wheel)
    _, together = ensure(tmp_path / "two", engine, image_311, other, wheel)
    assert alone.manifest == together.manifest


def test_a_source_that_kills_the_compiler_costs_no_other(
    engine: DockerEngine, image_311: str, tmp_path: Path
) -> None:
    sources = {
        "a.py": "a = 1\n",
        "b.py": f"b = {'-' * 2500}1\n",  # too deep for the small stack below
        "c.py": "c = 1\n",
        "z.py": "z = 1\n",
    }
    site = tmp_path / "trees" / "one" / "prefix" / SITE
    site.mkdir(parents=True)
    for name, text in sources.items():
        (site / name).write_text(text)
    output = tmp_path / "output"
    output.mkdir()
    program = files("venvctl").joinpath("container/compile.py").read_text("utf-8")
    result = engine.run(
        Task(
            purpose="test",
            image=image_311,
            command=(
                *("/bin/sh", "-c", 'ulimit -s 256; exec "$@"', "sh"),
                *(TARGET.interpreter, "-I", "-S", "-c", program, "/trees", "/output"),
            ),
            lines=["one"],
            mounts=(
                Mount(source=str(tmp_path / "trees"), target="/trees"),
                Mount(source=str(output), target="/output", read_only=False),
            ),
            user="0:0",
        )
    )
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    compiled = sorted(path.name for path in output.rglob("*.pyc"))
    assert compiled == [f"{name}.cpython-311.pyc" for name in "acz"]


def test_says_what_the_container_said_when_it_fails(
    engine: DockerEngine, image_311: str, tmp_path: Path
) -> None:
    gone = dataclasses.replace(TARGET, interpreter="/usr/bin/python9")
    with pytest.raises(VenvctlError) as caught:
        ensure(
            tmp_path / "root", engine, image_311, make_wheel(tmp_path, "alpha"), interpreter=gone
        )
    assert caught.value.message.startswith("The container that compiles ended with exit code 127: ")
    assert "/usr/bin/python9" in caught.value.message
    assert (
        caught.value.hint
        == "Set the volume's label venvctl.bytecode=off to go on without bytecode."
    )
    assert list(trees.iterate(Store(tmp_path / "root"))) == []
    assert list((tmp_path / "root" / "tmp").iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make files of another owner")
def test_the_container_runs_as_the_owner_of_the_trees(
    engine: DockerEngine, image_311: str, tmp_path: Path
) -> None:
    folder = tmp_path / "trees"
    folder.mkdir()
    manifest = extract(make_wheel(tmp_path, "alpha").path, folder / "a", library="python3.11")
    output = tmp_path / "output"
    output.mkdir(mode=0o700)
    for path in (folder, output):
        os.chown(path, NOBODY, NOBODY)
    with Compiler(folder, output=output, target=TARGET, engine=engine, image=image_311) as compiler:
        compiler.add("a")
        made = compiler.finish({"a": manifest})
    (compiled,) = made["a"].bytecode
    status = (folder / "a" / "prefix" / compiled.path).stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (NOBODY, NOBODY, 0o644)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can fill a file system of its own")
def test_a_full_disk_has_its_own_error(
    engine: DockerEngine, image_311: str, tmp_path: Path, small_disk: Path
) -> None:
    folder = tmp_path / "trees"
    folder.mkdir()
    sources = {f"m{number}.py": b"x = 1\n" * 5000 for number in range(9)}
    wheel = make_wheel(tmp_path, "alpha", files=sources)
    manifest = extract(wheel.path, folder / "a", library="python3.11")
    with Compiler(
        folder, output=small_disk, target=TARGET, engine=engine, image=image_311
    ) as compiler:
        compiler.add("a")
        with pytest.raises(DiskFullError) as caught:
            compiler.finish({"a": manifest})
    assert caught.value.message == (
        f"No space left to write {small_disk}: {os.statvfs(small_disk).f_frsize:,} bytes are "
        f"needed; {disk.free_bytes(small_disk):,} bytes are free."
    )


@pytest.mark.parametrize(
    "member", ["shop/__pycache__", "shop/__pycache__/cart.cpython-311.pyc/note.txt"]
)
def test_a_wheel_that_has_something_else_in_the_place_of_bytecode_goes_without(
    tmp_path: Path, engine: DockerEngine, image_311: str, member: str
) -> None:
    wheel = make_wheel(
        tmp_path,
        "shop",
        files={"shop/cart.py": "X = 1\n", member: "", "other/__init__.py": ""},
    )
    (tree,) = ensure(tmp_path / "root", engine, image_311, wheel)
    assert [file.path for file in tree.manifest.bytecode] == [
        f"{SITE}/other/__pycache__/__init__.cpython-311.pyc"
    ]
    assert (tree.path / "prefix" / SITE / member).is_file()


def test_only_what_was_asked_for_is_taken(
    engine: DockerEngine, image_311: str, tmp_path: Path
) -> None:
    folder = tmp_path / "trees"
    folder.mkdir()
    sources = {"alpha/__init__.py": b"", "beta/__init__.py": b"print 'old'\n"}
    manifest = extract(
        make_wheel(tmp_path, "alpha", files=sources).path, folder / "a", library="python3.11"
    )
    victim = tmp_path / "victim"
    (victim / "__pycache__").mkdir(parents=True)
    precious = victim / "__pycache__" / "__init__.cpython-311.pyc"
    precious.write_bytes(b"somebody else's")
    # As a source might leave it behind that has taken over the compiler.
    output = tmp_path / "output"
    site = output / "a" / SITE
    site.mkdir(parents=True)
    (site / "beta").symlink_to(victim)
    (site / "alpha" / "__pycache__").mkdir(parents=True)
    (site / "alpha" / "__pycache__" / "extra.cpython-311.pyc").write_bytes(b"")
    (site / "alpha" / "extra.py").write_bytes(b"")
    with Compiler(folder, output=output, target=TARGET, engine=engine, image=image_311) as compiler:
        compiler.add("a")
        made = compiler.finish({"a": manifest})
    cache = f"{SITE}/alpha/__pycache__"
    assert [file.path for file in made["a"].bytecode] == [f"{cache}/__init__.cpython-311.pyc"]
    assert names(folder / "a" / "prefix" / cache) == ["__init__.cpython-311.pyc"]
    assert names(folder / "a" / "prefix" / SITE / "alpha") == ["__init__.py", "__pycache__"]
    assert precious.read_bytes() == b"somebody else's"


def test_it_compiles_what_is_ready_while_the_rest_is_not(
    engine: DockerEngine, image_311: str, tmp_path: Path
) -> None:
    folder = tmp_path / "trees"
    folder.mkdir()
    output = tmp_path / "output"
    output.mkdir()
    manifests = {}
    with Compiler(folder, output=output, target=TARGET, engine=engine, image=image_311) as compiler:
        for name in ("alpha", "beta"):
            wheel = make_wheel(tmp_path, name)
            manifests[name] = extract(wheel.path, folder / name, library="python3.11")
            compiler.add(name)
            compiled = output / name / SITE / "__pycache__" / f"{name}.cpython-311.pyc"
            wait_for(compiled.exists, f"the bytecode of {name}")
        made = compiler.finish(manifests)
    assert [len(made[name].bytecode) for name in ("alpha", "beta")] == [1, 1]


def test_a_compiler_that_nobody_waits_for_is_gone(
    engine: DockerEngine, image_311: str, tmp_path: Path
) -> None:
    folder = tmp_path / "trees"
    folder.mkdir()
    output = tmp_path / "output"
    output.mkdir()
    source = "".join(f"y{number} = {number * 7919}\n" for number in range(50_000)).encode()
    wheel = make_wheel(tmp_path, "alpha", files={f"a{n}.py": source for n in range(40)})
    extract(wheel.path, folder / "a", library="python3.11")
    with Compiler(folder, output=output, target=TARGET, engine=engine, image=image_311) as compiler:
        compiler.add("a")
        wait_for(lambda: any(output.rglob("__pycache__")), "the beginning of the work")
    assert engine.remove_helpers() == 0


def test_bytecode_is_never_a_program(engine: DockerEngine, image_311: str, tmp_path: Path) -> None:
    """A source that takes over the compiler could leave a file that runs as its owner."""
    folder = tmp_path / "trees"
    folder.mkdir()
    manifest = extract(
        make_wheel(tmp_path, "alpha", files={"alpha/__init__.py": b""}).path,
        folder / "a",
        library="python3.11",
    )
    output = tmp_path / "output"
    cache = output / "a" / SITE / "alpha" / "__pycache__"
    cache.mkdir(parents=True)
    program = cache / "__init__.cpython-312.pyc"
    program.write_bytes(b"#!/bin/sh\n")
    program.chmod(0o4755)
    with Compiler(folder, output=output, target=TARGET, engine=engine, image=image_311) as compiler:
        compiler.add("a")
        made = compiler.finish({"a": manifest})
    assert len(made["a"].bytecode) == 2
    for file in made["a"].bytecode:
        assert (folder / "a" / "prefix" / file.path).stat().st_mode & 0o7777 == 0o644
