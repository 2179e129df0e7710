"""A seal is believed only if it is that of its own generation, and names nothing but digests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import restamp
from estate import SITE, TARGET, Estate
from venvctl.errors import IntegrityError
from venvctl.seal import Seal

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def generation(tmp_path: Path) -> Path:
    estate = Estate(folder=tmp_path)
    return estate.add("shop", "a", estate.wheel("alpha"), estate.wheel("beta")).path


def change(generation: Path, name: str, value: object) -> None:
    restamp.change(generation / "seal.json", name, value)


def test_it_is_read_back(generation: Path) -> None:
    seal = Seal.load(generation)

    assert (seal.number, seal.key, seal.mount) == (1, "a" * 32, "/venv")
    assert (seal.target, seal.image, seal.created_by) == (TARGET, "sha256:image", "venvctl 0.1.0")
    assert [package.origin.name for package in seal.packages] == ["alpha", "beta"]
    assert {package.bytecode for package in seal.packages} == {False}
    assert f"{SITE}/_venvctl_pin.py" in seal.generated


def test_one_that_is_missing_says_so(generation: Path) -> None:
    (generation / "seal.json").unlink()

    with pytest.raises(IntegrityError) as caught:
        Seal.load(generation)

    assert caught.value.message == (
        f"The seal of the generation {generation} can't be read: "
        f"[Errno 2] No such file or directory: '{generation}/seal.json'."
    )
    assert caught.value.hint == "`venvctl restore` makes the environment's generation anew."


def test_that_of_another_generation_is_refused(generation: Path) -> None:
    change(generation, "number", 2)

    with pytest.raises(IntegrityError) as caught:
        Seal.load(generation)

    assert caught.value.message == (f"The generation {generation} has the seal of 2-{'a' * 32}.")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("schema", 2, "its schema 2 is not known"),
        ("target", {}, "'interpreter'"),
        ("packages", [{}], "'name'"),
        (
            "generated",
            {"../../etc/passwd": "0" * 64},
            "'../../etc/passwd' climbs out of its folder",
        ),
        ("generated", {"/etc/passwd": "0" * 64}, "'/etc/passwd' is an absolute path"),
        ("generated", {"bin/activate": "no"}, "'no' is not a SHA-256"),
        ("generated", ["bin/activate"], "'list' object has no attribute 'items'"),
    ],
)
def test_one_that_says_something_else_is_refused(
    generation: Path, name: str, value: object, reason: str
) -> None:
    change(generation, name, value)

    with pytest.raises(IntegrityError) as caught:
        Seal.load(generation)

    assert caught.value.message == (
        f"The seal of the generation {generation} can't be read: {reason}."
    )


def test_a_tree_of_another_wheel_is_refused(generation: Path) -> None:
    packages = json.loads((generation / "seal.json").read_bytes())["packages"]
    packages[0]["tree"] = packages[1]["tree"]
    change(generation, "packages", packages)

    with pytest.raises(IntegrityError) as caught:
        Seal.load(generation)

    assert caught.value.message == (
        f"The seal of the generation {generation} can't be read: "
        f"'{packages[1]['tree']}' is not a tree of alpha-1.0-py3-none-any.whl."
    )


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "\x00"])
def test_what_is_no_seal_at_all_is_refused(generation: Path, text: str) -> None:
    (generation / "seal.json").write_text(text)

    with pytest.raises(IntegrityError):
        Seal.load(generation)
