"""Manifests come back as they were, quickly, or not at all."""

from __future__ import annotations

import time

import pytest

from restamp import replaced
from venvctl.manifest import EntryPoint, Manifest, ManifestFile

MANIFEST = Manifest(
    name="alpha",
    version="1.0",
    directories=("lib", "lib/x"),
    files=(
        ManifestFile("lib/x/a.py", "a" * 64, 10, executable=False),
        ManifestFile("bin/tool", "b" * 64, 0, executable=True),
    ),
    bytecode=(ManifestFile("lib/x/a.pyc", "c" * 64, 5, executable=False),),
    raw_scripts=(ManifestFile("run", "d" * 64, 7, executable=True),),
    entry_points=(EntryPoint(name="go", module="alpha", attribute="a.b", kind="gui"),),
    root_is_purelib=False,
    requires_dist=("beta>1",),
    requires_python=">=3.8",
    provides_extra=("more",),
    modules=("alpha",),
    uncompiled=("lib/x/old.py",),
)


def test_comes_back_as_it_was() -> None:
    assert Manifest.from_json(MANIFEST.to_json()) == MANIFEST
    assert MANIFEST.scripts == ("run",)
    assert MANIFEST.size == 22


def test_every_truncation_is_noticed() -> None:
    data = MANIFEST.to_json()
    for length in range(len(data)):
        with pytest.raises(ValueError):  # noqa: PT011 - json's own message differs with the place
            Manifest.from_json(data[:length])


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (b'"schema":1', b'"schema":2', "manifest schema 2 is not 1"),
        (b'"modules"', b'"nodules"', "not a manifest: 'modules'"),
        (b"[10,0],[1]", b"[10,0],[2]", "not a manifest: list assignment index out of range"),
        (b"[10,0]", b"[10]", "not a manifest: its columns differ in length"),
        (b'["lib/x/a.py",', b"[", "not a manifest: its columns differ in length"),
    ],
)
def test_says_what_is_wrong(before: bytes, after: bytes, message: str) -> None:
    data = MANIFEST.to_json()
    assert before in data
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is asserted
        Manifest.from_json(replaced(data, before, after))
    assert str(caught.value) == message


def test_loads_a_large_environment_in_no_time() -> None:
    files = tuple(
        ManifestFile(f"lib/python3.11/site-packages/package/module_{number}.py", "a" * 64, 9, False)  # noqa: FBT003 - a row
        for number in range(250)
    )
    stored = [Manifest(name="a", version="1", directories=(), files=files).to_json()] * 200
    fastest = 1.0
    for _ in range(3):
        start = time.perf_counter()
        assert sum(len(Manifest.from_json(data).files) for data in stored) == 50_000
        fastest = min(fastest, time.perf_counter() - start)
    assert fastest < 0.3  # 0.06 s on a quiet machine
