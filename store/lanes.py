"""The lanes of the queue: one for each source host, and in it one for each account and one that is open to all."""

from __future__ import annotations

import msgspec

from telecine.core.hosts import source_host
from telecine.store.transaction import Transaction

SLICE_ROWS = 200  # in one transaction: bounds how long claims are held up
EVADED_FROM_MS = 10_000  # a host that opens again sooner than this is waited for


def host_id(tx: Transaction, url: str) -> int:
    """Our id of the host that a link points to; a new host gets one."""
    name = source_host(url)
    row = tx.one("host_by_name", {"name": name}) or tx.get("insert_host", {"name": name})
    return int(row["id"])


def relane(tx: Transaction, variant_id: int, *, open_at_ms: int | None = None) -> None:
    """Put a variant into the lane of the link that is tried next, rather at a host that is open at `open_at_ms` (None:
    now), or else at the one that opens first. To be called whenever its links, their fates or its rounds have changed;
    one that has no link left stays where it is."""
    at_ms = tx.now_ms if open_at_ms is None else open_at_ms
    tx.execute("relane_variant", {"variant_id": variant_id, "open_at_ms": at_ms})


class Place(msgspec.Struct, frozen=True):
    """A place in the lanes of one host, in the order of their index; the first one stands before every variant."""

    lane: int = -1
    priority: int = -1
    variant_id: int = -1
    is_end: bool = False


def hosts_to_evade(tx: Transaction) -> dict[int, int | None]:
    """The hosts whose variants are to evade them, and until when they are parked; None: none may read from them."""
    return {row["id"]: row["until_ms"] for row in tx.all("hosts_to_evade", {"at_ms": tx.now_ms + EVADED_FROM_MS})}


def evade(tx: Transaction, host_id: int, after: Place) -> tuple[int, Place]:
    """Of the next `SLICE_ROWS` variants in the lanes of such a host, move those that have links at a host that need
    not be evaded. How many moved, and where to go on."""
    open_at_ms = tx.now_ms + EVADED_FROM_MS
    place = {"host_id": host_id, "lane": after.lane, "priority": after.priority, "id": after.variant_id}
    rows = tx.all("lane_slice", {**place, "limit": SLICE_ROWS})
    moved = 0
    for row in rows:
        if tx.get("has_open_link", {"variant_id": row["id"], "open_at_ms": open_at_ms})["has_open_link"]:
            relane(tx, row["id"], open_at_ms=open_at_ms)
            moved += 1
    if len(rows) < SLICE_ROWS:
        return moved, Place(is_end=True)
    return moved, Place(rows[-1]["lane"], rows[-1]["priority"], rows[-1]["id"])
