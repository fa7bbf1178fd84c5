"""Taking a lease and keeping it."""

from __future__ import annotations

import msgspec

from telecine.core import codes
from telecine.core.errors import ConflictError, InputError, StoreError
from telecine.core.leases import AttemptOutcome, LeaseToken, LinkFate
from telecine.core.operator_protocol import WorkerMode
from telecine.core.policy import QueuePolicy
from telecine.core.protocol import (
    SOURCES_PER_LEASE_MAX,
    BeatAnswer,
    BeatRequest,
    ChannelRef,
    ClaimRequest,
    Lease,
    LeaseVerdict,
    Progress,
    SourceRef,
    Verdict,
)
from telecine.core.quality import Quality
from telecine.store.attempts import outcomes_of
from telecine.store.outlook import Outlook, sources_of
from telecine.store.transaction import Row, Transaction

SEEN_EVERY_MS = 1000  # how stale `seen_at_ms` may be: a write less for most claims
_ANY_TIME_MS = 2**62


class LeaseTerms(msgspec.Struct, frozen=True):
    """What all leases have in common: the epoch of the database, and the policy of the queue."""

    epoch: int
    policy: QueuePolicy


def claim(tx: Transaction, terms: LeaseTerms, worker: str, request: ClaimRequest) -> Lease | None:
    """Raises ConflictError for a boot that is not the worker's latest."""
    outlook = tx.shared(Outlook)
    outlook.refresh(tx)
    claimer = _claimer(tx, worker, request)
    account = outlook.account(tx, claimer["account_id"])
    if claimer["held_id"] is not None:
        return _held_lease(tx, terms, account, claimer["held_id"], request)
    if claimer["mode"] != WorkerMode.ACTIVE or not _may_upload(account, terms.policy, tx.now_ms):
        return None
    variant = _next(tx, terms.policy, outlook, claimer["account_id"], request)
    channel = None if variant is None else _channel(tx, terms.policy, claimer["account_id"], account, variant)
    if variant is None or channel is None:
        return None
    params = {
        "variant_id": variant["id"],
        "fence": variant["fence"],
        "worker_id": claimer["worker_id"],
        "channel_id": channel.id,
        "request_id": request.request_id,
        "now_ms": tx.now_ms,
        "due_at_ms": terms.policy.lease_due_at_ms(tx.now_ms),
    }
    if not tx.execute("claim_variant", params):
        raise StoreError(f"{variant['code']} waits in a lane, but is not ready")
    fence, sources = variant["fence"] + 1, outlook.sources(tx, variant["id"])
    lease = _lease(tx, terms, account, variant, fence, channel, _in_order(sources, variant, request, tx.now_ms))
    if "lane" in variant:
        outlook.take(variant)
        outlook.keep(tx)
    return lease


def beat(tx: Transaction, terms: LeaseTerms, worker: str, request: BeatRequest) -> BeatAnswer:
    """Prolong what is still the worker's. A boot that is not the latest has lost everything."""
    row = tx.one("worker_by_name", {"worker": worker})
    if row is None or row["boot_id"] != request.boot_id:
        return BeatAnswer(tuple(LeaseVerdict(progress.lease, Verdict.LOST, 0.0) for progress in request.leases))
    tx.execute("touch_worker", {"worker_id": row["id"], "now_ms": tx.now_ms})
    verdicts = tuple(_verdict(tx, terms, worker, row["id"], progress) for progress in request.leases)
    return BeatAnswer(verdicts, drain=row["mode"] != WorkerMode.ACTIVE)


def _claimer(tx: Transaction, worker: str, request: ClaimRequest) -> Row:
    row = tx.one("claimer", {"worker": worker, "request_id": request.request_id})
    if row is None:
        raise ConflictError(f"the worker {worker} has not said hello", hint="POST /v1/workers/hello first")
    if row["boot_id"] != request.boot_id:
        raise ConflictError(
            f"another process speaks for the worker {worker} now", hint="stop one of the two, or name it differently"
        )
    if tx.now_ms - row["seen_at_ms"] >= SEEN_EVERY_MS:
        tx.execute("touch_worker", {"worker_id": row["worker_id"], "now_ms": tx.now_ms})
    return row


def _may_upload(account: Row, policy: QueuePolicy, now_ms: int) -> bool:
    """While messages are parked, parts can be uploaded already; for as long as Telegram keeps them."""
    sends_ahead_until_ms = now_ms + round(policy.sends_ahead_s_max * 1000)
    return bool(
        account["uploads_parked_until_ms"] <= now_ms and account["sends_parked_until_ms"] <= sends_ahead_until_ms
    )


def _next(tx: Transaction, policy: QueuePolicy, outlook: Outlook, account_id: int, request: ClaimRequest) -> Row | None:
    """The first of what anyone can take and of what not every worker can, from a host that may be read from."""
    head = outlook.head(tx, policy, account_id)
    is_open = head is None or _may_be_read(tx, head)
    if is_open and not outlook.is_demanding(tx):
        return head
    limits = {"account_id": account_id, "now_ms": tx.now_ms, "host_leases_max": policy.host_leases_max}
    first = head if is_open else tx.one("next_variant", limits)
    if outlook.is_demanding(tx):
        room = {"file_bytes_max": request.file_bytes_max, "disk_free_bytes": request.disk_free_bytes}
        other = tx.one("next_demanding_variant", {**limits, **room})
        if first is None or (other and (other["priority"], other["id"]) < (first["priority"], first["id"])):
            first = other
    if first is None or first is head:
        return first
    return tx.get("variant_to_lease", {"variant_id": first["id"]})


def _may_be_read(tx: Transaction, head: Row) -> bool:
    """Whether the host of a head may be read from. How many do is counted only where that is limited."""
    if head["parked_until_ms"] is None or head["parked_until_ms"] > tx.now_ms:
        return False
    limit = head["host_leases_max"]
    return limit is None or tx.get("leases_of_host", {"host_id": head["host_id"]})["leases"] < limit


def _channel(tx: Transaction, policy: QueuePolicy, account_id: int, account: Row, variant: Row) -> ChannelRef | None:
    """A variant that was sent to a channel of this account before goes there again, where that is open still: what is
    left of the earlier attempt is found there. Else the account's emptiest, or one that is to be created."""
    if variant["channel_account_id"] == account_id and variant["telegram_id"] and not variant["channel_retired_at_ms"]:
        return _channel_ref(variant)
    if account["channel_id"] is not None:
        return _channel_ref(account)
    planned_id = _planned_channel(tx, policy, account_id)
    return None if planned_id is None else ChannelRef(planned_id, codes.channel_code(planned_id))


def _channel_ref(row: Row) -> ChannelRef:
    return ChannelRef(row["channel_id"], codes.channel_code(row["channel_id"]), row["telegram_id"])


def _planned_channel(tx: Transaction, policy: QueuePolicy, account_id: int) -> int | None:
    """A channel that the worker is to create first; None where the account has as many as it may."""
    account = {"account_id": account_id}
    plan = {**account, "now_ms": tx.now_ms, "channels_max": policy.channels_per_account_max}
    row = tx.one("planned_channel", account) or tx.one("plan_another_channel", plan)
    return None if row is None else int(row["id"])


def _held_lease(tx: Transaction, terms: LeaseTerms, account: Row, variant_id: int, request: ClaimRequest) -> Lease:
    """The lease that this request was given before, with the links that it had, wherever they point."""
    tx.execute("prolong_lease", {"variant_id": variant_id, "due_at_ms": terms.policy.lease_due_at_ms(tx.now_ms)})
    variant = tx.get("variant_to_lease", {"variant_id": variant_id})
    sources = _in_order(sources_of(tx, [variant_id])[variant_id], variant, request, _ANY_TIME_MS)
    return _lease(tx, terms, account, variant, variant["fence"], _channel_ref(variant), sources)


def _lease(
    tx: Transaction,
    terms: LeaseTerms,
    account: Row,
    variant: Row,
    fence: int,
    channel: ChannelRef,
    sources: tuple[SourceRef, ...],
) -> Lease:
    return Lease(
        lease=str(LeaseToken(terms.epoch, variant["id"], fence)),
        code=variant["code"],
        quality=Quality(variant["quality"]),
        generation=variant["generation"],
        ttl_s=terms.policy.lease_ttl_s,
        channel=channel,
        sources=sources,
        runtime_s=variant["runtime_s"],
        sends_parked_s=max(0, account["sends_parked_until_ms"] - tx.now_ms) / 1000,
    )


def _in_order(rows: list[Row], variant: Row, request: ClaimRequest, open_at_ms: int) -> tuple[SourceRef, ...]:
    """Of the links that this account can use, and whose host is not parked at `open_at_ms`: untried ones first, in
    retry order; the very first is one of the host whose lane the variant stood in, because that is where the lease is
    counted."""
    rows = [row for row in rows if row["file_bytes"] <= request.file_bytes_max and row["parked_until_ms"] <= open_at_ms]
    if len(rows) > 1:
        rows.sort(key=lambda row: (row["fate"] != LinkFate.UNTRIED, row["position"]))
        first = next((index for index, row in enumerate(rows) if row["host_id"] == variant["host_id"]), 0)
        rows.insert(0, rows.pop(first))
    return tuple([SourceRef(row["link_id"], row["url"], row["position"]) for row in rows[:SOURCES_PER_LEASE_MAX]])


def _verdict(tx: Transaction, terms: LeaseTerms, worker: str, worker_id: int, progress: Progress) -> LeaseVerdict:
    lost = LeaseVerdict(progress.lease, Verdict.LOST, 0.0)
    try:
        token = LeaseToken.parse(progress.lease)
    except InputError:  # what was never handed out is nobody's; the other leases go on
        return lost
    if token.epoch != terms.epoch:
        return lost
    kept = tx.execute(
        "beat_lease",
        {
            "variant_id": token.variant_id,
            "fence": token.fence,
            "worker_id": worker_id,
            "due_at_ms": terms.policy.lease_due_at_ms(tx.now_ms),
            "stage": progress.stage.value,
            "link_id": progress.link_id,
            "bytes_done": progress.bytes_done,
            "bytes_total": progress.bytes_total,
        },
    )
    if kept:
        return LeaseVerdict(progress.lease, Verdict.GO_ON, terms.policy.lease_ttl_s)
    if AttemptOutcome.CANCELLED in outcomes_of(tx, token, worker):
        return LeaseVerdict(progress.lease, Verdict.CANCEL, 0.0)
    return lost
