"""What the coordinator asks of the lease queue. The store implements it."""

from __future__ import annotations

from typing import Protocol

from telecine.core.leases import VariantState
from telecine.core.protocol import (
    AccountStatus,
    BeatAnswer,
    BeatRequest,
    ChannelRef,
    ClaimRequest,
    Hello,
    Lease,
    Outcome,
    Settled,
    WorkerStatus,
)


class Queue(Protocol):
    """The lease queue. Every call is one transaction; a reply means that it is committed."""

    async def hello(self, worker: str, account: str, hello: Hello, *, channels_wanted: int) -> tuple[ChannelRef, ...]:
        """Register a boot of a worker and the facts of its account; give back leases of its earlier boots; make sure
        that the account has `channels_wanted` channels planned or open, and list them."""
        ...

    async def channel_opened(self, worker: str, channel_id: int, telegram_id: int) -> None:
        """Note that a planned channel exists. Raises NotFoundError, ConflictError (open under another id),
        ForbiddenError (another account's channel)."""
        ...

    async def claim(self, worker: str, request: ClaimRequest) -> Lease | None:
        """Lease the first ready variant that the worker's account may upload now; None where there is none.
        Raises ConflictError for a boot that is not the worker's latest."""
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

    async def cancel(self, code: str) -> VariantState:
        """Take a variant out of the queue. Raises NotFoundError, ConflictError."""
        ...

    async def requeue(self, code: str) -> VariantState:
        """Queue a variant again with all its links untried. Raises NotFoundError, ConflictError (leased)."""
        ...

    async def workers(self) -> tuple[WorkerStatus, ...]: ...

    async def accounts(self) -> tuple[AccountStatus, ...]: ...

    async def channels(self) -> tuple[ChannelRef, ...]: ...
