"""When a lock counts as saved."""

from __future__ import annotations

import pytest

from venvctl.settling import Settling, Verdict

SAME, MOVING, SETTLED, MISSING = Verdict.SAME, Verdict.MOVING, Verdict.SETTLED, Verdict.MISSING


def looks(settling: Settling, *seen: tuple[float, str]) -> list[Verdict]:
    return [settling.look({"lock": digest}, now) for now, digest in seen]


@pytest.fixture
def settling() -> Settling:
    return Settling({"lock": "a"}, quiet=0.3)


def test_what_was_served_is_no_change(settling: Settling) -> None:
    assert looks(settling, (0, "a"), (9, "a")) == [SAME, SAME]


def test_a_change_counts_once_it_is_at_rest(settling: Settling) -> None:
    assert looks(settling, (1.0, "b"), (1.2, "b"), (1.4, "b")) == [MOVING, MOVING, SETTLED]
    assert settling.changed_at == 1.0


def test_a_file_that_is_still_written_waits_for_the_last_content(settling: Settling) -> None:
    seen = [(1.0, "b"), (1.2, "c"), (1.4, "d"), (1.6, "d"), (1.8, "d")]

    assert looks(settling, *seen) == [MOVING, MOVING, MOVING, MOVING, SETTLED]
    assert settling.changed_at == 1.0


def test_it_is_known_when_to_look_again(settling: Settling) -> None:
    looks(settling, (1.0, "b"), (1.2, "c"))

    assert settling.due == pytest.approx(1.5)


def test_a_change_that_is_taken_back_is_none(settling: Settling) -> None:
    assert looks(settling, (1.0, "b"), (1.1, "a"), (5.0, "a")) == [MOVING, SAME, SAME]
    assert looks(settling, (6.0, "b")) == [MOVING]
    assert settling.changed_at == 6.0


def test_what_was_acted_on_counts_no_more(settling: Settling) -> None:
    looks(settling, (1.0, "b"), (2.0, "b"))
    settling.served({"lock": "b"})

    assert looks(settling, (2.1, "b"), (3.0, "a"), (4.0, "a")) == [SAME, MOVING, SETTLED]


def test_a_save_by_deletion_and_creation_is_no_loss(settling: Settling) -> None:
    assert looks(settling, (1.0, ""), (1.1, "b"), (1.5, "b")) == [MOVING, MOVING, SETTLED]


def test_a_lock_that_is_gone_is_told_once_and_never_acted_on(settling: Settling) -> None:
    seen = [(1.0, ""), (1.4, ""), (2.0, ""), (9.0, "")]

    assert looks(settling, *seen) == [MOVING, MISSING, SAME, SAME]


def test_a_lock_that_comes_back_as_it_was_is_no_change_and_told_again_when_it_goes(
    settling: Settling,
) -> None:
    looks(settling, (1.0, ""), (2.0, ""))

    assert looks(settling, (3.0, "a"), (4.0, ""), (5.0, "")) == [SAME, MOVING, MISSING]


def test_one_missing_file_of_several_keeps_all_waiting() -> None:
    settling = Settling({"lock": "a", "more": "a"}, quiet=0.3)

    assert settling.look({"lock": "b", "more": ""}, 1.0) is MOVING
    assert settling.look({"lock": "b", "more": ""}, 2.0) is MISSING
    assert settling.look({"lock": "b", "more": "a"}, 3.0) is MOVING
    assert settling.look({"lock": "b", "more": "a"}, 4.0) is SETTLED


def test_a_failure_can_be_tried_again_later_though_nothing_changed(settling: Settling) -> None:
    looks(settling, (1.0, "b"), (2.0, "b"))
    settling.served({"lock": "b"})
    settling.retry(30.0)

    assert looks(settling, (29.9, "b"), (30.0, "b"), (30.5, "b")) == [SAME, MOVING, SETTLED]


def test_a_retry_is_not_needed_after_another_change(settling: Settling) -> None:
    settling.retry(30.0)
    looks(settling, (1.0, "c"), (2.0, "c"))
    settling.served({"lock": "c"})

    assert looks(settling, (31.0, "c")) == [SAME]
