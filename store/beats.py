"""Keeping leases."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from telecine.core.errors import InputError
from telecine.core.leases import AttemptOutcome, LeaseToken
from telecine.core.operator_protocol import WorkerMode
from telecine.core.protocol import BeatAnswer, BeatRequest, LeaseVerdict, Progress, Verdict
from telecine.store.attempts import outcomes_of
from telecine.store.claims import LeaseTerms, is_news
from telecine.store.transaction import Transaction


class Beat(msgspec.Struct, frozen=True, gc=False):
    """What a worker says of its leases."""

    worker: str
    request: BeatRequest


class _Speaker(msgspec.Struct, frozen=True, gc=False):
    """A worker that beats: a row of `speakers`."""

    name: str
    worker_id: int
    boot_id: str
    mode: str
    seen_at_ms: int
    sends_parked_until_ms: int


class _Said(msgspec.Struct, frozen=True, gc=False):
    """What is said of one lease, by whom, and which it is; None: none that this database has handed out."""

    progress: Progress
    speaker: _Speaker
    token: LeaseToken | None


def beat(tx: Transaction, terms: LeaseTerms, beats: Sequence[Beat]) -> list[BeatAnswer]:
    """For each beat, prolong what is still the worker's. A boot that is not the latest has lost everything."""
    names = msgspec.json.encode(list({one.worker for one in beats})).decode()
    speakers = {row.name: row for row in tx.rows("speakers", _Speaker, {"workers": names})}
    heard: list[tuple[_Speaker, list[_Said]] | None] = []
    for one in beats:
        speaker = speakers.get(one.worker)
        if speaker is None or speaker.boot_id != one.request.boot_id:
            heard.append(None)
            continue
        if is_news(speaker.seen_at_ms, tx.now_ms):
            tx.change("touch_worker", {"worker_id": speaker.worker_id, "now_ms": tx.now_ms})
        heard.append((speaker, [_Said(each, speaker, _token(terms, each.lease)) for each in one.request.leases]))
    held = _prolong(tx, terms, [said for one in heard if one for said in one[1]])
    return [
        _answer(tx, terms, *one, held) if one else BeatAnswer(tuple(_lost(each) for each in beat.request.leases))
        for beat, one in zip(beats, heard, strict=True)
    ]


def _prolong(tx: Transaction, terms: LeaseTerms, said: Sequence[_Said]) -> set[tuple[LeaseToken, int]]:
    """Keep those leases that are held by who speaks of them; which these are, and by whom."""
    asked = [(one.token.variant_id, one.token.fence, one.speaker.worker_id) for one in said if one.token]
    rows = tx.all("leases_kept", {"asked": msgspec.json.encode(asked).decode()}) if asked else []
    held = {(LeaseToken(terms.epoch, row["variant_id"], row["fence"]), row["worker_id"]) for row in rows}
    due_at_ms = terms.policy.lease_due_at_ms(tx.now_ms)
    for one in said:
        if one.token is None or (one.token, one.speaker.worker_id) not in held:
            continue
        tx.change(
            "beat_lease",
            {
                "variant_id": one.token.variant_id,
                "due_at_ms": due_at_ms,
                "stage": one.progress.stage.value,
                "link_id": one.progress.link_id,
                "bytes_done": one.progress.bytes_done,
                "bytes_total": one.progress.bytes_total,
            },
        )
    return held


def _answer(
    tx: Transaction, terms: LeaseTerms, speaker: _Speaker, said: list[_Said], held: set[tuple[LeaseToken, int]]
) -> BeatAnswer:
    verdicts = tuple(
        LeaseVerdict(one.progress.lease, Verdict.GO_ON, terms.policy.lease_ttl_s)
        if one.token and (one.token, speaker.worker_id) in held
        else _ended(tx, one)
        for one in said
    )
    return BeatAnswer(
        verdicts,
        drain=speaker.mode != WorkerMode.ACTIVE,
        pause=speaker.mode == WorkerMode.PAUSED,
        sends_parked_s=max(0, speaker.sends_parked_until_ms - tx.now_ms) / 1000,
    )


def _ended(tx: Transaction, said: _Said) -> LeaseVerdict:
    if said.token and AttemptOutcome.CANCELLED in outcomes_of(tx, said.token, said.speaker.name):
        return LeaseVerdict(said.progress.lease, Verdict.CANCEL, 0.0)
    return _lost(said.progress)


def _lost(progress: Progress) -> LeaseVerdict:
    return LeaseVerdict(progress.lease, Verdict.LOST, 0.0)


def _token(terms: LeaseTerms, lease: str) -> LeaseToken | None:
    try:
        token = LeaseToken.parse(lease)
    except InputError:  # what was never handed out is nobody's; the other leases go on
        return None
    return token if token.epoch == terms.epoch else None
