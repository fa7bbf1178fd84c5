"""Keeping leases."""

from __future__ import annotations

from telecine.core.errors import InputError
from telecine.core.leases import AttemptOutcome, LeaseToken
from telecine.core.operator_protocol import WorkerMode
from telecine.core.protocol import BeatAnswer, BeatRequest, LeaseVerdict, Progress, Verdict
from telecine.store.attempts import outcomes_of
from telecine.store.claims import LeaseTerms
from telecine.store.transaction import Transaction


def beat(tx: Transaction, terms: LeaseTerms, worker: str, request: BeatRequest) -> BeatAnswer:
    """Prolong what is still the worker's. A boot that is not the latest has lost everything."""
    row = tx.one("worker_by_name", {"worker": worker})
    if row is None or row["boot_id"] != request.boot_id:
        return BeatAnswer(tuple(LeaseVerdict(progress.lease, Verdict.LOST, 0.0) for progress in request.leases))
    tx.execute("touch_worker", {"worker_id": row["id"], "now_ms": tx.now_ms})
    verdicts = tuple(_verdict(tx, terms, worker, row["id"], progress) for progress in request.leases)
    return BeatAnswer(verdicts, drain=row["mode"] != WorkerMode.ACTIVE, pause=row["mode"] == WorkerMode.PAUSED)


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
