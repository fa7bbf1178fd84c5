"""The lanes of the queue: one for each source host, and in it one for each account and one that is open to all."""

from __future__ import annotations

from telecine.core.hosts import source_host
from telecine.store.transaction import Transaction


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
