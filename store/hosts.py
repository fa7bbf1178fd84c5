"""Source hosts as operators see and steer them."""

from __future__ import annotations

from telecine.core.errors import NotFoundError
from telecine.core.events import HostChanged
from telecine.core.operator_protocol import HOST_READY_MAX, HostStatus
from telecine.core.policy import QueuePolicy
from telecine.store.transaction import Row, Transaction


def host_statuses(tx: Transaction, policy: QueuePolicy, *, after: str, limit: int) -> tuple[HostStatus, ...]:
    """Hosts by name, those behind `after` only."""
    return tuple(_status(row, tx.now_ms) for row in _rows(tx, policy, after=after, limit=limit))


def limit_host(tx: Transaction, policy: QueuePolicy, name: str, leases_max: int | None) -> HostStatus:
    """Raises NotFoundError."""
    tx.execute("limit_host", {"name": name, "leases_max": leases_max})
    return _told(tx, policy, name)


def unpark_host(tx: Transaction, policy: QueuePolicy, name: str) -> HostStatus:
    """Let links of a host be tried again at once, and put it back on the ground of its ladder. Raises NotFoundError."""
    tx.execute("unpark_host", {"name": name})
    return _told(tx, policy, name)


def _told(tx: Transaction, policy: QueuePolicy, name: str) -> HostStatus:
    rows = _rows(tx, policy, name=name)
    if not rows:
        raise NotFoundError(f"there is no source host {name}")
    tx.tell(HostChanged(name, rows[0]["rung"], rows[0]["parked_until_ms"], rows[0]["park_reason"]))
    return _status(rows[0], tx.now_ms)


def _rows(
    tx: Transaction, policy: QueuePolicy, *, name: str | None = None, after: str = "", limit: int = 1
) -> list[Row]:
    params = {
        "name": name,
        "after": after,
        "limit": limit,
        "host_leases_max": policy.host_leases_max,
        "ready_max": HOST_READY_MAX,
    }
    return tx.all("host_statuses", params)


def _status(row: Row, now_ms: int) -> HostStatus:
    parked_ms = max(0, row["parked_until_ms"] - now_ms)
    return HostStatus(
        name=row["name"],
        leases=row["leases"],
        leases_max=row["leases_max"],
        rung=row["rung"],
        parked_s=parked_ms / 1000,
        park_reason=row["park_reason"] if parked_ms else None,
        ready=row["ready"],
    )
