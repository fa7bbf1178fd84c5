"""The history of leases: what was tried, by whom, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from telecine.core.leases import AttemptOutcome, LeaseToken
from telecine.core.reasons import Reason
from telecine.store.transaction import Transaction


class Attempt(msgspec.Struct, frozen=True):
    """A row of the history: one link that a lease tried, or a lease that ended otherwise."""

    variant_id: int
    fence: int
    worker_id: int
    account_id: int
    outcome: AttemptOutcome
    started_at_ms: int
    finished_at_ms: int
    link_id: int | None = None
    reason: Reason | None = None
    detail: str | None = None
    stage: str | None = None
    plan: str | None = None
    bytes_read: int = 0


def record_attempts(tx: Transaction, attempts: Iterable[Attempt]) -> None:
    """Keep rows of history. The database takes the values of enums as they are: they are strings."""
    tx.execute_each("insert_attempt", [msgspec.structs.asdict(attempt) for attempt in attempts])


def outcomes_of(tx: Transaction, token: LeaseToken, worker: str) -> frozenset[AttemptOutcome]:
    """How a lease of this worker ended; nothing for one that has not, or was never its own."""
    params = {"variant_id": token.variant_id, "fence": token.fence, "worker": worker}
    return frozenset(AttemptOutcome(row["outcome"]) for row in tx.all("outcomes_of_lease", params))
