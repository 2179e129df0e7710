"""Unpacking: what lands on disk is what uv installs, and what RECORD says, or nothing is used."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import subprocess
import zipfile
from typing import TYPE_CHECKING

import pytest
import uv

from test_archives import patch
from venvctl.errors import HostileWheelError
from venvctl.extraction import extract, modules
from venvctl.manifest import Manifest
from wheelhouse import EXECUTABLE, BuiltWheel, make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INFO = "demo_wheel-1.0.dist-info"
DATA = "demo_wheel-1.0.data"
SITE = "lib/python3.11/site-packages"
FILES = {
    "demo_wheel/__init__.py": b"x = 1\n",
    "demo_wheel/tool": b"#!/bin/sh\n",
    "demo_wheel/secret.py": b"",
    "demo_wheel/untyped": b"",
    "demo_wheel/empty/": b"",
    "demo_wheel/__pycache__/cached.nbi": b"not bytecode",
    "demo_wheel/__pycache__/__init__.cpython-311.pyc": b"unreadable code",
    "demo_wheel/lone.pyc": b"sourceless",
    "demo-wheel.pth": b"",
    f"{DATA}/scripts/run.py": b"#!python -s\nprint(1)\n",
    f"{DATA}/scripts/window": b"#!pythonw\nprint(1)\n",
    f"{DATA}/scripts/shell": b"#!/bin/sh\n",
    f"{DATA}/data/share/demo/notes": b"text",
    f"{DATA}/data/etc/hook": b"#!/bin/sh\n",
    f"{DATA}/data/lib64/demo/x": b"through the link",
    f"{DATA}/headers/demo.h": b"int x;",
    f"{DATA}/purelib/pure_demo.py": b"1\n",
    f"{DATA}/platlib/plat_demo.py": b"2\n",
    f"{INFO}/INSTALLER": b"somebody else\n",
    f"{INFO}/licenses/LICENSE": b"free",
}
MODES = {
    "demo_wheel/tool": EXECUTABLE,
    "demo_wheel/secret.py": 0o100400,
    "demo_wheel/untyped": 0o755,
    f"{DATA}/data/etc/hook": EXECUTABLE,
}
SCRIPTS = "[console_scripts]\ndemo = demo_wheel:x [extra]\n[gui_scripts]\ndemo-gui = demo_wheel:x\n"


@pytest.fixture
def wheel(tmp_path: Path) -> BuiltWheel:
    return make_wheel(tmp_path, "Demo.Wheel", files=FILES, modes=MODES, entry_points=SCRIPTS)


@pytest.fixture
def strict_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def unpack(wheel: BuiltWheel, tree: Path) -> Manifest:
    return extract(wheel.path, tree, library="python3.11")


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder: its path, mode and content."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mode & 0o777, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def test_writes_what_uv_installs(wheel: BuiltWheel, tmp_path: Path) -> None:
    uv_program = uv.find_uv_bin()
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    peer = tmp_path / "peer"
    for command in (
        ["venv", "--python", "3.11", "--no-project", str(peer)],
        ["pip", "sync", "--python", str(peer / "bin/python"), "--link-mode=copy", "requirements"],
    ):
        (tmp_path / "requirements").write_text(f"demo-wheel @ {wheel.path.as_uri()}\n")
        subprocess.run(
            [uv_program, "--quiet", "--offline", "--no-config", *command],
            env=environment,
            cwd=tmp_path,
            check=True,
        )
    bare = tmp_path / "bare"
    subprocess.run(
        [uv_program, "--quiet", "--offline", "--no-config", "venv", "--python", "3.11", str(bare)],
        env=environment,
        check=True,
    )
    installed = {
        path: what
        for path, what in contents(peer).items()
        if path not in contents(bare)
        # What differs on purpose: scripts that name the environment, and notes of the installer.
        and path not in {".lock", "bin/demo", "bin/demo-gui", "bin/run.py", "bin/window"}
        and path.rpartition("/")[2]
        not in {"INSTALLER", "RECORD", "direct_url.json", "uv_cache.json"}
        and not path.endswith(".cpython-311.pyc")
    }
    unpack(wheel, tmp_path / "tree")
    ours = {
        path: what
        for path, what in contents(tmp_path / "tree" / "prefix").items()
        if path.rpartition("/")[2] not in {"INSTALLER", "RECORD"}
    }
    assert ours == installed
    assert f"{SITE}/{INFO}/REQUESTED" in ours
    assert f"{SITE}/demo_wheel/tool" in ours


@pytest.mark.usefixtures("strict_umask")
def test_the_manifest_says_what_is_on_disk(wheel: BuiltWheel, tmp_path: Path) -> None:
    manifest = unpack(wheel, tmp_path / "tree")
    prefix = tmp_path / "tree" / "prefix"
    assert {
        file.path: (0o755 if file.executable else 0o644, file.sha256, file.size)
        for file in manifest.files
    } == {
        path: (mode, hashlib.sha256(content).hexdigest(), len(content))
        for path, (mode, content) in contents(prefix).items()
    }
    found = sorted(str(path.relative_to(prefix)) for path in prefix.rglob("*") if path.is_dir())
    assert list(manifest.directories) == found
    assert f"{SITE}/demo_wheel/empty" in found
    modes = {
        path.stat().st_mode & 0o777 for path in (tmp_path / "tree").rglob("*") if path.is_dir()
    }
    assert modes == {0o755}
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_scripts_for_this_python_wait_outside_the_prefix(wheel: BuiltWheel, tmp_path: Path) -> None:
    manifest = unpack(wheel, tmp_path / "tree")
    assert manifest.scripts == ("run.py", "window")
    assert contents(tmp_path / "tree" / "scripts") == {
        "run.py": (0o755, b"#!python -s\nprint(1)\n"),
        "window": (0o755, b"#!pythonw\nprint(1)\n"),
    }


def test_record_lists_what_is_installed(wheel: BuiltWheel, tmp_path: Path) -> None:
    manifest = unpack(wheel, tmp_path / "tree")
    text = (tmp_path / "tree" / "prefix" / SITE / INFO / "RECORD").read_text()
    rows = {row[0]: row[1:] for row in csv.reader(text.splitlines())}
    assert len(rows) == len(text.splitlines())
    generated = {f"../../../bin/{name}" for name in ("demo", "demo-gui", "run.py", "window")}
    assert {path for path, row in rows.items() if row == ["", ""]} == {*generated, f"{INFO}/RECORD"}
    installed = {os.path.normpath(f"{SITE}/{path}") for path in rows if path not in generated}
    assert installed == {file.path for file in manifest.files}
    assert rows[f"{INFO}/REQUESTED"] == ["sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU", "0"]
    installer = tmp_path / "tree" / "prefix" / SITE / INFO / "INSTALLER"
    assert installer.read_text() == "venvctl\n"


def test_bytecode_of_a_wheel_is_left_behind(wheel: BuiltWheel, tmp_path: Path) -> None:
    paths = {file.path for file in unpack(wheel, tmp_path / "tree").files}
    cache = f"{SITE}/demo_wheel/__pycache__"
    assert {path for path in paths if path.startswith(cache)} == {f"{cache}/cached.nbi"}


def test_importable_names(wheel: BuiltWheel, tmp_path: Path) -> None:
    assert unpack(wheel, tmp_path / "tree").modules == ("demo_wheel", "plat_demo", "pure_demo")
    paths = ["s/a.cpython-311-x86_64-linux-gnu.so", "s/b/c/d.py", "s/e.txt", "s/f-g.py", "bin/h.py"]
    assert modules(paths, "s") == ("a", "b")


def refusal(wheel: BuiltWheel, tmp_path: Path) -> str:
    with pytest.raises(HostileWheelError) as caught:
        unpack(wheel, tmp_path / "tree")
    return caught.value.message.removeprefix(f"The wheel {wheel.file!a} is refused: ")


@pytest.mark.parametrize("size", [20, 9 << 20])
def test_refuses_content_that_is_not_what_record_says(tmp_path: Path, size: int) -> None:
    wheel = make_wheel(
        tmp_path, "evil", files={"x": os.urandom(size)}, record={"x": f"sha256={'A' * 43},{size}"}
    )
    assert refusal(wheel, tmp_path) == "'x' is not what RECORD says."


@pytest.mark.parametrize("real", [2000, 9 << 20])
@pytest.mark.parametrize("difference", [-1, 1])
def test_refuses_a_lying_size(tmp_path: Path, real: int, difference: int) -> None:
    content = os.urandom(real)
    wheel = make_wheel(tmp_path, "evil", files={"x": content}, record={"x": f"{_hash(content)},"})
    patch(wheel.path, "x", 24, real + difference, both=True)
    assert refusal(wheel, tmp_path) == "'x' lies about its size."


def test_refuses_what_does_not_inflate(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "evil", files={"x": b"a" * 2000})
    with zipfile.ZipFile(wheel.path) as archive:
        offset = archive.getinfo("x").header_offset
    data = bytearray(wheel.path.read_bytes())
    data[offset + 31] ^= 0xFF
    wheel.path.write_bytes(data)
    assert refusal(wheel, tmp_path).startswith("'x' can't be unpacked (")


def test_refuses_a_damaged_signature(tmp_path: Path) -> None:
    name = "evil-1.0.dist-info/RECORD.jws"
    wheel = make_wheel(tmp_path, "evil", extra=[(name, b"{}")])
    patch(wheel.path, name, 16, 12345, both=True)
    assert refusal(wheel, tmp_path) == f"{name!a} is not what RECORD says."


def test_big_members_are_streamed(tmp_path: Path) -> None:
    content = os.urandom(1 << 20) * 9
    files = {"big": content, "demo_wheel-1.0.data/scripts/tool": b"#!python\n" + content}
    wheel = make_wheel(tmp_path, "demo-wheel", files=files)
    manifest = unpack(wheel, tmp_path / "tree")
    assert (tmp_path / "tree" / "prefix" / SITE / "big").read_bytes() == content
    assert (tmp_path / "tree" / "scripts" / "tool").read_bytes() == b"#!python\n" + content
    (big,) = (file for file in manifest.files if file.path == f"{SITE}/big")
    assert (big.sha256, big.size) == (hashlib.sha256(content).hexdigest(), len(content))


@pytest.mark.parametrize("more", [1, 100, 257])
def test_what_the_inflater_holds_back_at_the_end_is_not_lost(tmp_path: Path, more: int) -> None:
    # With zeros, the last bytes of input are taken in before the last bytes of output come out.
    content = bytes((9 << 20) + more) + b"x"
    wheel = make_wheel(tmp_path, "demo-wheel", files={"big": content[:-1], "odd": content})
    unpack(wheel, tmp_path / "tree")
    assert (tmp_path / "tree" / "prefix" / SITE / "big").stat().st_size == len(content) - 1


def test_a_stronger_hash_is_checked_too(tmp_path: Path) -> None:
    digest = "ujJgQ1NIcS_a9rfMcJUPJHJDKlVgKfoLjLnL_MmxKIVHFtDi4RZJgEAIGgxpkRhD"
    wheel = make_wheel(tmp_path, "evil", record={"evil.py": f"sha384={digest},"})
    assert refusal(wheel, tmp_path) == "'evil.py' is not what RECORD says."


def _hash(content: bytes) -> str:
    digest = hashlib.sha256(content).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
