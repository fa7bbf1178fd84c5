"""Workers: the processes that speak for accounts, what they hold, and what operators let them do."""

from __future__ import annotations

from collections import defaultdict

from telecine.core.errors import ConflictError, NotFoundError
from telecine.core.events import VariantChanged, WorkerChanged
from telecine.core.leases import AttemptOutcome, Event, LeaseToken
from telecine.core.operator_protocol import WorkerLease, WorkerMode, WorkerStatus
from telecine.core.policy import QueuePolicy
from telecine.core.protocol import ChannelRef, Hello, Progress, Stage
from telecine.store.channels import channel_refs, plan_missing
from telecine.store.ends import silent_end, take_back
from telecine.store.held import HeldLease
from telecine.store.transaction import Row, Transaction


def hello(
    tx: Transaction, policy: QueuePolicy, worker: str, account: str, facts: Hello, *, channels_wanted: int
) -> tuple[ChannelRef, ...]:
    """Register a boot; the channels of its account that are not retired. A repeated hello changes nothing.

    Raises ConflictError for an account that is another Telegram user than before: its channels are the other's.
    """
    account_id = _register_account(tx, account, facts)
    known = tx.one("worker_by_name", {"worker": worker})
    if known is not None and known["boot_id"] != facts.boot_id:
        for row in tx.all("leases_of_worker", {"worker_id": known["id"]}):
            state = silent_end(tx, policy, HeldLease.of(row), AttemptOutcome.RESTARTED)
            tx.tell(VariantChanged(row["code"], state, worker))
    boot = {"worker": worker, "account_id": account_id, "boot_id": facts.boot_id, "version": facts.version}
    tx.get("upsert_worker", {**boot, "now_ms": tx.now_ms})
    plan_missing(tx, account_id, wanted=channels_wanted, channels_max=policy.channels_per_account_max)
    return channel_refs(tx, account_id)


def worker_statuses(tx: Transaction, epoch: int) -> tuple[WorkerStatus, ...]:
    """Every worker by name, with the leases that it holds, the oldest first."""
    leases: defaultdict[int, list[WorkerLease]] = defaultdict(list)
    for row in tx.all("leases_all"):
        leases[row["worker_id"]].append(WorkerLease(row["code"], _progress(row, epoch)))
    return tuple(_status(row, tuple(leases[row["id"]]), tx.now_ms) for row in tx.all("workers_all"))


def set_mode(tx: Transaction, policy: QueuePolicy, epoch: int, worker: str, mode: WorkerMode) -> WorkerStatus:
    """Let a worker go on, pause, drain or disable it. What a disabled one held goes back to the queue, the attempts
    unspent; what a paused one holds stays its own while it beats. Raises NotFoundError."""
    known = tx.one("worker_by_name", {"worker": worker})
    if known is None:
        raise NotFoundError(f"there is no worker {worker}")
    if tx.execute("set_worker_mode", {"worker_id": known["id"], "mode": mode.value}):
        tx.tell(WorkerChanged(worker, mode))
    if mode is WorkerMode.DISABLED:
        _take_back(tx, policy, worker, known["id"])
    return next(status for status in worker_statuses(tx, epoch) if status.name == worker)


def _take_back(tx: Transaction, policy: QueuePolicy, worker: str, worker_id: int) -> None:
    for row in tx.all("leases_of_worker", {"worker_id": worker_id}):
        why = "an operator disabled the worker"
        state = take_back(tx, policy, HeldLease.of(row), Event.RELEASED, AttemptOutcome.RELEASED, why)
        tx.tell(VariantChanged(row["code"], state, worker))


def _register_account(tx: Transaction, account: str, facts: Hello) -> int:
    known = tx.one("account_by_name", {"account": account})
    if known is not None and known["telegram_user_id"] != facts.telegram_user_id:
        raise ConflictError(
            f"the account {account} is Telegram user {known['telegram_user_id']}, not {facts.telegram_user_id}",
            hint="give the new user an account name of its own; the channels of the old one stay with it",
        )
    params = {"account": account, "telegram_user_id": facts.telegram_user_id, "premium": facts.premium}
    return int(tx.get("upsert_account", params)["id"])


def _status(row: Row, leases: tuple[WorkerLease, ...], now_ms: int) -> WorkerStatus:
    return WorkerStatus(
        name=row["name"],
        account=row["account"],
        boot_id=row["boot_id"],
        seen_ago_s=max(0, now_ms - row["seen_at_ms"]) / 1000,
        leases=leases,
        mode=WorkerMode(row["mode"]),
        version=row["version"],
    )


def _progress(row: Row, epoch: int) -> Progress:
    return Progress(
        lease=str(LeaseToken(epoch, row["id"], row["fence"])),
        stage=Stage(row["stage"]),
        link_id=row["progress_link_id"],
        bytes_done=row["bytes_done"],
        bytes_total=row["bytes_total"],
    )
