"""Telling the log what is wrong for many callers, once in a while."""

from __future__ import annotations

import pytest
from tests.clocks import JumpingClock

from telecine.core.coordinator.complaints import COMPLAINT_EVERY_S, COMPLAINTS_MAX, Complaints


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock(1000.0)


@pytest.fixture
def complaints(clock: JumpingClock) -> Complaints:
    return Complaints(clock)


def test_complaint_is_told_at_once_and_then_once_in_a_while_with_the_number_held_back(
    complaints: Complaints, clock: JumpingClock
) -> None:
    assert [complaints.heard("full") for _ in range(3)] == [0, None, None]
    clock.now_s += COMPLAINT_EVERY_S
    assert [complaints.heard("full") for _ in range(2)] == [2, None]


def test_complaints_do_not_hold_each_other_back(complaints: Complaints) -> None:
    assert [complaints.heard(one) for one in ("full", "gone", "full")] == [0, 0, None]


def test_complaints_that_are_all_different_are_not_remembered_for_ever(complaints: Complaints) -> None:
    assert {complaints.heard(f"{number}") for number in range(COMPLAINTS_MAX + 1)} == {0}
    assert complaints.heard("0") == 0, "forgotten"
    assert complaints.heard(f"{COMPLAINTS_MAX}") is None, "remembered"
