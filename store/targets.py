"""Upload targets whose links change: how they come to be, gain and lose links, and what that means for their state.

An import does this, and a worker that finds a link to be of another quality than it was taken for.
"""

from __future__ import annotations

import msgspec

from telecine.core.codes import VariantCode
from telecine.core.leases import Event, VariantState
from telecine.core.policy import QueuePolicy
from telecine.store.copies import follow_original
from telecine.store.ends import end_round
from telecine.store.lanes import relane
from telecine.store.transaction import Transaction
from telecine.store.variants import enter_state

_WAITING = frozenset({VariantState.READY, VariantState.DELAYED})


class Target(msgspec.Struct):
    """A variant in the state that it was found in, and how many links it has now.

    `waits_for_link`: it was cancelled for want of one.
    `gained`: it has a link that it had not; `lost`: it has not one that it had; `shifted`: the link that is tried next
    may be another, or elsewhere. `new_at`: the host in whose lane a new variant was put.
    """

    id: int
    code: str
    state: VariantState
    sources: int
    waits_for_link: bool = False
    new_at: int | None = None
    gained: bool = False
    lost: bool = False
    shifted: bool = False


def insert_target(tx: Transaction, code: VariantCode, *, episode_id: int | None, host_id: int) -> Target:
    """Queue a variant, in the lane of the host of the link that is to be its first."""
    params = {
        "code": str(code),
        "title_id": code.title_number,
        "episode_id": episode_id,
        "quality": code.quality.value,
        "host_id": host_id,
        "now_ms": tx.now_ms,
    }
    variant_id = tx.get("insert_variant", params)["id"]
    return Target(variant_id, str(code), VariantState.READY, 0, new_at=host_id)


def append_link(tx: Transaction, target: Target, link_id: int, host_id: int) -> None:
    """Give a target a link to try after those that it has."""
    tx.execute("append_source", {"variant_id": target.id, "link_id": link_id})
    target.sources += 1
    target.gained = True
    target.shifted |= host_id != target.new_at


def remove_link(tx: Transaction, target: Target, link_id: int) -> None:
    """Take a link from a target."""
    tx.execute("remove_source", {"variant_id": target.id, "link_id": link_id})
    target.sources -= 1
    target.lost = target.shifted = True


def follow(tx: Transaction, original: Target, copy: Target) -> None:
    """Let a copy have the links of its original, unless a worker may be reading them."""
    if copy.state is VariantState.LEASED:
        return
    followed = follow_original(tx, copy.id, original.id)
    copy.sources += followed.gained - followed.lost
    copy.gained = followed.gained > 0
    copy.lost = followed.lost > 0
    copy.shifted = original.shifted or followed.gained + followed.lost > 0


def steer(tx: Transaction, policy: QueuePolicy, target: Target) -> bool:
    """Once its links have changed: put a target into the right lane, and into the state that follows. Whether it is in
    another state than before. One that is leased finds its lane when the lease ends."""
    if target.gained and target.new_at is None:  # who lacked the disk for its other links may try the new one
        tx.execute("demand_no_disk", {"variant_id": target.id})
    before, event = target.state, _event_of(target)
    if event is Event.REQUEUE:  # what became of its former links says nothing about the new one
        tx.execute("start_over", {"variant_id": target.id})
        tx.execute("forget_what_may_pass", {"variant_id": target.id})
    if target.shifted and before is not VariantState.LEASED:
        relane(tx, target.id)
    if event is not None:
        target.state = enter_state(tx, target.id, before, event, waits_for_link=event is Event.CANCEL)
    elif target.lost and before in _WAITING:
        target.state = end_round(tx, policy, target.id, before)
    return target.state is not before


def _event_of(target: Target) -> Event | None:
    """What waits or is dead and has lost all its links is taken out; what gained a link is tried at once."""
    if target.sources == 0:
        has_failed = target.lost and target.state is VariantState.DEAD
        return Event.CANCEL if target.state in _WAITING or has_failed else None
    if not target.gained:
        return None
    if target.state is VariantState.DELAYED:
        return Event.DUE
    if target.state is VariantState.DEAD or target.waits_for_link:  # what an operator cancelled stays so
        return Event.REQUEUE
    return None
