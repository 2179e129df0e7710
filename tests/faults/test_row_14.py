"""FAULTS 14: nothing that a lock says becomes a path, and no weak word is taken for a hash."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from promises import unharmed
from venvctl.errors import VenvctlError

if TYPE_CHECKING:
    from world import World

pytestmark = pytest.mark.engine
_HASH = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "line",
    [
        f"alpha==2.0 --hash=sha256:{_HASH.upper()}",
        f"alpha==2.0 --hash=sha256:{_HASH[:-1]}",
        "alpha==2.0 --hash=md5:d41d8cd98f00b204e9800998ecf8427e",
        "alpha==2.0 --hash=sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709",
        f"alpha @ file:///etc/passwd --hash=sha256:{_HASH}",
        f"alpha @ http://127.0.0.2:1/alpha-2.0-py3-none-any.whl --hash=sha256:{_HASH}",
        f"alpha @ https://127.0.0.2:1/..%2f..%2falpha-2.0-py3-none-any.whl --hash=sha256:{_HASH}",
        f"../../alpha==2.0 --hash=sha256:{_HASH}",
        "-r ../../../../../../etc/hostname",
        f"./alpha-2.0-py3-none-any.whl --hash=sha256:{_HASH}",
    ],
)
def test_a_line_that_nobody_may_follow(settled: World, line: str) -> None:
    asked = len(settled.index.requests)
    settled.write_lock(settled.wheel("beta", "1.0"))
    text = settled.lock.read_text() + line + "\n"
    settled.lock.write_text(text)
    before = sorted(path.name for path in settled.folder.iterdir())

    with pytest.raises(VenvctlError) as caught:
        settled.sync()

    assert caught.value.exit_code in {4, 5}, caught.value
    assert sorted(path.name for path in settled.folder.iterdir()) == before
    assert not [one for one in settled.index.requests[asked:] if "alpha" in one.path]
    assert not unharmed(settled, 1)
