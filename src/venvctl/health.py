"""Whether a container took its new generation well: pure judgement, and the watch that asks it.

A container with a healthcheck is good when that says healthy, and one without when it has run for
the grace time. Either can still turn bad for a while: a healthcheck needs its retries to notice.
That while is `settling_time`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from venvctl.engine.model import Container, Engine
    from venvctl.policy import ServicePolicy

_POLL = 0.1  # seconds between two looks at a container


class Health(StrEnum):
    """What can be said of a container.

    Attributes:
        UNKNOWN: not yet anything.
        GOOD: it took the generation well.
        BAD: it did not.
        GONE: its user stopped, paused or removed it; that is no verdict on the generation.
    """

    UNKNOWN = "unknown"
    GOOD = "good"
    BAD = "bad"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A judgement, and the words for it."""

    health: Health
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A container as it was when it began to run on the generation that is judged.

    Attributes:
        identifier, name: of the container.
        started_at, restart_count: of the engine, then.
        moment: by the monotonic clock, in seconds.
    """

    identifier: str
    name: str
    started_at: str
    restart_count: int
    moment: float

    @classmethod
    def of(cls, container: Container, moment: float) -> Start:
        """A container as it is now."""
        return cls(
            identifier=container.id,
            name=container.name,
            started_at=container.started_at,
            restart_count=container.restart_count,
            moment=moment,
        )


def settling_time(container: Container, policy: ServicePolicy) -> float:
    """Seconds after which a container that still looks good may be believed.

    Something that goes wrong within the grace time must have had the time to show in a healthcheck.
    """
    if not container.health:
        return policy.grace
    noticing = (container.health_retries + 1) * container.health_interval
    return min(policy.grace + noticing, policy.health_timeout)


def judge(
    container: Container | None,
    start: Start,
    policy: ServicePolicy,
    *,
    moment: float,
    by_hand: bool,
) -> Verdict:
    """Judge one container.

    Args:
        container: as it is now; None if there is none of that ID.
        start: as it was when it began to run on the generation.
        policy: how long to wait for what.
        moment: now, by the clock of `start`.
        by_hand: somebody asked the engine to stop, kill or pause it since its start. Only asked
            about a container that does not run as it did.
    """
    if container is None:
        return Verdict(health=Health.GONE, because="it was removed meanwhile")
    if not container.running or container.restart_count > start.restart_count:
        return _judge_ended(container, start, by_hand=by_hand)
    return _judge_running(container, policy, elapsed=moment - start.moment)


def _judge_ended(container: Container, start: Start, *, by_hand: bool) -> Verdict:
    if by_hand:
        return Verdict(health=Health.GONE, because=f"its user made it {container.state}")
    # Where it runs again, the engine has forgotten.
    because = "it ended" + ("" if container.running else f" with exit code {container.exit_code}")
    if container.restart_count > start.restart_count or container.state == "restarting":
        because += ", and the engine started it again"
    return Verdict(health=Health.BAD, because=because)


def _judge_running(container: Container, policy: ServicePolicy, *, elapsed: float) -> Verdict:
    if container.health == "healthy":
        return Verdict(health=Health.GOOD, because="its healthcheck says healthy")
    if container.health == "unhealthy":
        return Verdict(health=Health.BAD, because="its healthcheck says unhealthy")
    if container.health and elapsed >= policy.health_timeout:
        because = f"it was not healthy within {policy.health_timeout:g} seconds"
        return Verdict(health=Health.BAD, because=because)
    if not container.health and elapsed >= policy.grace:
        return Verdict(health=Health.GOOD, because=f"it has run for {policy.grace:g} seconds")
    return Verdict(health=Health.UNKNOWN, because="it has not run for long enough")


def watch(start: Start, policy: ServicePolicy, engine: Engine, *, settle: bool) -> Verdict:
    """Wait until a container can be judged.

    Args:
        start: as it was when it began to run on the generation.
        policy: how long to wait for what.
        engine: who is asked.
        settle: believe a good container only after its settling time.

    Returns:
        Anything but `Health.UNKNOWN`.

    Raises:
        EngineUnreachableError: the engine went away.
    """
    while True:
        container = engine.container(start.identifier)
        moment = time.monotonic()
        if (
            container is not None
            and container.running
            and container.started_at != start.started_at
            and container.restart_count <= start.restart_count
        ):
            # Its user restarted it (the engine counts only its own restarts): it begins anew.
            start = Start.of(container, moment)
        by_hand = (
            container is not None
            and (not container.running or container.restart_count > start.restart_count)
            and engine.stopped_by_hand(start.identifier, since=start.started_at)
        )
        if container is not None and by_hand and container.state == "restarting":
            # Somebody's `docker restart` is under way.
            time.sleep(_POLL)
            continue
        verdict = judge(container, start, policy, moment=moment, by_hand=by_hand)
        settled = (
            container is None
            or not settle
            or moment - start.moment >= settling_time(container, policy)
        )
        if verdict.health in {Health.BAD, Health.GONE}:
            return verdict
        if verdict.health is Health.GOOD and settled:
            return verdict
        time.sleep(_POLL)
