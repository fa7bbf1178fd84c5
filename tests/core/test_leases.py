"""The life of a variant: the table of states, what a failure means, and the names of leases."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.core.errors import ConflictError, InputError
from telecine.core.leases import (
    FINISHED,
    LEASE_CHARS_MAX,
    SILENT_ENDS_MAX,
    Event,
    LeaseToken,
    LinksLeft,
    VariantState,
    expiry_event,
    failure_event,
    transition,
)

# Every event, and where it leads from each state; a dot: nowhere.
TABLE = """
                     ready      leased       delayed    done       dead       quarantined  cancelled  withdrawn
claim                leased     .            .          .          .          .            .          .
done                 .          done         .          .          .          .            .          .
failed_sources_left  .          ready        .          .          .          .            .          .
failed_worth_retry   delayed    delayed      .          .          .          .            .          .
failed_nothing_left  dead       dead         dead       .          .          .            .          .
failed_untried       .          quarantined  .          .          .          .            .          .
flood_wait           .          ready        .          .          .          .            .          .
released             .          ready        .          .          .          .            .          .
expired              .          ready        .          .          .          .            .          .
expired_again        .          quarantined  .          .          .          .            .          .
due                  .          .            ready      .          .          .            .          .
cancel               cancelled  cancelled    cancelled  .          cancelled  cancelled    .          .
requeue              ready      .            ready      ready      ready      ready        ready      ready
withdraw             .          .            .          withdrawn  .          .            .          .
"""


def read_table() -> dict[tuple[VariantState, Event], VariantState | None]:
    head, *lines = TABLE.strip().splitlines()
    states = [VariantState(word) for word in head.split()]
    rows = {Event(line.split()[0]): line.split()[1:] for line in lines}
    return {
        (state, event): None if target == "." else VariantState(target)
        for event, targets in rows.items()
        for state, target in zip(states, targets, strict=True)
    }


MOVES = read_table()


def test_the_table_of_this_page_names_every_pair_of_state_and_event() -> None:
    assert set(MOVES) == set(itertools.product(VariantState, Event))


@pytest.mark.parametrize(("state", "event"), MOVES)
def test_an_event_leads_where_the_table_says_or_nowhere(state: VariantState, event: Event) -> None:
    target = MOVES[state, event]
    if target is not None:
        assert transition(state, event) is target
        return
    with pytest.raises(ConflictError, match=state.value):
        transition(state, event)


def test_every_state_can_be_reached_and_left() -> None:
    moves = {(state, target) for (state, _), target in MOVES.items() if target is not None}
    assert {target for _, target in moves} == set(VariantState)
    assert {state for state, _ in moves} == set(VariantState)


def test_what_is_finished_is_moved_by_people_alone() -> None:
    people = {Event.CANCEL, Event.REQUEUE, Event.WITHDRAW}
    moved = {state for (state, event), target in MOVES.items() if target is not None and event not in people}
    assert set(VariantState) - moved == FINISHED


# ---- what a failure means ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("triable", "passing", "tried", "rounds", "event"),
    [
        (1, 0, True, 1, Event.FAILED_SOURCES_LEFT),
        (1, 1, True, 3, Event.FAILED_SOURCES_LEFT),
        (0, 1, True, 2, Event.FAILED_WORTH_RETRY),
        (0, 1, True, 3, Event.FAILED_NOTHING_LEFT),
        (0, 0, True, 1, Event.FAILED_NOTHING_LEFT),
        (1, 0, False, 2, Event.FAILED_WORTH_RETRY),
        (1, 0, False, 3, Event.FAILED_UNTRIED),
        (0, 0, False, 1, Event.FAILED_NOTHING_LEFT),
    ],
    ids=[
        "another link is tried at once",
        "and in the last round as well",
        "what may pass is tried again later",
        "but not after the last round",
        "what lasts is the end",
        "who fails before a link waits",
        "and is set aside after the last round",
        "no link at all is the end",
    ],
)
def test_a_failure_leads_on_while_there_is_a_link(
    triable: int, passing: int, tried: bool, rounds: int, event: Event
) -> None:
    assert failure_event(LinksLeft(triable, passing), tried=tried, rounds=rounds, rounds_max=3) is event


@pytest.mark.parametrize(
    ("triable", "passing", "tried", "rounds", "event"),
    [
        (1, 0, True, 1, Event.FAILED_SOURCES_LEFT),
        (0, 1, True, 2, Event.FAILED_WORTH_RETRY),
        (0, 1, True, 3, Event.FAILED_SOURCES_LEFT),
        (0, 0, True, 1, Event.FAILED_SOURCES_LEFT),
        (1, 0, False, 3, Event.FAILED_UNTRIED),
    ],
    ids=[
        "another link is tried at once",
        "what may pass is tried again before the host is waited for",
        "after the last round the host is",
        "with nothing else, too",
        "who fails before a link is set aside all the same",
    ],
)
def test_a_failure_waits_for_a_closed_host_when_nothing_else_is_left(
    triable: int, passing: int, tried: bool, rounds: int, event: Event
) -> None:
    assert failure_event(LinksLeft(triable, passing, closed=1), tried=tried, rounds=rounds, rounds_max=3) is event


@pytest.mark.parametrize(
    ("triable", "passing", "tried", "rounds", "event"),
    [
        (1, 0, True, 1, Event.FAILED_SOURCES_LEFT),
        (0, 1, True, 2, Event.FAILED_WORTH_RETRY),
        (0, 1, True, 3, Event.FAILED_SOURCES_LEFT),
        (0, 0, True, 1, Event.FAILED_SOURCES_LEFT),
        (0, 0, False, 2, Event.FAILED_WORTH_RETRY),
        (0, 0, False, 3, Event.FAILED_UNTRIED),
    ],
    ids=[
        "another link is tried at once",
        "what may pass is tried again before a larger account is waited for",
        "after the last round one is",
        "with nothing else, too",
        "one that fails before a link waits",
        "and is set aside after the last round",
    ],
)
def test_a_failure_waits_for_a_larger_account_when_nothing_else_is_left(
    triable: int, passing: int, tried: bool, rounds: int, event: Event
) -> None:
    assert failure_event(LinksLeft(triable, passing, larger=1), tried=tried, rounds=rounds, rounds_max=3) is event


@given(st.builds(LinksLeft, *[st.integers(0, 3)] * 4), st.booleans(), st.integers(1, 6), st.integers(1, 6))
def test_dead_means_that_nothing_is_left_and_delays_come_to_an_end(
    left: LinksLeft, tried: bool, rounds: int, rounds_max: int
) -> None:
    event = failure_event(left, tried=tried, rounds=rounds, rounds_max=rounds_max)
    over = rounds >= rounds_max
    untried = not tried and left.triable + left.larger > 0
    ends = not left.triable and not untried and (over or not left.passing)
    waits = left.closed + left.larger > 0
    assert (event is Event.FAILED_NOTHING_LEFT) == (ends and not waits)
    assert (event is Event.FAILED_SOURCES_LEFT) == ((tried and left.triable > 0) or (ends and waits))
    assert not (event is Event.FAILED_WORTH_RETRY and over)
    assert transition(VariantState.LEASED, event) in VariantState


@pytest.mark.parametrize("silent_ends", range(1, SILENT_ENDS_MAX + 3))
def test_a_variant_that_silences_its_workers_is_set_aside(silent_ends: int) -> None:
    event = expiry_event(silent_ends)
    assert event is (Event.EXPIRED if silent_ends < SILENT_ENDS_MAX else Event.EXPIRED_AGAIN)


def test_one_silent_end_is_forgiven() -> None:
    assert expiry_event(1) is Event.EXPIRED


# ---- names of leases -----------------------------------------------------------------------------


@given(st.integers(0, 10**17), st.integers(0, 10**17), st.integers(0, 10**17))
def test_lease_tokens_read_back(epoch: int, variant_id: int, fence: int) -> None:
    token = LeaseToken(epoch, variant_id, fence)
    assert LeaseToken.parse(str(token)) == token


def test_no_lease_token_is_longer_than_what_is_said_of_it() -> None:
    longest = ".".join(3 * ["9" * 18])
    assert str(LeaseToken.parse(longest)) == longest
    assert len(longest) == LEASE_CHARS_MAX


@pytest.mark.parametrize("text", ["", "1.2", "1.2.3.4", "1.2.x", "-1.2.3", "01.2.3", "1.2.٣", "1.2." + "9" * 19])
def test_anything_else_is_no_lease_token(text: str) -> None:
    with pytest.raises(InputError):
        LeaseToken.parse(text)
