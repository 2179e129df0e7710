"""What is worked on next, told by a clock that only moves when a test says so."""

from __future__ import annotations

import pytest

from venvctl.backoff import backoff
from venvctl.daemon.orders import Order
from venvctl.daemon.queue import Job, Queue
from venvctl.errors import (
    BusyError,
    DiskFullError,
    EngineError,
    EngineUnreachableError,
    IntegrityError,
    LockError,
    RolloutStuckError,
    RolloutWaitsError,
    TargetError,
    UnavailableError,
    VenvctlError,
)


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> Queue:
    return Queue(clock, lambda: 1.0)


def take(queue: Queue) -> Job:
    job = queue.take()
    assert job is not None
    return job


def test_nothing_heard_is_nothing_to_do(queue: Queue) -> None:
    assert queue.take() is None
    assert queue.wait() is None


def test_one_job_at_a_time_for_each_environment_and_the_others_go_on(queue: Queue) -> None:
    queue.changed("shop")
    queue.changed("blog")

    assert {take(queue).name, take(queue).name} == {"shop", "blog"}

    queue.changed("shop")
    assert queue.take() is None
    assert queue.running() == ["blog", "shop"]


def test_many_changes_are_one_job_and_what_comes_meanwhile_is_one_more(queue: Queue) -> None:
    for _ in range(5):
        queue.changed("shop")
    job = take(queue)
    for _ in range(5):
        queue.changed("shop")

    queue.done(job)

    queue.done(take(queue))
    assert queue.take() is None


def test_orders_go_first_then_changes_then_looks(queue: Queue, clock: Clock) -> None:
    queue.wanted("look", "the daemon started")
    clock.now += 1
    queue.changed("change")
    queue.ordered("order", Order("sync", lambda _: None))

    assert [take(queue).name for _ in range(3)] == ["order", "change", "look"]


def test_orders_of_one_environment_are_done_in_turn(queue: Queue) -> None:
    first, second = Order("sync", lambda _: None), Order("rollback", lambda _: None)
    queue.ordered("shop", first)
    queue.ordered("shop", second)

    job = take(queue)
    assert job.order is first
    assert queue.take() is None
    queue.done(job)
    assert take(queue).order is second


def test_a_file_that_is_still_written_is_looked_at_again_and_keeps_its_reasons(
    queue: Queue, clock: Clock
) -> None:
    queue.wanted("shop", "the engine was away")
    job = take(queue)
    began = clock.now

    queue.again(job, 0.3)

    assert queue.take() is None
    assert queue.wait() == pytest.approx(0.3)
    clock.now += 0.3
    assert take(queue) == Job(name="shop", reasons=("the engine was away",), since=began)


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (BusyError("x"), [0.5, 1, 2, 4, 8, 16, 30, 30]),
        (EngineUnreachableError("x"), [1, 2, 4, 8, 16, 32, 60, 60]),
        (UnavailableError("x"), [5, 10, 20, 40]),
        (DiskFullError("x"), [60, 120, 240]),
        (EngineError("x"), [2, 4, 8, 16, None]),
    ],
)
def test_what_time_can_mend_is_tried_again_ever_later(
    queue: Queue, clock: Clock, error: VenvctlError, waits: list[float | None]
) -> None:
    queue.changed("shop")
    for wait in waits:
        assert queue.done(take(queue), error) == wait
        assert queue.take() is None
        clock.now += wait or 0
    if waits[-1] is not None:
        assert take(queue).reasons == (f"the last attempt failed: {error.code}",)


@pytest.mark.parametrize("kind", [LockError, TargetError, IntegrityError, RolloutStuckError])
def test_what_only_a_change_can_mend_is_not_tried_again(
    queue: Queue, kind: type[VenvctlError]
) -> None:
    queue.changed("shop")

    assert queue.done(take(queue), kind("x")) is None

    assert queue.wait() is None
    assert backoff(kind("x")) is None


def test_new_content_is_looked_at_at_once_and_starts_afresh(queue: Queue, clock: Clock) -> None:
    queue.changed("shop")
    for _ in range(3):
        wait = queue.done(take(queue), UnavailableError("x"))
        assert wait is not None
        clock.now += wait
    queue.done(take(queue), UnavailableError("x"))

    queue.changed("shop")

    assert queue.done(take(queue), UnavailableError("x")) == 5


def test_a_success_forgets_the_failures_before_it(queue: Queue, clock: Clock) -> None:
    queue.changed("shop")
    queue.done(take(queue), UnavailableError("x"))
    clock.now += 5
    queue.done(take(queue))

    queue.changed("shop")

    assert queue.done(take(queue), UnavailableError("x")) == 5


def test_retries_of_many_are_spread(clock: Clock) -> None:
    factors = iter([0.8, 1.2])
    queue = Queue(clock, lambda: next(factors))
    queue.changed("shop")
    queue.changed("blog")

    waits = [queue.done(take(queue), UnavailableError("x")) for _ in range(2)]

    assert waits == [4, 6]


def test_a_look_may_be_put_off_and_a_change_comes_before_it(queue: Queue, clock: Clock) -> None:
    queue.wanted("shop", "its volume was removed", delay=1)
    assert queue.take() is None

    queue.changed("shop")

    assert take(queue).reasons == ("its volume was removed",)
    clock.now += 5
    assert queue.take() is None


def test_what_is_forgotten_is_not_looked_at_but_what_was_ordered_is_done(queue: Queue) -> None:
    queue.changed("shop")
    queue.changed("blog")
    queue.ordered("blog", Order("restore", lambda _: None))

    queue.forget(["shop", "blog", "unknown"])

    job = take(queue)
    assert (job.name, job.order is None) == ("blog", False)
    queue.done(job)
    assert queue.take() is None
    assert queue.waiting() == 0


def test_an_order_that_failed_is_nobodys_business_but_a_rollout_that_waits_goes_on(
    queue: Queue, clock: Clock
) -> None:
    order = Order("rollback", lambda _: None)
    queue.ordered("shop", order)
    assert queue.done(take(queue), EngineError("no")) is None
    queue.ordered("shop", order)
    assert queue.done(take(queue), RolloutWaitsError("not yet")) == 2.0

    for wait in (4.0, 8.0, 16.0, 32.0, 60.0, 60.0):
        clock.now += 60.0
        job = take(queue)
        assert job.reasons == ("the last attempt failed: rollout-waits",)
        assert queue.done(job, RolloutWaitsError("not yet")) == wait
