"""Ending leases by their workers' reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from telecine.core.errors import InputError, LeaseLostError
from telecine.core.events import VariantChanged
from telecine.core.leases import AttemptOutcome, Event, LeaseToken, LinksLeft, VariantState, failure_event
from telecine.core.plans import file_bytes_max
from telecine.core.policy import QueuePolicy
from telecine.core.protocol import (
    Outcome,
    Settled,
    SettleDone,
    SettleFailed,
    SettleFloodWait,
    SettleReleased,
    SourceReport,
)
from telecine.core.reasons import CONSEQUENCES, ForAccount, ForHost, ForLink, Reason
from telecine.store import ladders
from telecine.store.attempts import Attempt, outcomes_of, record_attempts, reported, shortened
from telecine.store.corrections import correct_links
from telecine.store.ends import end_lease, end_round, links_left
from telecine.store.held import ReportedLease
from telecine.store.lanes import relane
from telecine.store.objects import count_messages, store_objects
from telecine.store.transaction import Transaction

_REPORTED = frozenset({AttemptOutcome.DONE, AttemptOutcome.FAILED, AttemptOutcome.FLOOD_WAIT, AttemptOutcome.RELEASED})


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """What is answered, and who may be woken: claims may succeed now (`wakes`), or from one of `wakes_at_ms` on."""

    settled: Settled
    wakes: bool = False
    wakes_at_ms: tuple[int, ...] = ()


class Report(msgspec.Struct, frozen=True, gc=False):
    """How a lease ended, as a worker says that holds it."""

    worker: str
    token: LeaseToken
    outcome: Outcome


def settle(tx: Transaction, policy: QueuePolicy, reports: Sequence[Report]) -> list[Settlement | Exception]:
    """For each report what follows from it, as if one came after the other: LeaseLostError, InputError for one that
    does not fit the lease, ConflictError for a message that holds another upload."""
    settlements: list[Settlement | Exception] = []
    for alike in _runs(reports):
        rows = _leases(tx, policy, alike)
        posted: Counter[int] = Counter()
        for number, report in enumerate(alike):
            settlements.append(tx.attempt(_settle, tx, policy, report, rows.get(number), posted))
        count_messages(tx, policy, posted)
    return settlements


def _runs(reports: Sequence[Report]) -> Iterator[Sequence[Report]]:
    """Reports that nothing follows from but that their uploads are done can be looked up together; any other one may
    decide what the next finds."""
    run: list[Report] = []
    tokens: set[LeaseToken] = set()
    for report in reports:
        plain = _is_plain(report.outcome)
        if run and (not plain or report.token in tokens):
            yield run
            run, tokens = [], set()
        if plain:
            run.append(report)
            tokens.add(report.token)
        else:
            yield [report]
    if run:
        yield run


def _is_plain(outcome: Outcome) -> bool:
    return isinstance(outcome, SettleDone) and all(report.reason is None for report in outcome.sources)


def _leases(tx: Transaction, policy: QueuePolicy, reports: Sequence[Report]) -> dict[int, ReportedLease]:
    """The leases that are held still, by the numbers of their reports."""
    asked = msgspec.json.encode([(one.token.variant_id, one.token.fence, one.worker) for one in reports]).decode()
    leases = tx.rows("leases_to_settle", ReportedLease, {"asked": asked, "host_leases_max": policy.host_leases_max})
    return {lease.number: lease for lease in leases}


def _settle(
    tx: Transaction, policy: QueuePolicy, report: Report, lease: ReportedLease | None, posted: Counter[int]
) -> Settlement:
    if lease is None:
        return _settle_again(tx, policy, report.worker, report.token, report.outcome)
    settlement = _Settling(tx, policy, lease, posted).settle(report.outcome)
    tx.tell(VariantChanged(settlement.settled.code, settlement.settled.state, report.worker))
    return settlement


def _settle_again(tx: Transaction, policy: QueuePolicy, worker: str, token: LeaseToken, outcome: Outcome) -> Settlement:
    """Answer for a lease that has ended. A repeated report is fine; so is giving up what was cancelled. A worker that
    says it has uploaded must be believed or told that it was not. That Telegram makes an account wait is true whatever
    became of the lease: the account is parked, once."""
    ended = outcomes_of(tx, token, worker)
    parked: tuple[int, ...] = ()
    match outcome:
        case SettleDone():
            known = AttemptOutcome.DONE in ended
        case SettleFloodWait() if ended and AttemptOutcome.FLOOD_WAIT not in ended:
            parked = (_park_late(tx, policy, token, worker, outcome),)
            known = True
        case _:
            known = bool(ended & (_REPORTED | {AttemptOutcome.CANCELLED}))
    if not known:
        raise LeaseLostError(f"the lease {token} is no longer held by {worker}")
    row = tx.get("state_of_variant", {"variant_id": token.variant_id})
    return Settlement(Settled(row["code"], VariantState(row["state"]), repeated=True), wakes_at_ms=parked)


class _Settling:
    """One report, and what follows from it for the links, their hosts, the variant and the account."""

    def __init__(self, tx: Transaction, policy: QueuePolicy, lease: ReportedLease, posted: Counter[int]) -> None:
        self._tx = tx
        self._policy = policy
        self._lease = lease
        self._posted = posted
        self._wakes_at_ms: list[int] = []
        self._replaced: set[int] = set()  # links that point to another file by now

    def settle(self, outcome: Outcome) -> Settlement:
        _check_reports(outcome)
        for report in outcome.sources:
            self._report_source(report)
        match outcome:
            case SettleDone():
                state = self._end_done(outcome)
            case SettleFailed():
                state = self._end_failed(outcome)
            case SettleFloodWait():
                self._wakes_at_ms.append(_park(self._tx, self._policy, self._lease.account_id, outcome))
                state = self._end_unfinished(Event.FLOOD_WAIT, outcome)
            case SettleReleased():
                state = self._end_unfinished(Event.RELEASED, outcome, disk_bytes=outcome.disk_bytes)
        record_attempts(self._tx, reported(self._lease, outcome, self._tx.now_ms))
        valid = [report for report in outcome.sources if report.link_id not in self._replaced]
        corrected = correct_links(self._tx, self._policy, self._lease.variant_id, state, valid)
        return Settlement(
            Settled(self._lease.code, corrected.state),
            wakes=corrected.state is VariantState.READY or corrected.wakes or bool(self._lease.host_limited),
            wakes_at_ms=tuple(self._wakes_at_ms),
        )

    # ---- links and their hosts -------------------------------------------------------------------

    def _report_source(self, report: SourceReport) -> None:
        """What is reported of a file that the link does not point to any more says nothing about the link and its host,
        but that the upload was made of it."""
        if report.reason is None:
            self._use_source(report)
        elif not self._fail_source(report, report.reason):
            if not self._tx.get("points_to_another_file", self._link(report))["is_another"]:
                raise _foreign_link(report)
            self._replaced.add(report.link_id)

    def _link(self, report: SourceReport) -> dict[str, Any]:
        return {"variant_id": self._lease.variant_id, "fence": self._lease.fence, "link_id": report.link_id}

    def _use_source(self, report: SourceReport) -> None:
        if self._lease.hosts_climbed or self._wakes_at_ms:  # before this report, or by an earlier link of it
            ladders.host_worked(self._tx, self._lease, report.link_id)
        used = {**self._link(report), "now_ms": self._tx.now_ms}
        self._tx.change("use_source", used, lambda: _foreign_link(report))

    def _fail_source(self, report: SourceReport, reason: Reason) -> int:
        known = self._tx.execute(
            "fail_source",
            {
                **self._link(report),
                "reason": reason.value,
                "detail": shortened(report.detail),
                "passing": int(reason.is_passing),
                "failed_round": self._lease.rounds,
                "file_bytes": _needed_bytes(report),
                "now_ms": self._tx.now_ms,
            },
        )
        if known and CONSEQUENCES[reason].host is ForHost.CLIMBS:
            until_ms = ladders.host_failed(self._tx, self._policy.hosts, report)
            if until_ms is not None:
                self._wakes_at_ms.append(until_ms)
        return known

    # ---- the variant and the account -------------------------------------------------------------

    def _end_done(self, outcome: SettleDone) -> VariantState:
        channel_id = store_objects(self._tx, self._lease, outcome.objects)
        self._posted[channel_id] += len(outcome.objects)
        if self._lease.account_rung:
            ladders.account_worked(self._tx, self._lease.account_id)
        return end_lease(self._tx, self._lease, Event.DONE, channel_id=channel_id)

    def _end_failed(self, outcome: SettleFailed) -> VariantState:
        self._blame_account(outcome)
        return self._end_round(self._links_left(), tried=bool(outcome.sources))

    def _end_round(self, left: LinksLeft, *, tried: bool) -> VariantState:
        rounds = self._lease.rounds + 1
        event = failure_event(left, tried=tried, rounds=rounds, rounds_max=self._policy.rounds_max)
        if event is Event.FAILED_SOURCES_LEFT:
            return self._end(event)
        return self._end(event, rounds=rounds, retry_in_s=self._policy.rounds.pause_s(rounds))

    def _end_unfinished(self, event: Event, outcome: Outcome, *, disk_bytes: int = 0) -> VariantState:
        """Give the variant back, unless the report leaves it without a link to try now: then it has failed. A report of
        no link leaves what an operator may have closed meanwhile. What may work later does not wait for more disk."""
        left = self._links_left()
        if disk_bytes and left.passing and self._lease.rounds + 1 < self._policy.rounds_max:
            return self._end_round(LinksLeft(triable=0, passing=left.passing), tried=True)
        if left.triable:
            return self._end(event, disk_bytes=disk_bytes)
        if left.larger or (left.closed and not outcome.sources):
            state = self._end(event, disk_bytes=disk_bytes)
            return end_round(self._tx, self._policy, self._lease.variant_id, state)
        return self._end_round(left, tried=True)

    def _end(
        self, event: Event, *, rounds: int | None = None, retry_in_s: float = 0.0, disk_bytes: int = 0
    ) -> VariantState:
        state = end_lease(
            self._tx, self._lease, event, rounds=rounds, retry_in_s=retry_in_s, disk_bytes=disk_bytes or None
        )
        relane(self._tx, self._lease.variant_id)
        return state

    def _links_left(self) -> LinksLeft:
        return links_left(self._tx, self._lease.variant_id, self._lease.rounds)

    def _blame_account(self, outcome: SettleFailed) -> None:
        reasons = [*(report.reason for report in outcome.sources if report.reason), outcome.reason]
        blamed = [reason for reason in reasons if CONSEQUENCES[reason].account is ForAccount.CLIMBS]
        if blamed:
            why = f"an upload failed: {blamed[-1].value}"
            until_ms = ladders.account_failed(self._tx, self._policy.accounts, self._lease.account_id, why)
            if until_ms is not None:
                self._wakes_at_ms.append(until_ms)


def _check_reports(outcome: Outcome) -> None:
    used = [index for index, report in enumerate(outcome.sources) if report.reason is None]
    if used and not isinstance(outcome, SettleDone):
        raise InputError("a link was used, but the upload is not done", field="sources")
    if used not in ([], [len(outcome.sources) - 1]):
        raise InputError("one link at most was used, and it comes last", field="sources")
    if len({report.link_id for report in outcome.sources}) < len(outcome.sources):
        raise InputError("each link is reported once", field="sources")


def _foreign_link(report: SourceReport) -> InputError:
    return InputError(f"link {report.link_id} does not belong to this lease", field="sources")


def _needed_bytes(report: SourceReport) -> int | None:
    """What an account must be allowed to send for this link; None where it was not too large, or no account may."""
    if report.reason is None or CONSEQUENCES[report.reason].link is not ForLink.LARGER_ACCOUNT:
        return None
    size_bytes = report.size_bytes or 0
    return size_bytes if 0 < size_bytes <= file_bytes_max(premium=True) else None


# ---- accounts that Telegram makes wait -----------------------------------------------------------


def _park(tx: Transaction, policy: QueuePolicy, account_id: int, outcome: SettleFloodWait) -> int:
    """Park what the refused request was about; when the account may claim again."""
    uploading = outcome.request.startswith("upload.")
    until_ms = tx.now_ms + round(outcome.wait_s * 1000)
    reason = f"Telegram asks to wait {outcome.wait_s:g} s before {outcome.request}"
    params = {"account_id": account_id, "until_ms": until_ms, "reason": reason}
    account = tx.get("park_uploads" if uploading else "park_sends", params)
    ladders.tell_parked(tx, account)
    return policy.claims_from_ms(account["uploads_parked_until_ms"], account["sends_parked_until_ms"])


def _park_late(tx: Transaction, policy: QueuePolicy, token: LeaseToken, worker: str, outcome: SettleFloodWait) -> int:
    """Park the account for a lease that had ended before the report came. The history keeps the report, so that a
    repeat of it does not park the account for longer."""
    lease = {"variant_id": token.variant_id, "fence": token.fence, "worker": worker}
    held_by = tx.get("account_of_ended_lease", lease)
    late = Attempt(
        variant_id=token.variant_id,
        fence=token.fence,
        worker_id=held_by["worker_id"],
        account_id=held_by["account_id"],
        outcome=AttemptOutcome.FLOOD_WAIT,
        detail=f"wait {outcome.wait_s:g} s before {outcome.request}",
        started_at_ms=tx.now_ms,
        finished_at_ms=tx.now_ms,
    )
    record_attempts(tx, [late])
    return _park(tx, policy, held_by["account_id"], outcome)
