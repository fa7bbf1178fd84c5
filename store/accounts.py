"""Accounts: who is parked, and operators who park and unpark."""

from __future__ import annotations

from telecine.core.errors import InputError, NotFoundError
from telecine.core.events import AccountChanged
from telecine.core.operator_protocol import AccountStatus, Park
from telecine.store.transaction import Row, Transaction


def account_id(tx: Transaction, account: str) -> int:
    """Our id of an account. Raises NotFoundError."""
    row = tx.one("account_by_name", {"account": account})
    if row is None:
        raise _unknown(account)
    return int(row["id"])


def account_statuses(tx: Transaction) -> tuple[AccountStatus, ...]:
    """Every account by name."""
    return tuple(_status(row, tx.now_ms) for row in tx.all("account_statuses", {"account": None}))


def park(tx: Transaction, account: str, asked: Park) -> AccountStatus:
    """Park an account for a while; what it is parked for already is not cut short.

    Raises NotFoundError, InputError for a park of nothing.
    """
    if not (asked.uploads or asked.sends):
        raise InputError("uploads, sends or both are parked; neither was asked for", field="uploads")
    params = {
        "account": account,
        "uploads": asked.uploads,
        "sends": asked.sends,
        "until_ms": tx.now_ms + round(asked.seconds * 1000),
        "reason": asked.reason,
    }
    tx.execute("park_account_longer", params)
    return _tell(tx, account)


def unpark(tx: Transaction, account: str) -> AccountStatus:
    """End every park of an account, and put it back on the ground of its ladder. Raises NotFoundError."""
    tx.execute("unpark_account", {"account": account})
    return _tell(tx, account)


def _tell(tx: Transaction, account: str) -> AccountStatus:
    row = _row(tx, account)
    until_ms = row["uploads_parked_until_ms"], row["sends_parked_until_ms"]
    tx.tell(AccountChanged(account, *until_ms, row["park_reason"]))
    return _status(row, tx.now_ms)


def _row(tx: Transaction, account: str) -> Row:
    row = tx.one("account_statuses", {"account": account})
    if row is None:
        raise _unknown(account)
    return row


def _status(row: Row, now_ms: int) -> AccountStatus:
    uploads_ms, sends_ms = (max(0, row[f"{what}_parked_until_ms"] - now_ms) for what in ("uploads", "sends"))
    return AccountStatus(
        name=row["name"],
        premium=bool(row["premium"]),
        uploads_parked_s=uploads_ms / 1000,
        sends_parked_s=sends_ms / 1000,
        park_reason=row["park_reason"] if uploads_ms or sends_ms else None,
        channels=row["channels"],
        leases=row["leases"],
    )


def _unknown(account: str) -> NotFoundError:
    return NotFoundError(f"there is no account {account}")
