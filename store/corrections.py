"""Links that turn out to be of another quality than they were taken for.

A link that a worker has measured goes to the upload of the quality that it has, of the same film or episode, and is
untried there. It keeps that quality whatever later imports declare, for as long as it points to the same file.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from telecine.core.catalogue import PROBED
from telecine.core.codes import VariantCode
from telecine.core.events import VariantChanged
from telecine.core.leases import VariantState
from telecine.core.policy import QueuePolicy
from telecine.core.protocol import SourceReport
from telecine.core.quality import Quality
from telecine.core.reasons import Reason
from telecine.store.targets import Target, append_link, follow, insert_target, remove_link, steer
from telecine.store.transaction import Row, Transaction

STEADY_MS = 24 * 3600 * 1000  # a link that is measured otherwise again sooner than this is followed no further


class Corrected(msgspec.Struct, frozen=True, gc=False):
    """Where the upload that was tried is now, and whether another one may be claimed that could not be before."""

    state: VariantState
    wakes: bool = False


def correct_links(
    tx: Transaction, policy: QueuePolicy, variant_id: int, state: VariantState, reports: Sequence[SourceReport]
) -> Corrected:
    """Act on what a worker has measured, once its lease has ended and left the upload in `state`."""
    measured = [
        (report.link_id, report.quality)
        for report in reports
        if report.quality is not None and report.reason is Reason.WRONG_CONTENT
    ]
    if not measured:
        return Corrected(state)
    correction = _Correction(tx, policy, variant_id)
    for link_id, quality in measured:
        correction.move(link_id, quality)
    return correction.finish()


class _Correction:
    """The uploads of one film or episode, while links move between them."""

    def __init__(self, tx: Transaction, policy: QueuePolicy, variant_id: int) -> None:
        self._tx = tx
        self._policy = policy
        self._place = tx.get("place_of_variant", {"variant_id": variant_id})
        self._originals: dict[Quality, Target] = {}
        self._copies: dict[Quality, Target] = {}
        for row in tx.all("variants_of_place", self._place):
            targets = self._originals if row["copy"] == 1 else self._copies
            targets[Quality(row["quality"])] = _target(row)
        everyone = (*self._originals.values(), *self._copies.values())
        self._tried = next(target for target in everyone if target.id == variant_id)
        self._changed: set[Quality] = {Quality(self._place["quality"])}  # a copy may have to follow still
        self._new: set[int] = set()

    def move(self, link_id: int, measured: Quality) -> None:
        """Let a link move, unless either copy was made of it, or a worker may be reading it."""
        link = self._tx.get("link_to_correct", {"link_id": link_id})
        taken_for = Quality(link["owner_quality"])
        if measured is taken_for or not self._may_move(link):
            return
        remove_link(self._tx, self._originals[taken_for], link_id)
        append_link(self._tx, self._target(measured, link["host_id"]), link_id, link["host_id"])
        correct = {"id": link_id, "quality": measured.value, "evidence": PROBED, "now_ms": self._tx.now_ms}
        self._tx.execute("correct_link", correct)
        self._changed |= {taken_for, measured}

    def finish(self) -> Corrected:
        """Let copies follow, and everything find its lane and its state."""
        changed = [self._originals[quality] for quality in self._changed]
        for quality in self._changed & self._copies.keys():
            follow(self._tx, self._originals[quality], self._copies[quality])
            changed.append(self._copies[quality])
        for target in changed:
            self._close_gaps(target)
            moved = steer(self._tx, self._policy, target) or target.id in self._new
            if moved and target is not self._tried:  # of which the settlement tells
                self._tx.tell(VariantChanged(target.code, target.state))
        wakes = any(target.gained and target.state is VariantState.READY for target in changed)
        return Corrected(self._tried.state, wakes)

    def _may_move(self, link: Row) -> bool:
        is_steady = link["evidence"] != PROBED or self._tx.now_ms - link["measured_at_ms"] >= STEADY_MS
        return is_steady and not link["is_bound"]

    def _target(self, quality: Quality, host_id: int) -> Target:
        known = self._originals.get(quality)
        if known is not None:
            return known
        place = self._place
        code = VariantCode(place["title_id"], quality, place["code_season"], place["code_episode"])
        target = insert_target(self._tx, code, episode_id=place["episode_id"], host_id=host_id)
        self._originals[quality] = target
        self._new.add(target.id)
        return target

    def _close_gaps(self, target: Target) -> None:
        """Number the links of a target anew; by way of numbers that none has, because no two may be equal."""
        if target.shifted and target.state is not VariantState.LEASED:
            self._tx.execute("lift_positions", {"variant_id": target.id})
            self._tx.execute("close_positions", {"variant_id": target.id})


def _target(row: Row) -> Target:
    return Target(row["id"], row["code"], VariantState(row["state"]), row["sources"], bool(row["waits_for_link"]))
