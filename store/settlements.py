"""Ending a lease by its worker's report."""

from __future__ import annotations

import msgspec

from telecine.core.errors import ConflictError, InputError, LeaseLostError
from telecine.core.leases import (
    AttemptOutcome,
    Event,
    LeaseToken,
    LinkFate,
    VariantState,
    backoff_s,
    failure_event,
)
from telecine.core.protocol import (
    ObjectReport,
    Outcome,
    Settled,
    SettleDone,
    SettleFailed,
    SettleFloodWait,
    SettleReleased,
    SourceReport,
)
from telecine.store.attempts import Attempt, outcomes_of, record_attempts
from telecine.store.transaction import Transaction
from telecine.store.variants import HeldLease, end_lease, unreported

DETAIL_CHARS_MAX = 500
_REPORTED = frozenset({AttemptOutcome.DONE, AttemptOutcome.FAILED, AttemptOutcome.FLOOD_WAIT, AttemptOutcome.RELEASED})
_OUTCOMES: dict[type[Outcome], AttemptOutcome] = {
    SettleDone: AttemptOutcome.DONE,
    SettleFailed: AttemptOutcome.FAILED,
    SettleFloodWait: AttemptOutcome.FLOOD_WAIT,
    SettleReleased: AttemptOutcome.RELEASED,
}


class RetryPolicy(msgspec.Struct, frozen=True):
    """How long to wait after each round over the links, and how many rounds there are."""

    backoff_s: tuple[float, ...]
    rounds_max: int


def settle(tx: Transaction, policy: RetryPolicy, worker: str, token: LeaseToken, outcome: Outcome) -> Settled:
    """Raises LeaseLostError, InputError for a report that does not fit the lease, ConflictError for a message that
    holds another upload."""
    row = tx.one("lease_to_settle", {"variant_id": token.variant_id, "fence": token.fence, "worker": worker})
    if row is None:
        return _settle_again(tx, worker, token, outcome)
    lease = HeldLease.of(row)
    _check_reports(outcome)
    _report_sources(tx, lease, outcome.sources)
    match outcome:
        case SettleDone():
            channel_id = _store_objects(tx, lease, outcome.objects)
            end_lease(tx, lease, Event.DONE, channel_id=channel_id)
        case SettleFailed():
            _end_failed(tx, policy, lease, tried=bool(outcome.sources))
        case SettleFloodWait():
            _park(tx, lease.account_id, outcome)
            _end_unfinished(tx, lease, Event.FLOOD_WAIT)
        case SettleReleased():
            _end_unfinished(tx, lease, Event.RELEASED)
    record_attempts(tx, _attempts(lease, outcome, tx.now_ms))
    return _settled(tx, lease.variant_id)


def _settle_again(tx: Transaction, worker: str, token: LeaseToken, outcome: Outcome) -> Settled:
    """Answer for a lease that has ended. A repeated report is fine; so is giving up what was cancelled. A worker that
    says it has uploaded must be believed or told that it was not. That Telegram makes an account wait is true whatever
    became of the lease: the account is parked, once."""
    ended = outcomes_of(tx, token, worker)
    match outcome:
        case SettleDone():
            known = AttemptOutcome.DONE in ended
        case SettleFloodWait() if ended and not ended & _REPORTED:
            _park_late(tx, token, worker, outcome)
            known = True
        case _:
            known = bool(ended & (_REPORTED | {AttemptOutcome.CANCELLED}))
    if not known:
        raise LeaseLostError(f"the lease {token} is no longer held by {worker}")
    return msgspec.structs.replace(_settled(tx, token.variant_id), repeated=True)


def _settled(tx: Transaction, variant_id: int) -> Settled:
    row = tx.get("state_of_variant", {"variant_id": variant_id})
    return Settled(row["code"], VariantState(row["state"]))


# ---- links ---------------------------------------------------------------------------------------


def _check_reports(outcome: Outcome) -> None:
    used = [index for index, report in enumerate(outcome.sources) if report.reason is None]
    if used and not isinstance(outcome, SettleDone):
        raise InputError("a link was used, but the upload is not done", field="sources")
    if used not in ([], [len(outcome.sources) - 1]):
        raise InputError("one link at most was used, and it comes last", field="sources")


def _report_sources(tx: Transaction, lease: HeldLease, reports: tuple[SourceReport, ...]) -> None:
    for report in reports:
        failed = report.reason is not None
        known = tx.execute(
            "report_source",
            {
                "variant_id": lease.variant_id,
                "link_id": report.link_id,
                "fate": LinkFate.FAILED if failed else LinkFate.USED,
                "reason": report.reason,
                "detail": _shortened(report.detail) if failed else None,
                "passing": int(report.reason is not None and report.reason.is_passing),
                "failed_round": lease.rounds if failed else None,
                "now_ms": tx.now_ms,
            },
        )
        if not known:
            raise InputError(f"link {report.link_id} does not belong to this lease", field="sources")


def _end_failed(tx: Transaction, policy: RetryPolicy, lease: HeldLease, *, tried: bool) -> None:
    left = tx.get("sources_left", {"variant_id": lease.variant_id, "rounds": lease.rounds})
    rounds = lease.rounds + 1
    # A worker that failed before it tried a link would fail again at once: that counts as a round.
    event = failure_event(
        untried=left["triable"] if tried else 0,
        passing=left["passing"] if tried else 1,
        rounds=rounds,
        rounds_max=policy.rounds_max,
    )
    if event is Event.FAILED_SOURCES_LEFT:
        end_lease(tx, lease, event)
    else:
        end_lease(tx, lease, event, rounds=rounds, retry_in_s=backoff_s(rounds, policy.backoff_s))


def _end_unfinished(tx: Transaction, lease: HeldLease, event: Event) -> None:
    """Give the variant back, unless the report leaves it without any link to try."""
    left = tx.get("sources_left", {"variant_id": lease.variant_id, "rounds": lease.rounds})
    if left["triable"] or left["passing"]:
        end_lease(tx, lease, event, rounds=lease.rounds if left["triable"] else lease.rounds + 1)
    else:
        end_lease(tx, lease, Event.FAILED_NOTHING_LEFT)


def _park(tx: Transaction, account_id: int, outcome: SettleFloodWait) -> None:
    uploading = "savefilepart" in outcome.request.lower() or "savebigfilepart" in outcome.request.lower()
    tx.execute(
        "park_uploads" if uploading else "park_sends",
        {
            "account_id": account_id,
            "until_ms": tx.now_ms + round(outcome.wait_s * 1000),
            "reason": f"Telegram asks to wait {outcome.wait_s:g} s before {outcome.request}",
        },
    )


def _park_late(tx: Transaction, token: LeaseToken, worker: str, outcome: SettleFloodWait) -> None:
    """Park the account for a lease that had ended before the report came. The history keeps the report, so that a
    repeat of it does not park the account for longer."""
    lease = {"variant_id": token.variant_id, "fence": token.fence, "worker": worker}
    held_by = tx.get("account_of_ended_lease", lease)
    _park(tx, held_by["account_id"], outcome)
    late = Attempt(
        variant_id=token.variant_id,
        fence=token.fence,
        worker_id=held_by["worker_id"],
        account_id=held_by["account_id"],
        outcome=AttemptOutcome.FLOOD_WAIT,
        detail=_shortened(_detail(outcome)),
        started_at_ms=tx.now_ms,
        finished_at_ms=tx.now_ms,
    )
    record_attempts(tx, [late])


# ---- objects -------------------------------------------------------------------------------------


def _store_objects(tx: Transaction, lease: HeldLease, objects: tuple[ObjectReport, ...]) -> int:
    """Keep the messages; our id of the channel they are in."""
    channel_id = _channel_of(tx, lease, objects)
    for report in objects:
        message = {"channel_id": channel_id, "message_id": report.message_id}
        holder = tx.one("message_holder", message)
        if holder is not None:
            raise ConflictError(f"message {report.message_id} holds a part of {holder['code']} already")
        tx.execute(
            "insert_object",
            {
                **msgspec.structs.asdict(report),
                **message,
                "variant_id": lease.variant_id,
                "account_id": lease.account_id,
                "fence": lease.fence,
                "now_ms": tx.now_ms,
            },
        )
    tx.execute("count_channel_messages", {"channel_id": channel_id, "messages": len(objects)})
    return channel_id


def _channel_of(tx: Transaction, lease: HeldLease, objects: tuple[ObjectReport, ...]) -> int:
    """The one channel of the worker's account that holds all parts. Raises InputError where there is no such."""
    numbers = sorted(report.part_no for report in objects)
    if not objects or numbers != list(range(1, len(objects) + 1)):
        raise InputError(f"the parts are {numbers}; each from 1 to their count is needed once", field="objects")
    if {report.part_count for report in objects} != {len(objects)}:
        raise InputError(f"{len(objects)} parts were reported, but they say another count", field="objects")
    telegram_ids = {report.channel_id for report in objects}
    if len(telegram_ids) != 1:
        raise InputError("all parts of an upload belong into one channel", field="objects")
    row = tx.one("channel_by_telegram_id", {"telegram_id": telegram_ids.pop()})
    if row is None or row["account_id"] != lease.account_id:
        raise InputError("the parts are in a channel that is not the account's", field="objects")
    return int(row["id"])


# ---- history -------------------------------------------------------------------------------------


def _attempts(lease: HeldLease, outcome: Outcome, now_ms: int) -> list[Attempt]:
    """A row for each link that was tried, one after the other up to now; and one for a lease that these do not explain:
    given back, cut short, adopted, or failed before any link."""
    attempts: list[Attempt] = []
    ended_at_ms = now_ms
    for report in reversed(outcome.sources):
        attempt = _attempt(lease, outcome, report, ended_at_ms)
        attempts.insert(0, attempt)
        ended_at_ms = attempt.started_at_ms
    if not _explained(attempts, outcome):
        whole = unreported(lease, _OUTCOMES[type(outcome)], now_ms)
        attempts.append(
            msgspec.structs.replace(
                whole,
                reason=outcome.reason if isinstance(outcome, SettleFailed) else None,
                detail=_shortened(_detail(outcome)),
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
        detail=_shortened(report.detail),
        stage=lease.stage if report.link_id == lease.progress_link_id else None,
        plan=outcome.plan if used and isinstance(outcome, SettleDone) else None,
        bytes_read=report.bytes_read,
        started_at_ms=max(begun_at_ms, ended_at_ms - round(report.seconds * 1000)),
        finished_at_ms=ended_at_ms,
    )


def _explained(attempts: list[Attempt], outcome: Outcome) -> bool:
    return any(attempt.outcome is _OUTCOMES[type(outcome)] for attempt in attempts)


def _detail(outcome: Outcome) -> str | None:
    match outcome:
        case SettleFailed():
            return outcome.detail
        case SettleFloodWait():
            return f"wait {outcome.wait_s:g} s before {outcome.request}"
        case _:
            return None


def _shortened(detail: str | None) -> str | None:
    return None if detail is None else detail[:DETAIL_CHARS_MAX]
