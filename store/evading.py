"""Hosts that are left alone for long: what waits for them and could be read elsewhere does not wait."""

from __future__ import annotations

import msgspec

from telecine.core.events import VariantChanged
from telecine.core.leases import VariantState
from telecine.core.policy import QueuePolicy
from telecine.store.ends import end_round
from telecine.store.lanes import relane
from telecine.store.transaction import Row, Transaction

SLICE_ROWS = 200  # in one transaction: bounds how long claims are held up
EVADED_FROM_MS = 10_000  # a host that opens again sooner than this is waited for


class Place(msgspec.Struct, frozen=True):
    """A place in the lanes of one host, in the order of their indexes, first those of what demands nothing; the first
    place stands before every variant."""

    is_demanding: bool = False
    lane: int = -1
    priority: int = -1
    variant_id: int = -1
    is_end: bool = False


FIRST = Place()
DEMANDING = Place(is_demanding=True)  # the first of those


def hosts_to_evade(tx: Transaction) -> dict[int, int | None]:
    """The hosts whose variants are to evade them, and until when they are parked; None: none may read from them."""
    return {row["id"]: row["until_ms"] for row in tx.all("hosts_to_evade", {"at_ms": tx.now_ms + EVADED_FROM_MS})}


def hosts_with_demanding(tx: Transaction) -> list[int]:
    """The hosts in whose lanes there is what not every worker can take."""
    return [row["host_id"] for row in tx.all("hosts_with_demanding")]


def evade(tx: Transaction, policy: QueuePolicy, host_id: int, after: Place, *, is_closed: bool) -> tuple[int, Place]:
    """Of the next variants in the lanes of such a host, move those that have links at one that need not be evaded; of a
    closed host also those that have links to try in a later round. How many may be claimed now, and where to go on."""
    rows, place = _slice(tx, host_id, after)
    return sum(_evade(tx, policy, row["id"], row["code"], is_closed=is_closed) for row in rows), place


def _slice(tx: Transaction, host_id: int, after: Place) -> tuple[list[Row], Place]:
    """Up to `SLICE_ROWS` variants behind a place, of either kind, and the place behind them."""
    query = "demanding_lane_slice" if after.is_demanding else "lane_slice"
    place = {"host_id": host_id, "lane": after.lane, "priority": after.priority, "id": after.variant_id}
    rows = tx.all(query, {**place, "limit": SLICE_ROWS})
    if len(rows) == SLICE_ROWS:
        return rows, Place(after.is_demanding, rows[-1]["lane"], rows[-1]["priority"], rows[-1]["id"])
    if after.is_demanding:
        return rows, Place(is_end=True)
    demanding, end = _slice(tx, host_id, DEMANDING)
    return rows + demanding, end


def _evade(tx: Transaction, policy: QueuePolicy, variant_id: int, code: str, *, is_closed: bool) -> bool:
    """Whether it could be moved to a host that need not be evaded."""
    open_at_ms = tx.now_ms + EVADED_FROM_MS
    if tx.get("has_open_link", {"variant_id": variant_id, "open_at_ms": open_at_ms})["has_open_link"]:
        relane(tx, variant_id, open_at_ms=open_at_ms)
        return True
    if is_closed:
        state = end_round(tx, policy, variant_id, VariantState.READY)
        if state is not VariantState.READY:
            tx.tell(VariantChanged(code, state))
    return False
