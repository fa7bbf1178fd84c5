"""How a variant changes its state: by the domain's table, and only from the state it was read in."""

from __future__ import annotations

import msgspec

from telecine.core.errors import ConflictError, LeaseLostError, NotFoundError
from telecine.core.leases import AttemptOutcome, Event, VariantState, transition
from telecine.store.attempts import Attempt, record_attempts
from telecine.store.transaction import Row, Transaction

FINISHED = frozenset({VariantState.DONE, VariantState.DEAD, VariantState.CANCELLED, VariantState.WITHDRAWN})


class HeldLease(msgspec.Struct, frozen=True):
    """A lease under way, as it stands in the database."""

    variant_id: int
    fence: int
    rounds: int
    leased_at_ms: int
    stage: str | None
    progress_link_id: int | None
    worker_id: int
    account_id: int

    @classmethod
    def of(cls, row: Row) -> HeldLease:
        return cls(
            variant_id=row["id"],
            fence=row["fence"],
            rounds=row["rounds"],
            leased_at_ms=row["leased_at_ms"],
            stage=row["stage"],
            progress_link_id=row["progress_link_id"],
            worker_id=row["worker_id"],
            account_id=row["account_id"],
        )


def enter_state(tx: Transaction, variant_id: int, state: VariantState, event: Event) -> VariantState:
    """Move a variant that holds no lease. Raises ConflictError where `event` leads nowhere from `state`."""
    target = transition(state, event)
    changed = tx.execute(
        "change_state",
        {
            "variant_id": variant_id,
            "from_state": state.value,
            "state": target.value,
            "finished_at_ms": tx.now_ms if target in FINISHED else None,
        },
    )
    if not changed:
        raise ConflictError(f"the variant is no longer {state.value}")
    return target


def end_lease(
    tx: Transaction,
    lease: HeldLease,
    event: Event,
    *,
    rounds: int | None = None,
    retry_in_s: float = 0.0,
    channel_id: int | None = None,
) -> VariantState:
    """Take a variant out of its lease. A delayed one is due in `retry_in_s`; flood wait and release give the attempt
    back. Raises LeaseLostError where the lease is gone."""
    state = transition(VariantState.LEASED, event)
    ended = tx.execute(
        "end_lease",
        {
            "variant_id": lease.variant_id,
            "fence": lease.fence,
            "state": state.value,
            "due_at_ms": tx.now_ms + round(retry_in_s * 1000) if state is VariantState.DELAYED else None,
            "finished_at_ms": tx.now_ms if state in FINISHED else None,
            "attempts_given_back": int(event in {Event.FLOOD_WAIT, Event.RELEASED}),
            "expiries": int(event is Event.EXPIRED),
            "rounds": lease.rounds if rounds is None else rounds,
            "channel_id": channel_id,
        },
    )
    if not ended:
        raise LeaseLostError("the lease is no longer held")
    return state


def break_lease(tx: Transaction, lease: HeldLease, event: Event, outcome: AttemptOutcome) -> VariantState:
    """End a lease that its worker did not settle, and note why."""
    record_attempts(tx, [unreported(lease, outcome, tx.now_ms)])
    return end_lease(tx, lease, event)


def unreported(lease: HeldLease, outcome: AttemptOutcome, now_ms: int) -> Attempt:
    """The whole lease as one attempt at the link it was last seen at."""
    return Attempt(
        variant_id=lease.variant_id,
        fence=lease.fence,
        worker_id=lease.worker_id,
        account_id=lease.account_id,
        outcome=outcome,
        link_id=lease.progress_link_id,
        stage=lease.stage,
        started_at_ms=min(lease.leased_at_ms, now_ms),
        finished_at_ms=now_ms,
    )


def cancel(tx: Transaction, code: str) -> VariantState:
    """Take a variant out of the queue; its worker, if there is one, learns of it at the next beat.
    Raises NotFoundError, ConflictError."""
    row = _row(tx, code)
    state = VariantState(row["state"])
    if state is VariantState.LEASED:
        return break_lease(tx, HeldLease.of(row), Event.CANCEL, AttemptOutcome.CANCELLED)
    return enter_state(tx, row["id"], state, Event.CANCEL)


def requeue(tx: Transaction, code: str) -> VariantState:
    """Queue a variant with all its links untried; the objects of an earlier upload are retired.
    Raises NotFoundError, ConflictError (leased)."""
    row = _row(tx, code)
    params = {"variant_id": row["id"], "now_ms": tx.now_ms}
    tx.execute("start_over", params)
    state = enter_state(tx, row["id"], VariantState(row["state"]), Event.REQUEUE)
    tx.execute("forget_fates", params)
    tx.execute("retire_objects", params)
    return state


def _row(tx: Transaction, code: str) -> Row:
    row = tx.one("lease_by_code", {"code": code})
    if row is None:
        raise NotFoundError(f"there is no upload target {code}")
    return row
