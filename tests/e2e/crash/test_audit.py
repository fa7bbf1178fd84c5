"""The audit of a run finds what it is there to find."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from tests.e2e.crash.audit import audit
from tests.e2e.crash.evidence import AttemptRow, Evidence, ObjectRow, Report, Tenancy, VariantRow
from tests.e2e.crash.ledger import Acknowledged, Held, Refused, Settling

from telecine.core.leases import AttemptOutcome, LeaseToken, VariantState
from telecine.core.protocol import ObjectReport, SettleDone, SourceReport

DIGEST = 64 * "0"
DONE = SettleDone((ObjectReport(1, 1, 1001, 7, 9, DIGEST),), (SourceReport(5, None),), "direct")


def expired() -> Tenancy:
    """The first lease: held from 1.0 to 2.5, by a worker of whom nothing more was heard."""
    return Tenancy(
        LeaseToken(1, 1, 1),
        workers={"ember"},
        held=[Held("1.1.1", "CM_M000001_720P", "ember-1", "r1", at_s=1.0, until_s=2.5)],
        until_s=2.5,
        rows=[AttemptRow(1, 1, "ember", None, AttemptOutcome.EXPIRED, None)],
    )


def done() -> Tenancy:
    """The second: held from 3.0, settled from 3.4 to 3.5."""
    answer = Acknowledged("1.1.2", VariantState.DONE, repeated=False, at_s=3.5)
    return Tenancy(
        LeaseToken(1, 1, 2),
        workers={"rora"},
        held=[Held("1.1.2", "CM_M000001_720P", "rora-1", "r1", at_s=3.0, until_s=4.5)],
        until_s=4.5,
        stopped_at_s=3.4,
        reports=[Report(Settling("1.1.2", DONE, at_s=3.4), answer)],
        rows=[AttemptRow(1, 2, "rora", 5, AttemptOutcome.DONE, None)],
        objects=[ObjectRow(1, 2, 1, 1, 1001, 7, DIGEST, is_retired=False)],
    )


@pytest.fixture
def evidence() -> Evidence:
    return Evidence(
        tenancies={(1, 1): expired(), (1, 2): done()},
        variants=[VariantRow(1, "CM_M000001_720P", VariantState.DONE, 2, 2, 0, None, None)],
        used_links={1: [5]},
        messages={(1001, 7)},
        open_leases={"ember": (), "rora": ()},
        integrity=[("ok",)],
        dangling=[],
    )


def change_variant(evidence: Evidence, **changes: object) -> None:
    evidence.variants[0] = msgspec.structs.replace(evidence.variants[0], **changes)


def lose_acknowledged(evidence: Evidence) -> None:
    evidence.tenancies[1, 2].rows[:] = [AttemptRow(1, 2, "rora", None, AttemptOutcome.EXPIRED, None)]


def hand_out_early(evidence: Evidence) -> None:
    evidence.tenancies[1, 1].until_s = 3.1


def hand_out_twice(evidence: Evidence) -> None:
    evidence.tenancies[1, 2].held.append(Held("1.1.2", "CM_M000001_720P", "ember-1", "r2", at_s=3.0, until_s=4.5))


def take_a_stale_report(evidence: Evidence) -> None:
    answer = Acknowledged("1.1.1", VariantState.DONE, repeated=False, at_s=3.3)
    evidence.tenancies[1, 1].reports.append(Report(Settling("1.1.1", DONE, at_s=3.2), answer))


def take_a_report_twice(evidence: Evidence) -> None:
    evidence.tenancies[1, 2].reports *= 2


def refuse_what_was_taken(evidence: Evidence) -> None:
    evidence.tenancies[1, 2].reports[0].answer = Refused("1.1.2", "lease_lost", at_s=3.5)


def forget_a_fence(evidence: Evidence) -> None:
    del evidence.tenancies[1, 1]


def end_twice(evidence: Evidence) -> None:
    evidence.tenancies[1, 1].rows *= 2


def invent_a_report(evidence: Evidence) -> None:
    evidence.tenancies[1, 2].reports.clear()


def lose_a_message(evidence: Evidence) -> None:
    evidence.messages.clear()


def leave_an_orphan(evidence: Evidence) -> None:
    evidence.messages.add((1001, 8))


def store_another_message(evidence: Evidence) -> None:
    evidence.tenancies[1, 2].objects[0] = ObjectRow(1, 2, 1, 1, 1001, 8, DIGEST, is_retired=False)


def retire_the_last(evidence: Evidence) -> None:
    evidence.tenancies[1, 2].objects[0] = ObjectRow(1, 2, 1, 1, 1001, 7, DIGEST, is_retired=True)


def leave_a_journal_open(evidence: Evidence) -> None:
    evidence.open_leases["ember"] = ("1.1.1",)


TAMPERINGS: list[tuple[Callable[[Evidence], None], str]] = [
    (lose_acknowledged, "done was acknowledged, but the history says"),
    (hand_out_early, "1.1.2 was handed out 0.100 s before 1.1.1 ended"),
    (hand_out_twice, "was handed out to"),
    (take_a_stale_report, "1.1.1 was settled after 1.1.2 had been handed out"),
    (take_a_report_twice, "2 reports of it were taken"),
    (refuse_what_was_taken, "done was refused as lease_lost"),
    (forget_a_fence, "has fences up to 2, but the history knows [2]"),
    (end_twice, "ended in silence, and yet the history says 2 expired"),
    (invent_a_report, "the history says 1 done, which its worker never reported"),
    (lose_a_message, "message (1001, 7) is written down but not in its channel"),
    (leave_an_orphan, "message (1001, 8) is in its channel but nobody knows of it"),
    (store_another_message, "but reported were"),
    (retire_the_last, "the messages of 1.1.2, its last upload, are retired"),
    (leave_a_journal_open, "ember has left messages of ('1.1.1',)"),
    (lambda evidence: change_variant(evidence, attempts=3), "counts 3 attempts, but the history 2"),
    (lambda evidence: change_variant(evidence, state=VariantState.LEASED), "is stuck"),
    (lambda evidence: evidence.used_links.update({1: [4]}), "links [4] are marked as used"),
    (lambda evidence: evidence.dangling.append(("upload_attempts", 1)), "the database is damaged"),
]


def test_a_sound_run_leaves_nothing_to_say(evidence: Evidence) -> None:
    assert audit(evidence) == []


@pytest.mark.parametrize(("tamper", "finding"), TAMPERINGS)
def test_what_is_wrong_is_found(evidence: Evidence, tamper: Callable[[Evidence], None], finding: str) -> None:
    tamper(evidence)
    assert any(finding in found for found in audit(evidence)), audit(evidence)
