"""Accounts, the workers that speak for them, and the channels they own."""

from __future__ import annotations

from collections import defaultdict

from telecine.core import codes
from telecine.core.errors import ConflictError, ForbiddenError, NotFoundError
from telecine.core.leases import AttemptOutcome, Event, LeaseToken
from telecine.core.operator_protocol import AccountStatus, WorkerLease, WorkerStatus
from telecine.core.protocol import ChannelRef, Hello, Progress, Stage
from telecine.store.transaction import Row, Transaction
from telecine.store.variants import HeldLease, break_lease


def hello(tx: Transaction, worker: str, account: str, facts: Hello, *, channels_wanted: int) -> tuple[ChannelRef, ...]:
    """Register a boot; the channels of its account. Repeating the hello of one boot changes nothing.

    Raises ConflictError for an account that is another Telegram user than before: its channels are the other's.
    """
    account_id = _register_account(tx, account, facts)
    known = tx.one("worker_by_name", {"worker": worker})
    if known is not None and known["boot_id"] != facts.boot_id:
        for row in tx.all("leases_of_worker", {"worker_id": known["id"]}):
            break_lease(tx, HeldLease.of(row), Event.EXPIRED, AttemptOutcome.RESTARTED)
    boot = {"worker": worker, "account_id": account_id, "boot_id": facts.boot_id, "version": facts.version}
    tx.get("upsert_worker", {**boot, "now_ms": tx.now_ms})
    channels = tx.all("channels_of_account", {"account_id": account_id})
    for _ in range(channels_wanted - len(channels)):
        tx.execute("plan_channel", {"account_id": account_id, "now_ms": tx.now_ms})
    return tuple(map(channel_ref, tx.all("channels_of_account", {"account_id": account_id})))


def channel_opened(tx: Transaction, worker: str, channel_id: int, telegram_id: int) -> None:
    """Raises NotFoundError, ConflictError (open under another id, or the id is another channel's), ForbiddenError."""
    row = tx.one("channel_by_id", {"channel_id": channel_id, "worker": worker})
    if row is None:
        raise NotFoundError(f"there is no channel {channel_id}")
    title = codes.channel_code(channel_id)
    if not row["is_own"]:
        raise ForbiddenError(f"{title} belongs to another account")
    if row["telegram_id"] == telegram_id:
        return
    if row["telegram_id"] is not None:
        raise ConflictError(f"{title} is open as {row['telegram_id']} already")
    other = tx.one("channel_by_telegram_id", {"telegram_id": telegram_id})
    if other is not None:
        raise ConflictError(f"{telegram_id} is {codes.channel_code(other['id'])} already")
    tx.execute("open_channel", {"channel_id": channel_id, "telegram_id": telegram_id, "now_ms": tx.now_ms})


def worker_statuses(tx: Transaction, epoch: int) -> tuple[WorkerStatus, ...]:
    leases: defaultdict[int, list[WorkerLease]] = defaultdict(list)
    for row in tx.all("leases_all"):
        leases[row["worker_id"]].append(WorkerLease(row["code"], _progress(row, epoch)))
    return tuple(
        WorkerStatus(
            name=row["name"],
            account=row["account"],
            boot_id=row["boot_id"],
            seen_ago_s=max(0, tx.now_ms - row["seen_at_ms"]) / 1000,
            leases=tuple(leases[row["id"]]),
        )
        for row in tx.all("workers_all")
    )


def account_statuses(tx: Transaction) -> tuple[AccountStatus, ...]:
    return tuple(_account(row, tx.now_ms) for row in tx.all("accounts_all"))


def all_channels(tx: Transaction) -> tuple[ChannelRef, ...]:
    return tuple(map(channel_ref, tx.all("channels_all")))


def channel_ref(row: Row) -> ChannelRef:
    return ChannelRef(row["id"], codes.channel_code(row["id"]), row["telegram_id"])


def _register_account(tx: Transaction, account: str, facts: Hello) -> int:
    known = tx.one("account_by_name", {"account": account})
    if known is not None and known["telegram_user_id"] != facts.telegram_user_id:
        raise ConflictError(
            f"the account {account} is Telegram user {known['telegram_user_id']}, not {facts.telegram_user_id}",
            hint="give the new user an account name of its own; the channels of the old one stay with it",
        )
    params = {"account": account, "telegram_user_id": facts.telegram_user_id, "premium": facts.premium}
    return int(tx.get("upsert_account", params)["id"])


def _progress(row: Row, epoch: int) -> Progress:
    return Progress(
        lease=str(LeaseToken(epoch, row["id"], row["fence"])),
        stage=Stage(row["stage"]),
        link_id=row["progress_link_id"],
        bytes_done=row["bytes_done"],
        bytes_total=row["bytes_total"],
    )


def _account(row: Row, now_ms: int) -> AccountStatus:
    uploads_ms, sends_ms = (max(0, row[f"{what}_parked_until_ms"] - now_ms) for what in ("uploads", "sends"))
    reason = row["park_reason"] if uploads_ms or sends_ms else None
    return AccountStatus(row["name"], bool(row["premium"]), uploads_ms / 1000, sends_ms / 1000, reason)
