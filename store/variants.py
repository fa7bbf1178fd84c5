"""How a variant that holds no lease changes its state: by the domain's table, only from the state it was read in."""

from __future__ import annotations

from telecine.core.errors import ConflictError, NotFoundError
from telecine.core.leases import FINISHED, AttemptOutcome, Event, VariantState, transition
from telecine.store.ends import break_lease
from telecine.store.held import HeldLease
from telecine.store.lanes import relane
from telecine.store.transaction import Row, Transaction


def enter_state(
    tx: Transaction, variant_id: int, state: VariantState, event: Event, *, waits_for_link: bool = False
) -> VariantState:
    """Move a variant that holds no lease. `waits_for_link`: it is cancelled only because it has none, and comes back
    with the next. Raises ConflictError where `event` leads nowhere from `state`."""
    target = transition(state, event)
    changed = tx.execute(
        "change_state",
        {
            "variant_id": variant_id,
            "from_state": state.value,
            "state": target.value,
            "finished_at_ms": tx.now_ms if target in FINISHED else None,
            "waits_for_link": waits_for_link,
        },
    )
    if not changed:
        raise ConflictError(f"the variant is no longer {state.value}")
    return target


def cancel(tx: Transaction, code: str) -> VariantState:
    """Take a variant out of the queue; its worker, if there is one, learns of it at the next beat. One that is out for
    want of a link stays out when there is one. Raises NotFoundError, ConflictError."""
    row = _row(tx, code)
    state = VariantState(row["state"])
    if tx.execute("stay_cancelled", {"variant_id": row["id"]}):
        return state
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
    relane(tx, row["id"])
    return state


def _row(tx: Transaction, code: str) -> Row:
    row = tx.one("lease_by_code", {"code": code})
    if row is None:
        raise NotFoundError(f"there is no upload target {code}")
    return row
