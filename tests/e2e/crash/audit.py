"""What must hold after a run, whoever was killed and when. Each finding is a sentence about what does not."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

from tests.e2e.crash.evidence import Evidence, Report, Tenancy, VariantRow
from tests.e2e.crash.ledger import Acknowledged, Refused

from telecine.core.leases import AttemptOutcome, VariantState
from telecine.core.protocol import Outcome, SettleDone, SettleFailed, SettleFloodWait, SettleReleased
from telecine.core.reasons import Reason

Attempted = tuple[AttemptOutcome, Reason | None]

UNREPORTED = frozenset({AttemptOutcome.EXPIRED, AttemptOutcome.RESTARTED, AttemptOutcome.CANCELLED})
GIVEN_BACK = frozenset({AttemptOutcome.RELEASED, AttemptOutcome.FLOOD_WAIT})
_OUTCOMES: dict[type[Outcome], AttemptOutcome] = {
    SettleDone: AttemptOutcome.DONE,
    SettleFailed: AttemptOutcome.FAILED,
    SettleFloodWait: AttemptOutcome.FLOOD_WAIT,
    SettleReleased: AttemptOutcome.RELEASED,
}


def audit(evidence: Evidence) -> list[str]:
    """Everything that is wrong; nothing in a sound system."""
    return [
        *_at_rest(evidence),
        *itertools.chain.from_iterable(map(_tenancy_findings, evidence.tenancies.values())),
        *itertools.chain.from_iterable(_variant_findings(evidence, variant) for variant in evidence.variants),
    ]


# ---- nothing stuck, nothing broken ---------------------------------------------------------------


def _at_rest(evidence: Evidence) -> Iterator[str]:
    if evidence.integrity != [("ok",)] or evidence.dangling:
        yield f"the database is damaged: {evidence.integrity}, {evidence.dangling}"
    for worker, leases in evidence.open_leases.items():
        if leases:
            yield f"{worker} has left messages of {leases} neither settled nor taken back"
    kept = Counter((o.channel_id, o.message_id) for t in evidence.tenancies.values() for o in t.objects)
    for address, times in kept.items():
        if times > 1:
            yield f"message {address} is written down {times} times"
    # A worker that learns of its settlement late may find the upload superseded, and takes its messages back.
    retired = {(o.channel_id, o.message_id) for t in evidence.tenancies.values() for o in t.objects if o.is_retired}
    for address in kept.keys() - evidence.messages - retired:
        yield f"message {address} is written down but not in its channel"
    for address in evidence.messages - kept.keys():
        yield f"message {address} is in its channel but nobody knows of it"


# ---- one lease -----------------------------------------------------------------------------------


def _tenancy_findings(tenancy: Tenancy) -> Iterator[str]:
    for finding in itertools.chain(_handed_out(tenancy), _history(tenancy), _answers(tenancy), _objects(tenancy)):
        yield f"lease {tenancy.token}: {finding}"


def _handed_out(tenancy: Tenancy) -> Iterator[str]:
    """A fence is one worker's; a claim that is repeated may hand it out again, to the same request."""
    askers = {(held.boot_id, held.request_id) for held in tenancy.held}
    if len(askers) > 1:
        yield f"was handed out to {sorted(askers)}"
    if len(tenancy.workers | {row.worker for row in tenancy.rows}) > 1:
        yield f"is {tenancy.workers}'s, but in the history of {[row.worker for row in tenancy.rows]}"


def _history(tenancy: Tenancy) -> Iterator[str]:
    """Every lease has ended once, either in silence or with all that one of its reports says."""
    attempted: Counter[Attempted] = Counter((row.outcome, row.reason) for row in tenancy.rows)
    silent = tenancy.outcomes & UNREPORTED
    if silent:
        late: Counter[Attempted] = Counter({(AttemptOutcome.FLOOD_WAIT, None): 1} if _reports_flood(tenancy) else {})
        ended = sum(count for (outcome, _), count in attempted.items() if outcome in UNREPORTED)
        others = Counter({key: count for key, count in attempted.items() if key[0] not in UNREPORTED})
        if ended != 1 or others - late:
            yield f"ended in silence, and yet the history says {_told(attempted)}"
    elif attempted == Counter({(AttemptOutcome.RELEASED, None): 1}) and not tenancy.reports:
        if tenancy.held:
            yield "was given back by the coordinator though its worker had it"
    elif attempted not in [_attempted(report.settling.outcome) for report in tenancy.reports]:
        yield f"the history says {_told(attempted)}, which its worker never reported"


def _reports_flood(tenancy: Tenancy) -> bool:
    return any(isinstance(report.settling.outcome, SettleFloodWait) for report in tenancy.reports)


def _attempted(outcome: Outcome) -> Counter[Attempted]:
    """The rows that a report leaves: one for each link, and one that says how it ended if no link's does."""
    ending = _OUTCOMES[type(outcome)]
    links = Counter(
        (AttemptOutcome.DONE if report.reason is None else AttemptOutcome.FAILED, report.reason)
        for report in outcome.sources
    )
    if not any(told is ending for told, _ in links):
        links[ending, outcome.reason if isinstance(outcome, SettleFailed) else None] += 1
    return links


def _told(attempted: Counter[Attempted]) -> str:
    return ", ".join(
        f"{count} {outcome.value}{f' ({reason.value})' if reason else ''}"
        for (outcome, reason), count in attempted.items()
    )


def _answers(tenancy: Tenancy) -> Iterator[str]:
    """What was acknowledged is in the history; what was refused is not; and nothing is taken twice."""
    taken = [report for report in tenancy.reports if _is_taken(report)]
    if len(taken) > 1:
        yield f"{len(taken)} reports of it were taken"
    for report in tenancy.reports:
        ending = _OUTCOMES[type(report.settling.outcome)]
        is_known = ending in tenancy.outcomes
        match report.answer:
            case Acknowledged(repeated=False) if not is_known or tenancy.outcomes & UNREPORTED:
                yield f"{ending.value} was acknowledged, but the history says {tenancy.outcomes}"
            case Acknowledged(repeated=True) if not is_known and AttemptOutcome.CANCELLED not in tenancy.outcomes:
                yield f"{ending.value} was acknowledged as a repeat, but the history says {tenancy.outcomes}"
            case Refused(error=error) if error != "lease_lost" or is_known:
                yield f"{ending.value} was refused as {error}, but the history says {tenancy.outcomes}"
            case _:
                pass


def _is_taken(report: Report) -> bool:
    return isinstance(report.answer, Acknowledged) and not report.answer.repeated


def _objects(tenancy: Tenancy) -> Iterator[str]:
    """The database holds exactly the messages that were reported for a lease that is done."""
    stored = sorted((o.part_no, o.part_count, o.channel_id, o.message_id, o.sha256) for o in tenancy.objects)
    if AttemptOutcome.DONE not in tenancy.outcomes:
        if stored:
            yield f"holds messages though it ended as {tenancy.outcomes}"
        return
    reported = [
        sorted((o.part_no, o.part_count, o.channel_id, o.message_id, o.sha256) for o in report.settling.outcome.objects)
        for report in tenancy.reports
        if isinstance(report.settling.outcome, SettleDone)
    ]
    if stored not in reported:
        yield f"is done with messages {stored}, but reported were {reported}"


# ---- one variant ---------------------------------------------------------------------------------


def _variant_findings(evidence: Evidence, variant: VariantRow) -> Iterator[str]:
    tenancies = evidence.of_variant(variant.id)
    findings = (
        _finished(variant, tenancies, evidence.used_links[variant.id]),
        _counted(variant, tenancies),
        _one_at_a_time(tenancies),
    )
    for finding in itertools.chain.from_iterable(findings):
        yield f"{variant.code}: {finding}"


def _finished(variant: VariantRow, tenancies: list[Tenancy], used_links: list[int]) -> Iterator[str]:
    """Done, with the messages of the last lease that was; those before are retired."""
    if variant.state is not VariantState.DONE or variant.worker_id is not None or variant.due_at_ms is not None:
        yield f"is stuck: {variant}"
        return
    uploads = [tenancy for tenancy in tenancies if AttemptOutcome.DONE in tenancy.outcomes]
    if not uploads:
        yield "is done, but by no lease"
        return
    *superseded, last = uploads
    if any(kept.is_retired for kept in last.objects):
        yield f"the messages of {last.token}, its last upload, are retired"
    for tenancy in superseded:
        if not all(kept.is_retired for kept in tenancy.objects):
            yield f"messages of {tenancy.token} are shown though {last.token} is newer"
    if used_links != [row.link_id for row in last.rows if row.outcome is AttemptOutcome.DONE]:
        yield f"links {used_links} are marked as used, but {last.token} used another"


def _counted(variant: VariantRow, tenancies: list[Tenancy]) -> Iterator[str]:
    """Every fence that was handed out has an end in the history, and the counts are the history's."""
    fences = [tenancy.token.fence for tenancy in tenancies]
    if fences != list(range(1, variant.fence + 1)) or not all(tenancy.rows for tenancy in tenancies):
        yield f"has fences up to {variant.fence}, but the history knows {fences}"
    spent = sum(map(_is_spent, tenancies))
    if variant.attempts != spent:
        yield f"counts {variant.attempts} attempts, but the history {spent}"
    if variant.expiries:
        yield f"is done, and yet counts {variant.expiries} leases in a row that ended in silence"


def _is_spent(tenancy: Tenancy) -> bool:
    """Whether the lease counts as an attempt: given back are those that nothing speaks against."""
    if tenancy.outcomes & UNREPORTED:
        return not any(row.is_excused for row in tenancy.rows)
    return not tenancy.outcomes & GIVEN_BACK


def _one_at_a_time(tenancies: list[Tenancy]) -> Iterator[str]:
    """No lease was handed out while an earlier one was good, and none was settled after a later one was handed out."""
    for earlier, later in itertools.combinations(tenancies, 2):
        if not earlier.held or not later.held:
            continue
        begun_s = min(held.at_s for held in later.held)
        cancelled = AttemptOutcome.CANCELLED in earlier.outcomes  # an operator does not wait for the worker
        if earlier.valid_until_s > begun_s and not cancelled:
            yield f"{later.token} was handed out {earlier.valid_until_s - begun_s:.3f} s before {earlier.token} ended"
        if any(_is_taken(report) and report.settling.at_s > begun_s for report in earlier.reports):
            yield f"{earlier.token} was settled after {later.token} had been handed out"
