"""The lanes of the queue: one for each source host, and in it one for each account and one that is open to all."""

from __future__ import annotations

from telecine.core.hosts import source_host
from telecine.store.transaction import Transaction


def host_id(tx: Transaction, url: str) -> int:
    """Our id of the host that a link points to; a new host gets one."""
    name = source_host(url)
    row = tx.one("host_by_name", {"name": name}) or tx.get("insert_host", {"name": name})
    return int(row["id"])


def relane(tx: Transaction, variant_id: int) -> None:
    """Put a variant into the lane of the link that is tried next. To be called whenever its links, their fates or its
    rounds have changed; one that has no link left stays where it is."""
    tx.execute("relane_variant", {"variant_id": variant_id, "now_ms": tx.now_ms})
