"""FAULTS 20: no file for this target, or only source, fails before anything is fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from promises import unharmed
from venvctl.errors import VenvctlError
from wheelhouse import make_sdist, make_wheel

if TYPE_CHECKING:
    from world import World

pytestmark = pytest.mark.engine


def _refused(world: World) -> VenvctlError:
    asked = len(world.index.requests)
    with pytest.raises(VenvctlError) as caught:
        world.sync()
    assert not [one.path for one in world.index.requests[asked:] if "/files/" in one.path]
    assert not unharmed(world, 1)
    return caught.value


@pytest.mark.parametrize("tag", ["py3-none-win_amd64", "cp311-cp311-musllinux_1_1_x86_64"])
def test_other_tags_are_shown_beside_those_wanted(settled: World, tag: str) -> None:
    other = make_wheel(settled.folder, "gamma", "1.0", tag=tag)
    settled.index.add(other.path)
    settled.write_lock(settled.wheel("alpha", "9.0"), other)

    error = _refused(settled)

    text = error.message + error.hint
    assert "gamma" in text
    assert tag in text
    assert "cp311" in text


def test_they_are_where_the_files_are_for_another_python(settled: World) -> None:
    tag = "cp312-cp312-manylinux_2_17_x86_64"
    other = make_wheel(settled.folder, "gamma", "1.0", tag=tag, requires_python=">=3.12")
    settled.index.add(other.path, requires_python=">=3.12")
    settled.write_lock(settled.wheel("alpha", "9.0"), other)

    error = _refused(settled)

    assert "its files are for Python >=3.12, and the image has 3.11" in error.message
    assert f"they offer {tag}, and it takes cp311-cp311-linux_x86_64, " in error.message


def test_source_alone_is_no_file(settled: World) -> None:
    source = make_sdist(settled.folder, "gamma", "1.0")
    settled.index.add(source)
    from hashlib import sha256  # noqa: PLC0415 - of this one

    settled.write_lock(settled.wheel("alpha", "9.0"))
    digest = sha256(source.read_bytes()).hexdigest()
    text = settled.lock.read_text() + f"gamma==1.0 --hash=sha256:{digest}\n"
    settled.lock.write_text(text)

    error = _refused(settled)

    assert "gamma" in error.message
    assert "venvctl.builds" in error.hint
