"""The heads of the lanes, read ahead for claims that come together."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import msgspec

from telecine.core.policy import QueuePolicy
from telecine.store.transaction import Transaction

SHARED = 0  # the lane of what is pinned to no account


class Head(msgspec.Struct, frozen=True, gc=False):
    """A variant that comes first, and how the host is whose lane it stands in; None: it has no link at any."""

    id: int
    priority: int
    parked_until_ms: int | None
    leases_max: int | None


class Heads:
    """As many of the first in each lane as there are claims that may come to them, so that it is read once for all."""

    def __init__(self, tx: Transaction, policy: QueuePolicy, accounts: Mapping[int, int]) -> None:
        """`accounts`: how many claims each account makes."""
        lanes = {SHARED: sum(accounts.values()), **accounts}
        self._lanes = {lane: _read(tx, policy, lane, claims) for lane, claims in lanes.items()}
        self._taken: set[int] = set()

    def first(self, account_id: int) -> Head | None:
        """What comes first of what the account may take."""
        own, shared = self._head(account_id), self._head(SHARED)
        if own is None or shared is None:
            return own or shared
        return own if (own.priority, own.id) < (shared.priority, shared.id) else shared

    def take(self, variant_id: int) -> None:
        """Offer a variant no more; it may be one that is not among the heads."""
        self._taken.add(variant_id)

    def _head(self, lane: int) -> Head | None:
        rows = self._lanes[lane]
        while rows and rows[0].id in self._taken:
            rows.popleft()
        return rows[0] if rows else None


def _read(tx: Transaction, policy: QueuePolicy, lane: int, limit: int) -> deque[Head]:
    params = {"lane": lane, "limit": limit, "host_leases_max": policy.host_leases_max}
    return deque(tx.rows("lane_heads", Head, params))
