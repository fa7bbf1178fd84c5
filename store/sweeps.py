"""What only time does to the queue."""

from __future__ import annotations

from telecine.core.leases import AttemptOutcome, Event, Swept, VariantState
from telecine.store.signal import WorkSignal
from telecine.store.transaction import Transaction
from telecine.store.variants import HeldLease, break_lease, enter_state
from telecine.store.writer import Writer

ROWS_MAX = 500  # in one transaction: bounds how long a sweep holds up claims


class SqliteSweeper:
    """Implements `Sweeper`."""

    def __init__(self, writer: Writer, signal: WorkSignal) -> None:
        self._writer = writer
        self._signal = signal

    async def sweep(self) -> Swept:
        expired = promoted = 0
        while True:
            swept = await self._writer.run(sweep_some)
            expired += swept.expired
            promoted += swept.promoted
            if swept.expired + swept.promoted < ROWS_MAX:
                break
        if expired or promoted:
            self._signal.notify()
        return Swept(expired, promoted, swept.next_due_ms)


def sweep_some(tx: Transaction) -> Swept:
    """Move up to `ROWS_MAX` variants that are due, the longest overdue first."""
    expired = promoted = 0
    for row in tx.all("due_variants", {"now_ms": tx.now_ms, "limit": ROWS_MAX}):
        if row["state"] == VariantState.LEASED:
            break_lease(tx, HeldLease.of(row), Event.EXPIRED, AttemptOutcome.EXPIRED)
            expired += 1
        else:
            enter_state(tx, row["id"], VariantState(row["state"]), Event.DUE)
            promoted += 1
    return Swept(expired, promoted, tx.get("next_due")["due_at_ms"])
