"""FAULTS 6: content of another hash is named with both digests, and asked for once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from index import Fault
from promises import unharmed
from venvctl.errors import IntegrityError

if TYPE_CHECKING:
    from world import World

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("change", ["a bit", "a byte more", "nothing left", "another wheel"])
def test_the_current_generation_stays(settled: World, change: str) -> None:
    wheel = settled.wheel("alpha", "2.0")
    data = wheel.path.read_bytes()
    changed = {
        "a bit": bytes([data[0] ^ 1]) + data[1:],
        "a byte more": data + b"\0",
        "nothing left": b"",
        "another wheel": settled.wheel("beta", "2.0").path.read_bytes(),
    }[change]
    settled.write_lock(wheel)
    settled.index.fault(wheel.file, Fault(content=changed))

    with pytest.raises(IntegrityError) as caught:
        settled.sync()

    for part in ("alpha", wheel.file, wheel.sha256, hashlib.sha256(changed).hexdigest()):
        assert part in caught.value.message, caught.value.message
    assert len(settled.index.requested(wheel.file)) == 1
    assert not unharmed(settled, 1)
