"""What only time does to the queue."""

from __future__ import annotations

from telecine.core.events import QueueSwept
from telecine.core.leases import AttemptOutcome, Event, Swept, VariantState
from telecine.core.policy import QueuePolicy
from telecine.store.copies import CopyPlanner
from telecine.store.ends import silent_end, take_back
from telecine.store.evading import DEMANDING, FIRST, Place, evade, hosts_to_evade, hosts_with_demanding
from telecine.store.held import HeldLease
from telecine.store.lanes import relane
from telecine.store.signal import WorkSignal
from telecine.store.transaction import Row, Transaction
from telecine.store.variants import enter_state
from telecine.store.writer import Writer

ROWS_MAX = 500  # in one transaction: bounds how long a sweep holds up claims


class SqliteSweeper:
    """Implements `Sweeper`."""

    def __init__(self, writer: Writer, signal: WorkSignal, policy: QueuePolicy) -> None:
        self._writer = writer
        self._signal = signal
        self._policy = policy
        self._renewed_due_ms = 0  # a lease that is due by then has not been beaten since all were renewed
        self._copies = CopyPlanner(writer)
        self._evaded: dict[int, int | None] = {}  # host -> the end of the park that its variants have evaded

    async def renew(self) -> None:
        self._renewed_due_ms = await self._writer.run(lambda tx: renew_leases(tx, self._policy))

    async def sweep(self) -> Swept:
        expired = promoted = 0
        while True:
            swept = await self._writer.run(lambda tx: sweep_some(tx, self._policy, self._renewed_due_ms))
            moved = swept.expired + swept.promoted
            self._wake_after(moved)
            expired += swept.expired
            promoted += swept.promoted
            if moved < ROWS_MAX:
                break
        next_due_ms = swept.next_due_ms
        if await self._evade():  # what waits for a later round now may be the next that is due
            next_due_ms = await self._writer.run(_next_due_ms)
        self._wake_after(await self._copies.plan())
        return Swept(expired, promoted, next_due_ms)

    def _wake_after(self, moved: int) -> None:
        """At once: what else there is to do may take a while, or fail."""
        if moved:
            self._signal.notify()

    async def _evade(self) -> bool:
        """Move what waits for hosts that are parked or closed, and has links elsewhere, to where these point: once for
        each park, and again when another host opens, which they may have links to. Whether there was any to look at."""
        ends = await self._writer.run(hosts_to_evade)
        another_opens = bool(self._evaded.keys() - ends.keys())
        changed = {
            host_id: until_ms
            for host_id, until_ms in ends.items()
            if another_opens or host_id not in self._evaded or self._evaded[host_id] != until_ms
        }
        for host_id, until_ms in changed.items():
            await self._evade_host(host_id, is_closed=until_ms is None)
        if another_opens:  # where anyone may try a link of what was left to larger accounts meanwhile
            for host_id in await self._writer.run(hosts_with_demanding):
                await self._evade_host(host_id, DEMANDING)
        self._evaded = ends
        return bool(changed)

    async def _evade_host(self, host_id: int, place: Place = FIRST, *, is_closed: bool = False) -> None:
        while not place.is_end:
            moved, place = await self._writer.run(
                lambda tx, at=place: evade(tx, self._policy, host_id, at, is_closed=is_closed)  # type: ignore[misc]
            )
            self._wake_after(moved)


def renew_leases(tx: Transaction, policy: QueuePolicy) -> int:
    """Let every lease run out a whole term from now, also one that would have held for longer; when that is."""
    due_at_ms = policy.lease_due_at_ms(tx.now_ms)
    tx.execute("renew_leases", {"due_at_ms": due_at_ms})
    return due_at_ms


def sweep_some(tx: Transaction, policy: QueuePolicy, renewed_due_ms: int) -> Swept:
    """Move up to `ROWS_MAX` variants that are due, the longest overdue first."""
    expired = promoted = 0
    for row in tx.all("due_variants", {"now_ms": tx.now_ms, "limit": ROWS_MAX}):
        if row["state"] == VariantState.LEASED:
            _take_back(tx, policy, row, renewed_due_ms)
            expired += 1
        else:
            enter_state(tx, row["id"], VariantState(row["state"]), Event.DUE)
            relane(tx, row["id"])  # the host of its lane may have been parked meanwhile
            promoted += 1
    if expired or promoted:
        tx.tell(QueueSwept(expired, promoted))
    return Swept(expired, promoted, _next_due_ms(tx))


def _next_due_ms(tx: Transaction) -> int | None:
    due_at_ms: int | None = tx.get("next_due")["due_at_ms"]
    return due_at_ms


def _take_back(tx: Transaction, policy: QueuePolicy, row: Row, renewed_due_ms: int) -> None:
    """What had to be renewed may have been given up by a worker that could not beat: nothing is said against the
    variant."""
    lease = HeldLease.of(row)
    if row["due_at_ms"] > renewed_due_ms:
        silent_end(tx, policy, lease, AttemptOutcome.EXPIRED)
    else:
        why = "not beaten since the coordinator or its database was away, or its clock was put"
        take_back(tx, policy, lease, Event.RELEASED, AttemptOutcome.EXPIRED, why)
