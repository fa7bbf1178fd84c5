"""The history of leases as operators read it, the newest first."""

from __future__ import annotations

import json

from telecine.core.errors import NotFoundError
from telecine.core.leases import AttemptOutcome
from telecine.core.operator_protocol import AttemptRecord
from telecine.core.reasons import Reason
from telecine.store.catalogue import variant_row
from telecine.store.transaction import Row, Transaction

NEWEST = 2**63 - 1  # every row is before it


def attempts(
    tx: Transaction,
    *,
    code: str | None,
    worker: str | None,
    outcome: AttemptOutcome | None,
    before: int | None,
    limit: int,
) -> tuple[AttemptRecord, ...]:
    """Rows behind the one of id `before`. Raises NotFoundError (variant, worker)."""
    params = {
        "variant_id": None if code is None else variant_row(tx, code)["id"],
        "worker_id": None if worker is None else _worker_id(tx, worker),
        "outcome": None if outcome is None else outcome.value,
        "before": NEWEST if before is None else before,
        "limit": limit,
    }
    ids = json.dumps([row["id"] for row in tx.all(_query(code, outcome), params)])
    return tuple(_record(row, tx.now_ms) for row in tx.all("attempts_by_id", {"ids": ids}))


def _query(code: str | None, outcome: AttemptOutcome | None) -> str:
    """By the most selective filter that has an index; a worker's has none, and is looked for among what is left."""
    if code is not None:
        return "attempt_ids_of_variant"
    if outcome is None:
        return "attempt_ids"
    return "attempt_ids_done" if outcome is AttemptOutcome.DONE else "attempt_ids_with_outcome"


def _worker_id(tx: Transaction, worker: str) -> int:
    row = tx.one("worker_by_name", {"worker": worker})
    if row is None:
        raise NotFoundError(f"there is no worker {worker}")
    return int(row["id"])


def _record(row: Row, now_ms: int) -> AttemptRecord:
    return AttemptRecord(
        id=row["id"],
        code=row["code"],
        fence=row["fence"],
        worker=row["worker"],
        account=row["account"],
        outcome=AttemptOutcome(row["outcome"]),
        link_id=row["link_id"],
        reason=None if row["reason"] is None else Reason(row["reason"]),
        detail=row["detail"],
        stage=row["stage"],
        plan=row["plan"],
        bytes_read=row["bytes_read"],
        ago_s=max(0, now_ms - row["finished_at_ms"]) / 1000,
        lasted_s=(row["finished_at_ms"] - row["started_at_ms"]) / 1000,
    )
