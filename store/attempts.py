"""The history of leases: what was tried, by whom, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from telecine.core.leases import AttemptOutcome, LeaseToken
from telecine.core.protocol import (
    DETAIL_CHARS_MAX,
    Outcome,
    SettleDone,
    SettleFailed,
    SettleFloodWait,
    SettleReleased,
    SourceReport,
)
from telecine.core.reasons import Reason
from telecine.store.held import HeldLease
from telecine.store.transaction import Transaction

_OUTCOMES: dict[type[Outcome], AttemptOutcome] = {
    SettleDone: AttemptOutcome.DONE,
    SettleFailed: AttemptOutcome.FAILED,
    SettleFloodWait: AttemptOutcome.FLOOD_WAIT,
    SettleReleased: AttemptOutcome.RELEASED,
}


class Attempt(msgspec.Struct, frozen=True, gc=False):
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
    """Keep rows of history."""
    for attempt in attempts:
        # Enums as plain strings: for anything else the library looks for an adapter first.
        tx.change("insert_attempt", msgspec.to_builtins(attempt))


def outcomes_of(tx: Transaction, token: LeaseToken, worker: str) -> frozenset[AttemptOutcome]:
    """How a lease of this worker ended; nothing for one that has not, or was never its own."""
    params = {"variant_id": token.variant_id, "fence": token.fence, "worker": worker}
    return frozenset(AttemptOutcome(row["outcome"]) for row in tx.all("outcomes_of_lease", params))


def unreported(lease: HeldLease, outcome: AttemptOutcome, now_ms: int, detail: str | None = None) -> Attempt:
    """The whole lease as one attempt at the link it was last seen at."""
    return Attempt(
        variant_id=lease.variant_id,
        fence=lease.fence,
        worker_id=lease.worker_id,
        account_id=lease.account_id,
        outcome=outcome,
        link_id=lease.progress_link_id,
        detail=detail,
        stage=lease.stage,
        started_at_ms=min(lease.leased_at_ms, now_ms),
        finished_at_ms=now_ms,
    )


def reported(lease: HeldLease, outcome: Outcome, now_ms: int) -> list[Attempt]:
    """A row for each link that was tried, one after the other up to now; and one for a lease that these do not explain:
    given back, cut short, adopted, or failed for another reason than any of them."""
    attempts: list[Attempt] = []
    ended_at_ms = now_ms
    for report in reversed(outcome.sources):
        attempt = _attempt(lease, outcome, report, ended_at_ms)
        attempts.append(attempt)
        ended_at_ms = attempt.started_at_ms
    attempts.reverse()
    if not _explained(attempts, outcome):
        whole = unreported(lease, _OUTCOMES[type(outcome)], now_ms)
        attempts.append(
            msgspec.structs.replace(
                whole,
                reason=outcome.reason if isinstance(outcome, SettleFailed) else None,
                detail=shortened(_detail(outcome)),
                plan=outcome.plan if isinstance(outcome, SettleDone) else None,
            )
        )
    return attempts


def _attempt(lease: HeldLease, outcome: Outcome, report: SourceReport, ended_at_ms: int) -> Attempt:
    used = report.reason is None
    begun_at_ms = min(lease.leased_at_ms, ended_at_ms)
    return Attempt(
        variant_id=lease.variant_id,
        fence=lease.fence,
        worker_id=lease.worker_id,
        account_id=lease.account_id,
        link_id=report.link_id,
        outcome=AttemptOutcome.DONE if used else AttemptOutcome.FAILED,
        reason=report.reason,
        detail=shortened(report.detail),
        stage=lease.stage if report.link_id == lease.progress_link_id else None,
        plan=outcome.plan if used and isinstance(outcome, SettleDone) else None,
        bytes_read=report.bytes_read,
        started_at_ms=max(begun_at_ms, ended_at_ms - round(report.seconds * 1000)),
        finished_at_ms=ended_at_ms,
    )


def _explained(attempts: list[Attempt], outcome: Outcome) -> bool:
    if isinstance(outcome, SettleFailed):
        return outcome.reason in [attempt.reason for attempt in attempts]
    return _OUTCOMES[type(outcome)] in [attempt.outcome for attempt in attempts]


def _detail(outcome: Outcome) -> str | None:
    match outcome:
        case SettleFailed():
            return outcome.detail
        case SettleFloodWait():
            return f"wait {outcome.wait_s:g} s before {outcome.request}"
        case _:
            return None


def shortened(detail: str | None) -> str | None:
    """What of a detail is kept."""
    return None if detail is None else detail[:DETAIL_CHARS_MAX]
