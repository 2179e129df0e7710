"""FAULTS 21: the image has another interpreter now, and containers still run the old one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from promises import unharmed
from venvctl.errors import TargetError
from venvctl.rollback import rollback

if TYPE_CHECKING:
    from engine_fixtures import Unique
    from world import World

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("lock", ["the same", "another"])
def test_no_switch_under_a_running_container(
    settled: World, unique: Unique, image_313: str, lock: str
) -> None:
    web = settled.start(unique("web"))
    settled.wait_for_line(web, "start 1.0 1")
    started = settled.container(web).started_at
    settled.image = image_313
    if lock == "another":
        settled.write_lock(settled.wheel("alpha", "2.0"))

    for _ in range(2):
        with pytest.raises(TargetError) as caught:
            settled.sync()
        assert "3.11" in caught.value.message
        assert "3.13" in caught.value.message
        assert caught.value.hint.startswith("Recreate the containers")  # `up` is for compose

    assert settled.container(web).started_at == started
    assert not unharmed(settled, 1)
    settled.docker("rm", "--force", web)
    result = settled.sync()
    assert any("image" in reason for reason in result.reasons), result.reasons
    assert settled.python("import sys; print(sys.version_info[:2])") == "(3, 13)"
    assert "lib/python3.13" in settled.python("import alpha; print(alpha.__file__)")
    again = settled.start(unique("again"))
    settled.wait_for_line(again, f"start {'1.0' if lock == 'the same' else '2.0'} 2")
    with pytest.raises(TargetError):
        rollback(settled.name, settled.root, to=1, progress=settled.progress)
    assert not unharmed(settled, 2)
