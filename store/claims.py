"""Taking a lease and keeping it."""

from __future__ import annotations

import msgspec

from telecine.core import codes
from telecine.core.errors import ConflictError, InputError
from telecine.core.leases import AttemptOutcome, LeaseToken, LinkFate
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


class LeaseTerms(msgspec.Struct, frozen=True):
    """What all leases have in common: the epoch of the database, and how long one lasts without a beat."""

    epoch: int
    ttl_s: float

    def due_at_ms(self, now_ms: int) -> int:
        return now_ms + round(self.ttl_s * 1000)


def claim(tx: Transaction, terms: LeaseTerms, worker: str, request: ClaimRequest) -> Lease | None:
    """Raises ConflictError for a boot that is not the worker's latest."""
    row = _claimer(tx, worker, request)
    due_at_ms = terms.due_at_ms(tx.now_ms)
    if row["held_id"] is not None:
        tx.execute("prolong_lease", {"variant_id": row["held_id"], "due_at_ms": due_at_ms})
        return _lease(tx, terms, row["held_id"])
    if row["parked_until_ms"] > tx.now_ms or row["channel_id"] is None:
        return None
    claimed = tx.one(
        "claim_variant",
        {
            "worker_id": row["worker_id"],
            "account_id": row["account_id"],
            "channel_id": row["channel_id"],
            "request_id": request.request_id,
            "now_ms": tx.now_ms,
            "due_at_ms": due_at_ms,
        },
    )
    return None if claimed is None else _lease(tx, terms, claimed["id"])


def beat(tx: Transaction, terms: LeaseTerms, worker: str, request: BeatRequest) -> BeatAnswer:
    """Prolong what is still the worker's. A boot that is not the latest has lost everything."""
    row = tx.one("worker_by_name", {"worker": worker})
    if row is None or row["boot_id"] != request.boot_id:
        return BeatAnswer(tuple(LeaseVerdict(progress.lease, Verdict.LOST, 0.0) for progress in request.leases))
    tx.execute("touch_worker", {"worker_id": row["id"], "now_ms": tx.now_ms})
    return BeatAnswer(tuple(_verdict(tx, terms, worker, row["id"], progress) for progress in request.leases))


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


def _lease(tx: Transaction, terms: LeaseTerms, variant_id: int) -> Lease:
    row = tx.get("lease_to_hand_out", {"variant_id": variant_id})
    sources = tx.all("sources_to_try", {"variant_id": variant_id, "rounds": row["rounds"]})
    untried_first = sorted(sources, key=lambda source: bool(source["fate"] != LinkFate.UNTRIED))
    return Lease(
        lease=str(LeaseToken(terms.epoch, variant_id, row["fence"])),
        code=row["code"],
        quality=Quality(row["quality"]),
        generation=row["generation"],
        ttl_s=terms.ttl_s,
        channel=ChannelRef(row["channel_id"], codes.channel_code(row["channel_id"]), row["telegram_id"]),
        sources=tuple(
            SourceRef(source["link_id"], source["url"], source["position"])
            for source in untried_first[:SOURCES_PER_LEASE_MAX]
        ),
        runtime_s=row["runtime_s"],
    )


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
            "due_at_ms": terms.due_at_ms(tx.now_ms),
            "stage": progress.stage.value,
            "link_id": progress.link_id,
            "bytes_done": progress.bytes_done,
            "bytes_total": progress.bytes_total,
        },
    )
    if kept:
        return LeaseVerdict(progress.lease, Verdict.GO_ON, terms.ttl_s)
    if AttemptOutcome.CANCELLED in outcomes_of(tx, token, worker):
        return LeaseVerdict(progress.lease, Verdict.CANCEL, 0.0)
    return lost
