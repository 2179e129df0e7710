"""What the daemon does about what happens in the engine, and the thread that hears of it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from venvctl.engine.model import LABEL_HELPER
from venvctl.errors import VenvctlError
from venvctl.rollout import ignores

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from venvctl.daemon.feed import Feed
    from venvctl.engine.model import Container, Engine, Event

# Whoever removes a volume may be about to end its registration too.
_REMOVAL_DELAY = 1.0
_BACKOFF_FIRST = 0.5
_BACKOFF_LONGEST = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """An environment to be synced; why; and in how many seconds."""

    name: str
    reason: str
    delay: float = 0.0


def react(
    event: Event,
    container: Container | None,
    images: Mapping[str, Collection[str]],
) -> list[Reaction]:
    """What follows from an event.

    Args:
        event: what happened.
        container: the one that it happened to, where it is still there.
        images: for each followed environment, the IDs of the images that it was last synced for;
            empty before its first sync.
    """
    if event.type == "volume" and event.action == "destroy" and event.id in images:
        return [Reaction(name=event.id, reason="its volume was removed", delay=_REMOVAL_DELAY)]
    if event.type != "container" or event.action != "start" or container is None:
        return []
    if container.one_off or ignores(container):
        return []
    return [
        Reaction(name=name, reason=f"container {container.name} started with another image")
        for name in sorted(container.mounts)
        if name in images and images[name] and container.image not in images[name]
    ]


class EngineListener:
    """Hears the engine's events, and takes up the thread again when it was away.

    Args:
        engine: what to listen to.
        images: as `react` has them, at this moment, for those of these names that are followed.
        wanted: told of each reaction.
        returned: told when the engine answers again: events may have been missed.
        feed: told when it goes and comes.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        images: Callable[[Iterable[str]], Mapping[str, Collection[str]]],
        wanted: Callable[[Reaction], None],
        returned: Callable[[], None],
        feed: Feed,
    ) -> None:
        self._engine = engine
        self._images = images
        self._wanted = wanted
        self._returned = returned
        self._feed = feed
        self._stopping = threading.Event()
        # What happens before the first stream is open is not missed; it is this host's engine.
        self._since = time.time()
        # As far as is known: it is asked a moment later.
        self.up = True

    def start(self) -> None:
        """Begin to listen, in a thread of its own that ends with the process."""
        # The engine's stream can't be interrupted from here, so nobody waits for this thread.
        threading.Thread(target=self._run, name="engine", daemon=True).start()

    def stop(self) -> None:
        """React to nothing any more."""
        self._stopping.set()

    def _run(self) -> None:
        last, pause, away = self._since, _BACKOFF_FIRST, False
        while not self._stopping.is_set():
            try:
                self._engine.version()
                self.up = True
                if away:
                    self._feed.tell("engine", "The engine answers again.")
                    self._returned()
                away, pause = False, _BACKOFF_FIRST
                for event in self._engine.events(since=last):
                    if self._stopping.is_set():
                        return
                    last = event.time or last
                    self._take(event)
            except VenvctlError as error:
                self.up = False
                if not away:
                    self._feed.tell("engine", error.message)
                away = True
                self._stopping.wait(pause)
                pause = min(_BACKOFF_LONGEST, pause * 2)

    def _take(self, event: Event) -> None:
        starts = event.type == "container" and event.action == "start"
        removal = event.type == "volume" and event.action == "destroy"
        if not (starts or removal):
            return
        if LABEL_HELPER in event.attributes:
            return  # probes and compilers mount no volume
        container = self._engine.container(event.id) if starts else None
        names = container.mounts if container is not None else (event.id,)
        for reaction in react(event, container, self._images(names)):
            self._wanted(reaction)
