"""Hosts and accounts that fail are left alone, longer each time; each success brings them a rung down."""

from __future__ import annotations

from telecine.core.backoff import Ladder
from telecine.core.events import AccountChanged, HostChanged
from telecine.core.protocol import SourceReport
from telecine.store.held import HeldLease
from telecine.store.transaction import Row, Transaction


def host_failed(tx: Transaction, ladder: Ladder, report: SourceReport) -> int | None:
    """The host of a link climbs a rung; until when it is parked now. None: nothing new.

    One trouble counts once: while a host is parked, the leases that were reading from it all fail. What the host itself
    asked for (`Retry-After`) counts always.
    """
    host = tx.one("host_of_link", {"link_id": report.link_id})
    if host is None:
        return None
    asked_until_ms = tx.now_ms + round((report.retry_after_s or 0.0) * 1000)
    climbs = bool(host["parked_until_ms"] <= tx.now_ms)
    rung = ladder.up(host["rung"]) if climbs else host["rung"]
    until_ms = max(asked_until_ms, tx.now_ms + round(ladder.pause_s(rung) * 1000) if climbs else 0)
    if until_ms <= max(host["parked_until_ms"], tx.now_ms):
        return None
    why = report.reason.value if report.reason else ""
    row = tx.get("park_host", {"host_id": host["id"], "rung": rung, "until_ms": until_ms, "reason": why})
    tx.tell(HostChanged(row["name"], rung, until_ms, why))
    return until_ms


def host_worked(tx: Transaction, lease: HeldLease, link_id: int) -> None:
    """The host of a link that a lease used comes down a rung."""
    tx.execute("calm_host", {"variant_id": lease.variant_id, "fence": lease.fence, "link_id": link_id})


def account_failed(tx: Transaction, ladder: Ladder, account_id: int, why: str) -> int | None:
    """An account climbs a rung and claims nothing for a while; until when. None: it is parked already."""
    account = tx.get("account_on_ladder", {"account_id": account_id})
    if account["uploads_parked_until_ms"] > tx.now_ms:
        return None
    rung = ladder.up(account["rung"])
    until_ms = tx.now_ms + round(ladder.pause_s(rung) * 1000)
    params = {"account_id": account_id, "rung": rung, "until_ms": until_ms, "reason": why}
    tell_parked(tx, tx.get("park_account", params))
    return until_ms


def tell_parked(tx: Transaction, account: Row) -> None:
    """Tell that an account was parked."""
    until_ms = account["uploads_parked_until_ms"], account["sends_parked_until_ms"]
    tx.tell(AccountChanged(account["name"], *until_ms, account["park_reason"]))


def account_worked(tx: Transaction, account_id: int) -> None:
    """An account comes down a rung."""
    tx.execute("calm_account", {"account_id": account_id})
