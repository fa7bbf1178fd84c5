"""The lanes of the queue: one for each source host, and in it one for each account and one that is open to all."""

from __future__ import annotations

import msgspec

from telecine.core.hosts import source_host
from telecine.store.transaction import Transaction

SLICE_ROWS = 200  # in one transaction: bounds how long claims are held up


def host_id(tx: Transaction, url: str) -> int:
    """Our id of the host that a link points to; a new host gets one."""
    name = source_host(url)
    row = tx.one("host_by_name", {"name": name}) or tx.get("insert_host", {"name": name})
    return int(row["id"])


def relane(tx: Transaction, variant_id: int) -> None:
    """Put a variant into the lane of the link that is tried next. To be called whenever its links, their fates or its
    rounds have changed; one that has no link left stays where it is."""
    tx.execute("relane_variant", {"variant_id": variant_id, "now_ms": tx.now_ms})


class Place(msgspec.Struct, frozen=True):
    """A place in the lanes of one host, in the order of their index; the first one stands before every variant."""

    lane: int = -1
    priority: int = -1
    variant_id: int = -1
    is_end: bool = False


def evade(tx: Transaction, host_id: int, after: Place) -> tuple[int, Place]:
    """Of the next `SLICE_ROWS` variants in the lanes of a parked host, move those that have links elsewhere. How many
    moved, and where to go on."""
    place = {"host_id": host_id, "lane": after.lane, "priority": after.priority, "id": after.variant_id}
    rows = tx.all("lane_slice", {**place, "limit": SLICE_ROWS})
    moved = 0
    for row in rows:
        if tx.get("has_open_link", {"variant_id": row["id"], "now_ms": tx.now_ms})["has_open_link"]:
            relane(tx, row["id"])
            moved += 1
    if len(rows) < SLICE_ROWS:
        return moved, Place(is_end=True)
    return moved, Place(rows[-1]["lane"], rows[-1]["priority"], rows[-1]["id"])
