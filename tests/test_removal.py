"""A removal that was killed is ended by the next one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from estate import Estate
from venvctl.errors import UsageError
from venvctl.removal import remove

if TYPE_CHECKING:
    from pathlib import Path

    from venvctl.engine.model import Engine


def test_asked_for_again_it_takes_the_rest_of_what_is_unknown_by_now(tmp_path: Path) -> None:
    engine = cast("Engine", SimpleNamespace(remove_helpers=lambda: 0))
    estate = Estate(folder=tmp_path, engine=engine)
    estate.add("shop", "a", estate.wheel("alpha"))
    half = estate.root.path / "tmp" / "half"
    half.parent.mkdir(exist_ok=True)
    estate.environment("shop").directory.rename(half)

    with pytest.raises(UsageError, match="There is no environment 'shop'"):
        remove("shop", estate.root)

    assert list(half.parent.iterdir()) == []
