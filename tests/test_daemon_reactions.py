"""What follows from an engine's events."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, cast

from venvctl.daemon.feed import Feed
from venvctl.daemon.reactions import EngineListener, Reaction, react
from venvctl.engine.model import Container, Event
from venvctl.errors import EngineUnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from venvctl.engine.model import Engine

IMAGES = {"shop": {"sha256:new"}, "blog": {"sha256:other"}, "fresh": set[str]()}


def event(action: str, *, type_: str = "container", id_: str = "c1") -> Event:
    return Event(type=type_, action=action, id=id_, attributes={}, time=1.0)


def container(image: str, *volumes: str, labels: dict[str, str] | None = None) -> Container:
    return Container(
        id="c1",
        name="web",
        image=image,
        state="running",
        started_at="2026-01-01T00:00:00Z",
        health="",
        labels=labels or {},
        environment={},
        mounts=dict.fromkeys(volumes, ("/venv", False)),
        network_container="",
        auto_remove=False,
        tty=False,
        restart_count=0,
        exit_code=0,
    )


def test_a_removed_volume_is_made_again_a_little_later() -> None:
    gone = react(event("destroy", type_="volume", id_="shop"), None, IMAGES)

    assert gone == [Reaction(name="shop", reason="its volume was removed", delay=1.0)]
    assert react(event("destroy", type_="volume", id_="theirs"), None, IMAGES) == []
    assert react(event("create", type_="volume", id_="shop"), None, IMAGES) == []


def test_a_container_that_starts_with_another_image_is_looked_at() -> None:
    found = react(event("start"), container("sha256:old", "data", "shop"), IMAGES)

    assert found == [Reaction(name="shop", reason="container web started with another image")]


def test_one_that_starts_with_the_known_image_is_not() -> None:
    assert react(event("start"), container("sha256:new", "shop"), IMAGES) == []


def test_what_was_never_synced_has_no_image_to_compare_with() -> None:
    assert react(event("start"), container("sha256:old", "fresh"), IMAGES) == []


def test_what_only_serves_the_files_or_is_a_one_off_or_is_gone_means_nothing() -> None:
    ignored = container("sha256:old", "shop", labels={"venvctl.ignore": "true"})
    one_off = container("sha256:old", "shop", labels={"com.docker.compose.oneoff": "True"})

    assert react(event("start"), ignored, IMAGES) == []
    assert react(event("start"), one_off, IMAGES) == []
    assert react(event("start"), None, IMAGES) == []
    assert react(event("die"), container("sha256:old", "shop"), IMAGES) == []


class Departing:
    """An engine that goes away after its first event, and is back when it is asked again."""

    def __init__(self) -> None:
        self.since: list[float] = []
        self.done = threading.Event()

    def version(self) -> str:
        if len(self.since) == 1 and not self.done.is_set():
            self.done.set()
            raise EngineUnreachableError("The engine does not answer.")
        return "1"

    def events(self, *, since: float) -> Iterator[Event]:
        self.since.append(since)
        if len(self.since) == 1:
            yield Event(type="volume", action="destroy", id="shop", attributes={}, time=7.0)
            raise EngineUnreachableError("The engine ended its events.")
        threading.Event().wait()  # a quiet engine; the thread ends with the process


def test_an_engine_that_returns_is_asked_for_what_was_missed() -> None:
    engine, feed = Departing(), Feed()
    began = time.time()
    heard: list[Reaction] = []
    returned = threading.Event()
    listener = EngineListener(
        cast("Engine", engine),
        images=lambda names: {name: IMAGES[name] for name in names if name in IMAGES},
        wanted=heard.append,
        returned=returned.set,
        feed=feed,
    )

    made = time.time()
    listener.start()

    assert returned.wait(60)
    # What happened before it listened counts too.
    assert began <= engine.since[0] <= made
    assert [each.name for each in heard] == ["shop"]
    with feed.listening(after=0) as told:
        messages = [told.next(1), told.next(1)]
    assert [each.message for each in messages if each] == [
        "The engine ended its events.",
        "The engine answers again.",
    ]
    assert listener.up
    listener.stop()
