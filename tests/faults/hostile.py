"""Locks a hostile wheel and syncs to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from promises import unharmed
from venvctl.errors import HostileWheelError
from wheelhouse import make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Any

    from world import World


def refusal(
    world: World, options: Mapping[str, Any], change: Callable[[Path], None] | None = None
) -> str:
    """Why the wheel is refused; nothing else has happened, and nothing was written elsewhere."""
    wheel = make_wheel(world.folder, "evil", "6.6", **options)
    if change is not None:
        change(wheel.path)
    world.index.add(wheel.path)
    world.write_lock(world.wheel("alpha", "1.0"), wheel)
    before = sorted(path.name for path in world.folder.iterdir())

    with pytest.raises(HostileWheelError) as caught:
        world.sync()

    now = sorted(path.name for path in world.folder.iterdir())
    assert now == before, now
    found = [
        path
        for path in world.root.path.glob("**/evil*")
        if path.suffix != ".whl" and path.is_file()
    ]
    assert not found, found
    harm = unharmed(world, 1)
    assert not harm, harm
    start = f"The wheel {wheel.file!a} is refused: "
    assert caught.value.message.startswith(start), caught.value.message
    return caught.value.message.removeprefix(start)
