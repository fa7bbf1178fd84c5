"""Taking leases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from telecine.core import codes
from telecine.core.errors import ConflictError, SupersededError
from telecine.core.leases import LeaseToken, LinkFate
from telecine.core.operator_protocol import WorkerMode
from telecine.core.policy import QueuePolicy
from telecine.core.protocol import SOURCES_PER_LEASE_MAX, ChannelRef, ClaimRequest, Lease, SourceRef
from telecine.core.quality import Quality
from telecine.store.channels import plan_another
from telecine.store.heads import Head, Heads
from telecine.store.transaction import Params, Transaction

SEEN_EVERY_MS = 1000  # how stale `seen_at_ms` may be: a write less for most claims
_ANY_TIME_MS = 2**62  # a lease is repeated with the links that it had, however long their hosts are parked


class LeaseTerms(msgspec.Struct, frozen=True):
    """What all leases have in common: the epoch of the database, when it was opened, and the policy of the queue."""

    epoch: int
    policy: QueuePolicy
    opened_at_ms: int


class Claim(msgspec.Struct, frozen=True, gc=False):
    """What a worker asks for."""

    worker: str
    request: ClaimRequest


class _Claimer(msgspec.Struct, frozen=True, gc=False):
    """A worker that claims: a row of `claimers`."""

    name: str
    worker_id: int
    account_id: int
    boot_id: str
    mode: str
    seen_at_ms: int
    uploads_parked_until_ms: int
    sends_parked_until_ms: int
    demanding: int


class _Held(msgspec.Struct, frozen=True, gc=False):
    """A lease that a worker holds: a row of `leases_of_workers`."""

    worker_id: int
    request_id: str
    id: int


class _Leased(msgspec.Struct, frozen=True, gc=False):
    """What a lease tells of its variant: a row of `leased_variants`."""

    id: int
    code: str
    quality: str
    generation: int
    fence: int
    host_id: int | None
    channel_id: int
    telegram_id: int | None
    runtime_s: int | None


class _Link(msgspec.Struct, frozen=True, gc=False):
    """A link that may be tried, by the number of who asked: a row of `sources_to_try`."""

    number: int
    link_id: int
    url: str
    position: int
    fate: str
    host_id: int


class _Taken(msgspec.Struct, frozen=True, gc=False):
    """A variant that a claim leads to. `repeats`: it was leased for this very request before."""

    variant_id: int
    claim: Claim
    claimer: _Claimer
    repeats: bool = False


def claim(tx: Transaction, terms: LeaseTerms, claims: Sequence[Claim]) -> list[Lease | Exception | None]:
    """For each claim a lease or nothing, as if one came after the other; SupersededError for a boot that is not the
    worker's latest, ConflictError for one of which nothing is known."""
    claiming = _Claiming(tx, terms, claims)
    taken = [tx.attempt(claiming.take, one) for one in claims]
    leases = iter(_leases(tx, terms, [one for one in taken if isinstance(one, _Taken)]))
    return [next(leases) if isinstance(one, _Taken) else one for one in taken]


class _Claiming:
    """Claims that come together. What decides them is looked up for all of them at once."""

    def __init__(self, tx: Transaction, terms: LeaseTerms, claims: Sequence[Claim]) -> None:
        policy = terms.policy
        self._tx = tx
        self._policy = policy
        self._opened_at_ms = terms.opened_at_ms
        names = _json(list({one.worker for one in claims}))
        self._claimers = {row.name: row for row in tx.rows("claimers", _Claimer, {"workers": names})}
        ids = _json([row.worker_id for row in self._claimers.values()])
        held = tx.rows("leases_of_workers", _Held, {"workers": ids})
        self._held = {(row.worker_id, row.request_id): row.id for row in held}
        self._able = {row.name for row in self._claimers.values() if _may_claim(row, policy, tx.now_ms)}
        accounts = Counter(self._claimers[one.worker].account_id for one in claims if one.worker in self._able)
        self._heads = Heads(tx, policy, accounts)
        self._nothing: set[tuple[Any, ...]] = set()  # queries that found nothing
        rows = tx.all("channels_to_fill", {"accounts": _json(list(accounts))})
        self._channels: dict[int, int | None] = {row["account_id"]: row["channel_id"] for row in rows}

    def take(self, claim: Claim) -> _Taken | None:
        """Lease what comes first. What is held for this request already is prolonged."""
        claimer = self._claimer(claim)
        due_at_ms = self._policy.lease_due_at_ms(self._tx.now_ms)
        held_id = self._held.get((claimer.worker_id, claim.request.request_id))
        if held_id is not None:
            self._tx.change("prolong_lease", {"variant_id": held_id, "due_at_ms": due_at_ms})
            return _Taken(held_id, claim, claimer, repeats=True)
        if claimer.name not in self._able:
            return None
        variant_id = self._next(claimer, claim.request)
        if variant_id is None:
            return None
        channel_id = self._channels[claimer.account_id] or _planned_channel(self._tx, self._policy, claimer)
        if channel_id is None:
            return None
        self._heads.take(variant_id)
        self._tx.change(
            "claim_variant",
            {
                "variant_id": variant_id,
                "worker_id": claimer.worker_id,
                "account_id": claimer.account_id,
                "channel_id": channel_id,
                "request_id": claim.request.request_id,
                "now_ms": self._tx.now_ms,
                "due_at_ms": due_at_ms,
            },
        )
        self._held[claimer.worker_id, claim.request.request_id] = variant_id
        return _Taken(variant_id, claim, claimer)

    def _claimer(self, claim: Claim) -> _Claimer:
        row = self._claimers.get(claim.worker)
        if row is None or row.boot_id != claim.request.boot_id:
            raise self._refusal(claim.worker, row)
        if is_news(row.seen_at_ms, self._tx.now_ms):
            self._tx.change("touch_worker", {"worker_id": row.worker_id, "now_ms": self._tx.now_ms})
        return row

    def _refusal(self, worker: str, latest: _Claimer | None) -> ConflictError:
        """Why a process may not claim that is not the worker's latest."""
        if latest is not None and latest.seen_at_ms >= self._opened_at_ms:
            return SupersededError(
                f"another process speaks for the worker {worker} now",
                hint="stop one of the two, or name it differently",
            )
        # Or the database was restored to a time before its hello.
        return ConflictError(f"the worker {worker} has not said hello", hint="POST /v1/workers/hello first")

    def _next(self, claimer: _Claimer, request: ClaimRequest) -> int | None:
        """The first of what anyone can take and of what not every worker can, from a host that may be read from."""
        head = self._heads.first(claimer.account_id)
        variant_id: int | None = None if head is None else head.id
        limits = {"now_ms": self._tx.now_ms, "host_leases_max": self._policy.host_leases_max}
        if head is not None and not _may_be_read(self._tx, head):
            variant_id = self._found("next_variant", {"account_id": claimer.account_id, **limits})
        if claimer.demanding:
            room = {"file_bytes_max": request.file_bytes_max, "disk_free_bytes": request.disk_free_bytes}
            other_id = self._found("next_demanding_variant", {"account_id": claimer.account_id, **room, **limits})
            if other_id is not None:
                variant_id = self._tx.get("first_of_two", {"one_id": variant_id, "other_id": other_id})["id"]
        return variant_id

    def _found(self, query: str, params: Params) -> int | None:
        """What such a query finds. Where it found nothing for one claim, it finds nothing for those that come with it:
        they only take."""
        asked = (query, *params.values())
        if asked in self._nothing:
            return None
        row = self._tx.one(query, params)
        if row is None:
            self._nothing.add(asked)
            return None
        return int(row["id"])


def is_news(seen_at_ms: int, now_ms: int) -> bool:
    """Whether it is worth writing down that a worker was seen; it may have been, by a clock that was ahead."""
    return not 0 <= now_ms - seen_at_ms < SEEN_EVERY_MS


def _may_claim(claimer: _Claimer, policy: QueuePolicy, now_ms: int) -> bool:
    from_ms = policy.claims_from_ms(claimer.uploads_parked_until_ms, claimer.sends_parked_until_ms)
    return bool(claimer.mode == WorkerMode.ACTIVE and from_ms <= now_ms)


def _may_be_read(tx: Transaction, head: Head) -> bool:
    """Whether the host of a lane's head may be read from. How many do is counted only where that is limited."""
    if head.parked_until_ms is None or head.parked_until_ms > tx.now_ms:
        return False
    limit = head.leases_max
    return limit is None or tx.get("leases_of_host", {"variant_id": head.id})["leases"] < limit


def _planned_channel(tx: Transaction, policy: QueuePolicy, claimer: _Claimer) -> int | None:
    """A channel that the worker is to create first; None where the account has as many as it may."""
    row = tx.one("planned_channel", {"account_id": claimer.account_id})
    if row is not None:
        return int(row["id"])
    return plan_another(tx, claimer.account_id, policy.channels_per_account_max)


def _leases(tx: Transaction, terms: LeaseTerms, taken: Sequence[_Taken]) -> list[Lease]:
    """What is handed out for each."""
    if not taken:
        return []
    asked = [
        (
            one.variant_id,
            one.claim.request.file_bytes_max,
            _ANY_TIME_MS if one.repeats else tx.now_ms,
        )
        for one in taken
    ]
    links: list[list[_Link]] = [[] for _ in taken]
    to_try = {"asked": _json(asked), "host_leases_max": terms.policy.host_leases_max}
    for link in tx.rows("sources_to_try", _Link, to_try):
        links[link.number].append(link)
    ids = _json([one.variant_id for one in taken])
    rows = {row.id: row for row in tx.rows("leased_variants", _Leased, {"ids": ids})}
    return [_lease(tx, terms, one.claimer, rows[one.variant_id], some) for one, some in zip(taken, links, strict=True)]


def _lease(tx: Transaction, terms: LeaseTerms, claimer: _Claimer, row: _Leased, links: list[_Link]) -> Lease:
    return Lease(
        lease=str(LeaseToken(terms.epoch, row.id, row.fence)),
        code=row.code,
        quality=Quality(row.quality),
        generation=row.generation,
        ttl_s=terms.policy.lease_ttl_s,
        channel=ChannelRef(row.channel_id, codes.channel_code(row.channel_id), row.telegram_id),
        sources=_in_order(links, row.host_id),
        runtime_s=row.runtime_s,
        sends_parked_s=max(0, claimer.sends_parked_until_ms - tx.now_ms) / 1000,
    )


def _in_order(links: list[_Link], host_id: int | None) -> tuple[SourceRef, ...]:
    """Untried links first, in retry order; the very first is one of the host whose lane the variant stood in, because
    that is where the lease is counted."""
    if len(links) > 1:
        links.sort(key=lambda link: (link.fate != LinkFate.UNTRIED, link.position))
        first = next((index for index, link in enumerate(links) if link.host_id == host_id), 0)
        links.insert(0, links.pop(first))
    return tuple([SourceRef(link.link_id, link.url, link.position) for link in links[:SOURCES_PER_LEASE_MAX]])


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
