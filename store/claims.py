"""Taking a lease and keeping it."""

from __future__ import annotations

import msgspec

from telecine.core import codes
from telecine.core.errors import ConflictError, InputError
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
from telecine.store.transaction import Row, Transaction

SEEN_EVERY_MS = 1000  # how stale `seen_at_ms` may be: a write less for most claims
_ANY_TIME_MS = 2**62  # a lease is repeated with the links that it had, wherever they point


class LeaseTerms(msgspec.Struct, frozen=True):
    """What all leases have in common: the epoch of the database, and the policy of the queue."""

    epoch: int
    policy: QueuePolicy


def claim(tx: Transaction, terms: LeaseTerms, worker: str, request: ClaimRequest) -> Lease | None:
    """Raises ConflictError for a boot that is not the worker's latest."""
    policy = terms.policy
    claimer = _claimer(tx, policy, worker, request)
    due_at_ms = policy.lease_due_at_ms(tx.now_ms)
    if claimer["held_id"] is not None:
        held = tx.get("prolong_lease", {"variant_id": claimer["held_id"], "due_at_ms": due_at_ms})
        return _lease(tx, terms, claimer, held, request, open_at_ms=_ANY_TIME_MS)
    if not _may_claim(claimer, policy, tx.now_ms):
        return None
    variant_id = _next(tx, policy, claimer, request)
    channel_id = None if variant_id is None else claimer["channel_id"] or _planned_channel(tx, policy, claimer)
    if channel_id is None:
        return None
    claimed = tx.get(
        "claim_variant",
        {
            "variant_id": variant_id,
            "worker_id": claimer["worker_id"],
            "account_id": claimer["account_id"],
            "channel_id": channel_id,
            "request_id": request.request_id,
            "now_ms": tx.now_ms,
            "due_at_ms": due_at_ms,
        },
    )
    return _lease(tx, terms, claimer, claimed, request, open_at_ms=tx.now_ms)


def beat(tx: Transaction, terms: LeaseTerms, worker: str, request: BeatRequest) -> BeatAnswer:
    """Prolong what is still the worker's. A boot that is not the latest has lost everything."""
    row = tx.one("worker_by_name", {"worker": worker})
    if row is None or row["boot_id"] != request.boot_id:
        return BeatAnswer(tuple(LeaseVerdict(progress.lease, Verdict.LOST, 0.0) for progress in request.leases))
    tx.execute("touch_worker", {"worker_id": row["id"], "now_ms": tx.now_ms})
    verdicts = tuple(_verdict(tx, terms, worker, row["id"], progress) for progress in request.leases)
    return BeatAnswer(verdicts, drain=row["mode"] != WorkerMode.ACTIVE, pause=row["mode"] == WorkerMode.PAUSED)


def _claimer(tx: Transaction, policy: QueuePolicy, worker: str, request: ClaimRequest) -> Row:
    params = {"worker": worker, "request_id": request.request_id, "host_leases_max": policy.host_leases_max}
    row = tx.one("claimer", params)
    if row is None:
        raise ConflictError(f"the worker {worker} has not said hello", hint="POST /v1/workers/hello first")
    if row["boot_id"] != request.boot_id:
        raise ConflictError(
            f"another process speaks for the worker {worker} now", hint="stop one of the two, or name it differently"
        )
    if tx.now_ms - row["seen_at_ms"] >= SEEN_EVERY_MS:
        tx.execute("touch_worker", {"worker_id": row["worker_id"], "now_ms": tx.now_ms})
    return row


def _may_claim(claimer: Row, policy: QueuePolicy, now_ms: int) -> bool:
    from_ms = policy.claims_from_ms(claimer["uploads_parked_until_ms"], claimer["sends_parked_until_ms"])
    return bool(claimer["mode"] == WorkerMode.ACTIVE and from_ms <= now_ms)


def _next(tx: Transaction, policy: QueuePolicy, claimer: Row, request: ClaimRequest) -> int | None:
    """The first of what anyone can take and of what not every worker can, from a host that may be read from."""
    lane = _first_lane(claimer)
    variant_id: int | None = claimer[f"{lane}_id"]
    limits = {"now_ms": tx.now_ms, "host_leases_max": policy.host_leases_max}
    if variant_id is not None and not _may_be_read(tx, claimer, lane):
        row = tx.one("next_variant", {"account_id": claimer["account_id"], **limits})
        variant_id = None if row is None else row["id"]
    if claimer["demanding"]:
        room = {"file_bytes_max": request.file_bytes_max, "disk_free_bytes": request.disk_free_bytes}
        row = tx.one("next_demanding_variant", {"account_id": claimer["account_id"], **room, **limits})
        if row is not None:
            variant_id = tx.get("first_of_two", {"one_id": variant_id, "other_id": row["id"]})["id"]
    return variant_id


def _first_lane(claimer: Row) -> str:
    """Which of the two lanes has the variant that comes first."""
    if claimer["own_id"] is None or claimer["shared_id"] is None:
        return "own" if claimer["shared_id"] is None else "shared"
    own = (claimer["own_priority"], claimer["own_id"])
    return "own" if own < (claimer["shared_priority"], claimer["shared_id"]) else "shared"


def _may_be_read(tx: Transaction, claimer: Row, lane: str) -> bool:
    """Whether the host of the lane's head may be read from. How many do is counted only where that is limited."""
    parked_until_ms = claimer[f"{lane}_host_parked_until_ms"]
    if parked_until_ms is None or parked_until_ms > tx.now_ms:
        return False
    limit = claimer[f"{lane}_host_leases_max"]
    return limit is None or tx.get("leases_of_host", {"variant_id": claimer[f"{lane}_id"]})["leases"] < limit


def _planned_channel(tx: Transaction, policy: QueuePolicy, claimer: Row) -> int | None:
    """A channel that the worker is to create first; None where the account has as many as it may."""
    account = {"account_id": claimer["account_id"]}
    plan = {**account, "now_ms": tx.now_ms, "channels_max": policy.channels_per_account_max}
    row = tx.one("planned_channel", account) or tx.one("plan_another_channel", plan)
    return None if row is None else int(row["id"])


def _lease(
    tx: Transaction,
    terms: LeaseTerms,
    claimer: Row,
    row: Row,
    request: ClaimRequest,
    *,
    open_at_ms: int,
) -> Lease:
    params = {
        "variant_id": row["id"],
        "rounds": row["rounds"],
        "open_at_ms": open_at_ms,
        "file_bytes_max": request.file_bytes_max,
    }
    return Lease(
        lease=str(LeaseToken(terms.epoch, row["id"], row["fence"])),
        code=row["code"],
        quality=Quality(row["quality"]),
        generation=row["generation"],
        ttl_s=terms.policy.lease_ttl_s,
        channel=ChannelRef(row["channel_id"], codes.channel_code(row["channel_id"]), row["telegram_id"]),
        sources=_in_order(tx.all("sources_to_try", params), row["host_id"]),
        runtime_s=row["runtime_s"],
        sends_parked_s=max(0, claimer["sends_parked_until_ms"] - tx.now_ms) / 1000,
    )


def _in_order(rows: list[Row], host_id: int | None) -> tuple[SourceRef, ...]:
    """Untried links first, in retry order; the very first is one of the host whose lane the variant stood in, because
    that is where the lease is counted."""
    if len(rows) > 1:
        rows.sort(key=lambda row: (row["fate"] != LinkFate.UNTRIED, row["position"]))
        first = next((index for index, row in enumerate(rows) if row["host_id"] == host_id), 0)
        rows.insert(0, rows.pop(first))
    return tuple(SourceRef(row["link_id"], row["url"], row["position"]) for row in rows[:SOURCES_PER_LEASE_MAX])


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
