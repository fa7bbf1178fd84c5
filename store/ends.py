"""How a lease ends: by the domain's table, and only while it is held."""

from __future__ import annotations

from telecine.core.errors import LeaseLostError
from telecine.core.leases import (
    FINISHED,
    AttemptOutcome,
    Event,
    LinksLeft,
    VariantState,
    expiry_event,
    failure_event,
    transition,
)
from telecine.core.policy import QueuePolicy
from telecine.store.attempts import record_attempts, unreported
from telecine.store.held import HeldLease
from telecine.store.lanes import relane
from telecine.store.transaction import Transaction

_SILENT = frozenset({Event.EXPIRED, Event.EXPIRED_AGAIN})
_FAILED = frozenset(
    {Event.FAILED_SOURCES_LEFT, Event.FAILED_WORTH_RETRY, Event.FAILED_NOTHING_LEFT, Event.FAILED_UNTRIED}
)


def end_lease(
    tx: Transaction,
    lease: HeldLease,
    event: Event,
    *,
    rounds: int | None = None,
    retry_in_s: float = 0.0,
    channel_id: int | None = None,
    disk_bytes: int | None = None,
) -> VariantState:
    """Take a variant out of its lease. A delayed one is due in `retry_in_s`; flood wait and release give the attempt
    back; whoever says how a lease ended has survived it. What was demanded of disk is not of what is tried after a
    failure. Raises LeaseLostError where the lease is gone."""
    state = transition(VariantState.LEASED, event)
    tx.change(
        "end_lease",
        {
            "variant_id": lease.variant_id,
            "fence": lease.fence,
            "state": state.value,
            "due_at_ms": tx.now_ms + round(retry_in_s * 1000) if state is VariantState.DELAYED else None,
            "finished_at_ms": tx.now_ms if state in FINISHED else None,
            "attempts_given_back": int(event in {Event.FLOOD_WAIT, Event.RELEASED}),
            "expiries": lease.expiries + 1 if event in _SILENT else 0,
            "rounds": lease.rounds if rounds is None else rounds,
            "channel_id": channel_id,
            "disk_bytes": 0 if event in _FAILED else disk_bytes,
        },
        lambda: LeaseLostError("the lease is no longer held"),
    )
    return state


def links_left(tx: Transaction, variant_id: int, rounds: int) -> LinksLeft:
    """What is left of a variant's links in a round."""
    row = tx.get("links_left", {"variant_id": variant_id, "rounds": rounds})
    return LinksLeft(row["triable"], row["passing"], row["closed"], row["larger"])


def end_round(tx: Transaction, policy: QueuePolicy, variant_id: int, state: VariantState) -> VariantState:
    """Move a variant that waits and cannot be read from a link any more: where no other can be tried in this round, as
    if the last of them had failed. What it is in then."""
    rounds = tx.get("rounds_of_variant", {"variant_id": variant_id})["rounds"]
    left = links_left(tx, variant_id, rounds)
    event = failure_event(left, tried=True, rounds=rounds + 1, rounds_max=policy.rounds_max)
    if event is Event.FAILED_SOURCES_LEFT:
        return state
    target = transition(state, event)
    pause_ms = round(policy.rounds.pause_s(rounds + 1) * 1000)
    tx.change(
        "end_round",
        {
            "variant_id": variant_id,
            "from_state": state.value,
            "state": target.value,
            "due_at_ms": tx.now_ms + pause_ms if target is VariantState.DELAYED else None,
            "finished_at_ms": tx.now_ms if target in FINISHED else None,
        },
    )
    return target


def break_lease(
    tx: Transaction, lease: HeldLease, event: Event, outcome: AttemptOutcome, detail: str | None = None
) -> VariantState:
    """End a lease that its worker did not settle, and note why. Its host may have been parked meanwhile: the variant
    waits where it can be read from now."""
    record_attempts(tx, [unreported(lease, outcome, tx.now_ms, detail)])
    state = end_lease(tx, lease, event)
    relane(tx, lease.variant_id)
    return state


def take_back(
    tx: Transaction,
    policy: QueuePolicy,
    lease: HeldLease,
    event: Event,
    outcome: AttemptOutcome,
    detail: str | None = None,
) -> VariantState:
    """As `break_lease`, of what goes back into the queue: where all that could be tried in this round is at hosts that
    were closed meanwhile, the next round is not waited for until they open."""
    state = break_lease(tx, lease, event, outcome, detail)
    return end_round(tx, policy, lease.variant_id, state) if state is VariantState.READY else state


def silent_end(tx: Transaction, policy: QueuePolicy, lease: HeldLease, outcome: AttemptOutcome) -> VariantState:
    """End a lease whose worker is gone without a word. What does that to its workers again and again is set aside."""
    return take_back(tx, policy, lease, expiry_event(lease.expiries + 1), outcome)
