"""FAULTS 23: an index that drips, sends elsewhere, or away from HTTPS."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from index import Fault, LocalIndex
from promises import unharmed
from venvctl.errors import UnavailableError
from venvctl.fetch import FetchSettings, fetch
from venvctl.selection import SelectedFile

if TYPE_CHECKING:
    from wheelhouse import BuiltWheel
    from world import World

pytestmark = pytest.mark.engine


def _selected(wheel: BuiltWheel, url: str) -> SelectedFile:
    return SelectedFile(
        name=wheel.name,
        version=wheel.version,
        file=wheel.file,
        kind="wheel",
        sha256=hashlib.sha256(wheel.path.read_bytes()).hexdigest(),
        urls=(url,),
    )


@pytest.mark.parametrize(
    "fault",
    [Fault(drip=0.05), Fault(drip_headers=0.05), Fault(stall_after=100), Fault(stall_headers=True)],
    ids=["bytes", "headers", "stalls", "never begins"],
)
def test_whoever_drips_is_given_up(settled: World, fault: Fault) -> None:
    wheel = settled.wheel("alpha", "2.0")
    settled.index.fault(wheel.file, fault)
    settings = FetchSettings(
        insecure_hosts=frozenset({settled.index.host}), stall=0.4, attempts=2, backoff=0.01
    )
    file = _selected(wheel, settled.index.file_url(wheel.file))

    with pytest.raises(UnavailableError, match=wheel.file):
        fetch([file], settled.root.store, settings=settings, progress=settled.progress)

    assert len(settled.index.requested(wheel.file)) == 2
    assert not unharmed(settled, 1)


def test_a_redirect_to_a_host_that_nobody_named_is_refused(settled: World) -> None:
    wheel = settled.wheel("alpha", "2.0")
    settled.write_lock(wheel)
    with LocalIndex() as other:
        settled.index.fault(wheel.file, Fault(redirect=other.add(wheel.path)))

        with pytest.raises(UnavailableError) as caught:
            settled.sync()

        assert other.requests == []
        assert other.host in caught.value.message, caught.value.message
    assert not unharmed(settled, 1)


def test_credentials_do_not_follow(settled: World) -> None:
    wheel = settled.wheel("alpha", "2.0")
    with LocalIndex(user="me", password="secret") as index, LocalIndex() as other:  # noqa: S106
        index.add(wheel.path)
        index.fault(wheel.file, Fault(redirect=other.add(wheel.path)))
        settings = FetchSettings(insecure_hosts=frozenset({index.host, other.host}))
        url = index.file_url(wheel.file).replace("//", "//me:secret@")

        fetch(
            [_selected(wheel, url)],
            settled.root.store,
            settings=settings,
            progress=settled.progress,
        )

        assert "authorization" in index.requests[-1].headers
        assert all("authorization" not in one.headers for one in other.requests)
