"""The life of a variant: the table of states, and what a failure means."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.core import leases
from telecine.core.errors import ConflictError, InputError
from telecine.core.leases import Event, LeaseToken, VariantState, transition
from telecine.core.reasons import Reason


@pytest.mark.parametrize(
    ("state", "event", "then"),
    [
        (VariantState.READY, Event.CLAIM, VariantState.LEASED),
        (VariantState.LEASED, Event.DONE, VariantState.DONE),
        (VariantState.LEASED, Event.EXPIRED, VariantState.READY),
        (VariantState.LEASED, Event.FLOOD_WAIT, VariantState.READY),
        (VariantState.DELAYED, Event.DUE, VariantState.READY),
        (VariantState.DEAD, Event.REQUEUE, VariantState.READY),
        (VariantState.DONE, Event.WITHDRAW, VariantState.WITHDRAWN),
    ],
)
def test_the_way_through(state: VariantState, event: Event, then: VariantState) -> None:
    assert transition(state, event) is then


@pytest.mark.parametrize("state", [s for s in VariantState if s is not VariantState.READY])
def test_only_what_is_ready_can_be_claimed(state: VariantState) -> None:
    with pytest.raises(ConflictError, match=state.value):
        transition(state, Event.CLAIM)


@pytest.mark.parametrize("state", [s for s in VariantState if s is not VariantState.LEASED])
@pytest.mark.parametrize("event", [Event.DONE, Event.FAILED_NOTHING_LEFT, Event.EXPIRED, Event.RELEASED])
def test_only_what_is_leased_can_be_settled(state: VariantState, event: Event) -> None:
    with pytest.raises(ConflictError):
        transition(state, event)


@pytest.mark.parametrize("state", [s for s in VariantState if s is not VariantState.LEASED])
def test_an_operator_can_queue_anything_again_that_is_not_leased(state: VariantState) -> None:
    assert transition(state, Event.REQUEUE) is VariantState.READY


def test_every_state_can_be_reached_and_left() -> None:
    moves = set()
    for state, event in itertools.product(VariantState, Event):
        try:
            moves.add((state, transition(state, event)))
        except ConflictError:
            continue
    assert {to for _, to in moves} == set(VariantState)
    assert {source for source, _ in moves} == set(VariantState)


@given(st.integers(0, 5), st.integers(0, 5), st.integers(1, 10))
def test_dead_means_that_nothing_is_left(untried: int, passing: int, rounds: int) -> None:
    event = leases.failure_event(untried=untried, passing=passing, rounds=rounds)
    if event is Event.FAILED_NOTHING_LEFT:
        assert untried == 0
        assert passing == 0 or rounds >= leases.ROUNDS_MAX
    else:
        assert untried or passing


@given(st.integers(1, 100))
def test_backoff_never_shrinks(rounds: int) -> None:
    assert 0 < leases.backoff_s(rounds) <= leases.backoff_s(rounds + 1) <= max(leases.BACKOFF_S)


def test_what_is_gone_stays_gone_and_what_is_slow_may_recover() -> None:
    assert not Reason.GONE.is_passing
    assert not Reason.NOT_MEDIA.is_passing
    assert Reason.STALLED.is_passing
    assert Reason.RATE_LIMITED.is_passing


@given(st.integers(0, 10**17), st.integers(0, 10**17), st.integers(0, 10**17))
def test_lease_tokens_read_back(epoch: int, variant_id: int, fence: int) -> None:
    token = LeaseToken(epoch, variant_id, fence)
    assert LeaseToken.parse(str(token)) == token


@pytest.mark.parametrize("text", ["", "1.2", "1.2.3.4", "1.2.x", "-1.2.3", "01.2.3", "1.2.٣", "1.2." + "9" * 19])
def test_anything_else_is_no_lease_token(text: str) -> None:
    with pytest.raises(InputError):
        LeaseToken.parse(text)
