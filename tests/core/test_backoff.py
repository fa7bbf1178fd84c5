"""Ladders of pauses, and those that the queue climbs."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.core.backoff import Ladder
from telecine.core.errors import InputError
from telecine.core.policy import STANDARD

pauses = st.lists(st.floats(0, 10**6), min_size=1, max_size=8).map(lambda found: Ladder(tuple(sorted(found))))
rungs = st.integers(0, 20)


@given(pauses, rungs)
def test_no_pause_is_shorter_after_another_failure(ladder: Ladder, rung: int) -> None:
    assert 0 <= ladder.pause_s(rung) <= ladder.pause_s(rung + 1) <= ladder.pauses_s[-1]
    reached = min(rung, len(ladder.pauses_s))
    assert ladder.pause_s(ladder.up(reached)) >= ladder.pause_s(reached)


@given(pauses, st.lists(st.booleans(), max_size=40))
def test_whatever_happens_the_rung_stays_on_the_ladder(ladder: Ladder, failures: list[bool]) -> None:
    rung = 0
    for failed in failures:
        rung = ladder.up(rung) if failed else ladder.down(rung)
        assert 0 <= rung <= len(ladder.pauses_s)
        assert ladder.pause_s(rung) == (0.0 if rung == 0 else ladder.pauses_s[rung - 1])


@given(pauses, rungs)
def test_a_success_takes_back_one_failure(ladder: Ladder, rung: int) -> None:
    if rung < len(ladder.pauses_s):
        assert ladder.down(ladder.up(rung)) == rung


def test_the_ground_has_no_pause_and_is_not_left_downwards() -> None:
    ladder = Ladder((5.0, 30.0))
    assert (ladder.pause_s(0), ladder.down(0)) == (0.0, 0)


def test_a_rung_of_a_longer_ladder_has_the_last_pause_and_comes_back_within_reach() -> None:
    """As after the settings were changed: rungs are kept in the database."""
    ladder = Ladder((5.0, 30.0))
    assert (ladder.pause_s(7), ladder.up(7), ladder.down(7)) == (30.0, 2, 6)


@pytest.mark.parametrize("pauses_s", [(), (-1.0,), (5.0, -0.1)])
def test_a_ladder_has_pauses_and_none_is_negative(pauses_s: tuple[float, ...]) -> None:
    with pytest.raises(InputError) as refused:
        Ladder(pauses_s)
    assert refused.value.field == "pauses_s"


@pytest.mark.parametrize("ladder", [STANDARD.rounds, STANDARD.hosts, STANDARD.accounts])
def test_the_ladders_of_the_queue_only_grow(ladder: Ladder) -> None:
    assert all(0 < low < high for low, high in pairwise(ladder.pauses_s))


def test_there_is_a_pause_before_every_round_but_the_first() -> None:
    assert len(STANDARD.rounds.pauses_s) >= STANDARD.rounds_max - 1
