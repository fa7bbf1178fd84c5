"""What claims look at: the heads of the lanes, and what the accounts may do.

Claims of one transaction that follow one another share what one of them has read, since nothing but these claims has
changed meanwhile. A head costs a query, whether that reads one of them or many: so the more claims have come already,
the further the next look reads ahead. What is seen here is never older than the transaction.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec

from telecine.core.policy import QueuePolicy
from telecine.store.transaction import Row, Transaction

SHARED_LANE = 0
REACH_GROWTH = 4
REACH_MAX = 64  # heads of one lane in one look


class _Lane:
    """The heads of one lane, in their order. `reach`: how many the next look asks for."""

    __slots__ = ("heads", "is_read_out", "reach")

    def __init__(self) -> None:
        self.heads: deque[Row] = deque()
        self.is_read_out = False
        self.reach = 1


class Outlook:
    """Belongs to one transaction. `keep` after a claim says that what is seen here still holds without its variant;
    after any other change all of it is read anew."""

    def __init__(self) -> None:
        self._changes = -1
        self._accounts: dict[int, Row] = {}
        self._lanes: dict[int, _Lane] = {}
        self._sources: dict[int, list[Row]] = {}
        self._demand: bool | None = None

    def refresh(self, tx: Transaction) -> None:
        """Forget what may have changed."""
        if tx.changes != self._changes:
            self._changes = tx.changes
            self._accounts.clear()
            self._lanes.clear()
            self._sources.clear()
            self._demand = None

    def keep(self, tx: Transaction) -> None:
        """Nothing has changed but that a variant which was taken here is leased."""
        self._changes = tx.changes

    def account(self, tx: Transaction, account_id: int) -> Row:
        """Until when an account is parked, and its open channel with the fewest messages, if it has one."""
        account = self._accounts.get(account_id)
        if account is None:
            account = self._accounts[account_id] = tx.get("account_to_claim", {"account_id": account_id})
        return account

    def is_demanding(self, tx: Transaction) -> bool:
        """Whether anything waits that not every worker can take."""
        if self._demand is None:
            self._demand = bool(tx.get("demand")["demanding"])
        return self._demand

    def head(self, tx: Transaction, policy: QueuePolicy, account_id: int) -> Row | None:
        """The first variant in the two lanes that an account may take from."""
        own, shared = self._first(tx, policy, account_id), self._first(tx, policy, SHARED_LANE)
        if own is None or shared is None:
            return own or shared
        return own if (own["priority"], own["id"]) < (shared["priority"], shared["id"]) else shared

    def take(self, head: Row) -> None:
        """A claim takes what `head` gave it."""
        self._lanes[head["lane"]].heads.popleft()

    def sources(self, tx: Transaction, variant_id: int) -> list[Row]:
        """The links of a variant that can be tried, each with how large a file an account must be allowed to send."""
        if variant_id not in self._sources:
            self._sources.update(sources_of(tx, [variant_id]))
        return self._sources[variant_id]

    def _first(self, tx: Transaction, policy: QueuePolicy, number: int) -> Row | None:
        lane = self._lanes.get(number)
        if lane is None:
            lane = self._lanes[number] = _Lane()
        if not lane.heads and not lane.is_read_out:
            params = {"lane": number, "limit": lane.reach, "host_leases_max": policy.host_leases_max}
            lane.heads.extend(tx.all("lane_heads", params))
            lane.is_read_out = len(lane.heads) < lane.reach
            lane.reach = min(lane.reach * REACH_GROWTH, REACH_MAX)
            self._sources.update(sources_of(tx, (head["id"] for head in lane.heads)))
        return lane.heads[0] if lane.heads else None


def sources_of(tx: Transaction, variant_ids: Iterable[int]) -> dict[int, list[Row]]:
    """The links of each of the variants that can be tried, parked hosts' among them."""
    sources: dict[int, list[Row]] = {variant_id: [] for variant_id in variant_ids}
    for row in tx.all("sources_to_try", {"ids": msgspec.json.encode(list(sources)).decode()}):
        sources[row["variant_id"]].append(row)
    return sources
