"""What workers ask of the lease queue. The store implements it; operators have `core.operations`."""

from __future__ import annotations

from typing import Protocol

from telecine.core.protocol import (
    BeatAnswer,
    BeatRequest,
    ChannelRef,
    ClaimRequest,
    Hello,
    Lease,
    Outcome,
    Settled,
)


class Queue(Protocol):
    """The lease queue. Every call is one transaction; a reply means that it is committed."""

    async def hello(self, worker: str, account: str, hello: Hello, *, channels_wanted: int) -> tuple[ChannelRef, ...]:
        """Register a boot of a worker and the facts of its account; give back leases of its earlier boots; make sure
        that the account has `channels_wanted` channels planned or open, and list them. One that has as many as it may,
        retired ones included, gets no more."""
        ...

    async def channel_opened(self, worker: str, channel_id: int, telegram_id: int) -> None:
        """Note that a planned channel exists. Raises NotFoundError, ConflictError (open under another id),
        ForbiddenError (another account's channel)."""
        ...

    async def channel_lost(self, worker: str, channel_id: int, detail: str) -> None:
        """Retire a channel that its account cannot post to any more. Raises NotFoundError, ForbiddenError."""
        ...

    async def claim(self, worker: str, request: ClaimRequest) -> Lease | None:
        """Lease the first ready variant that the worker may upload now; None where there is none.

        Respected are the lane (pinned to the account, or shared), priority, parked accounts and hosts, how many may
        read from a host, what size of file and how much disk an upload needs, and the mode of the worker.
        Raises SupersededError for a boot that is not the worker's latest, ConflictError for one that said no hello."""
        ...

    async def wait_for_work(self, timeout_s: float) -> None:
        """Return when a claim may succeed that did not before (insert, sweep, unpark, settle), or after `timeout_s`."""
        ...

    async def beat(self, worker: str, request: BeatRequest) -> BeatAnswer:
        """Prolong the worker's leases and keep their progress."""
        ...

    async def settle(self, worker: str, lease: str, outcome: Outcome) -> Settled:
        """Finish a lease. Raises LeaseLostError for one that is no longer the worker's."""
        ...
