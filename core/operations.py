"""What operators ask of the queue: to look at it, and to steer it. The store implements it."""

from __future__ import annotations

from typing import Protocol

from telecine.core.leases import AttemptOutcome, VariantState
from telecine.core.operator_protocol import (
    AccountStatus,
    AttemptRecord,
    ChannelStatus,
    HostStatus,
    Park,
    VariantMoved,
    WorkerMode,
    WorkerStatus,
)


class Operations(Protocol):
    """Looking and steering. Every call is one transaction; what makes an upload claimable wakes waiting claims."""

    # ---- uploads ---------------------------------------------------------------------------------

    async def cancel(self, code: str) -> VariantState:
        """Take a variant out of the queue until it is queued again, one too that is out only until it has a link.
        Raises NotFoundError, ConflictError."""
        ...

    async def requeue(self, code: str) -> VariantState:
        """Queue a variant again with all its links untried. Raises NotFoundError, ConflictError (leased, or without a
        link)."""
        ...

    async def withdraw(self, code: str) -> VariantState:
        """Take what is done out of delivery. Raises NotFoundError, ConflictError (not done)."""
        ...

    async def withdraw_title(self, title_id: int) -> tuple[VariantMoved, ...]:
        """Withdraw what is done of a title, copies included, and cancel all else as `cancel` does; what moved.
        Raises NotFoundError."""
        ...

    async def prioritise(self, code: str, priority: int) -> VariantState:
        """0 goes first, 9 last, in whatever state. Raises NotFoundError, InputError (another number)."""
        ...

    async def pin(self, code: str, account: str | None) -> VariantState:
        """Leave a variant to one account, or (None) to all; a lease that is under way is not touched.
        Raises NotFoundError (variant, account), ConflictError (the account holds another copy, or a second copy is
        left to all)."""
        ...

    async def set_copies(self, title_id: int, copies: int) -> None:
        """How many accounts are to hold each upload of a title. Copies that are there already stay,
        those that are missing are planned by the next sweep. Raises NotFoundError."""
        ...

    async def attempts(
        self,
        *,
        code: str | None = None,
        worker: str | None = None,
        outcome: AttemptOutcome | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> tuple[AttemptRecord, ...]:
        """The history, newest first, behind the row of id `before`. Raises NotFoundError (variant, worker)."""
        ...

    # ---- workers, accounts, channels, hosts ------------------------------------------------------

    async def workers(self) -> tuple[WorkerStatus, ...]:
        """Every worker by name."""
        ...

    async def set_mode(self, worker: str, mode: WorkerMode) -> WorkerStatus:
        """Let a worker go on, pause it, drain it, or disable it, which takes its leases back.
        Raises NotFoundError."""
        ...

    async def accounts(self) -> tuple[AccountStatus, ...]:
        """Every account by name."""
        ...

    async def park(self, account: str, park: Park) -> AccountStatus:
        """Let an account claim nothing, or send nothing, for a while. What it is parked for already is not cut short.
        Raises NotFoundError, InputError (a park of nothing)."""
        ...

    async def unpark(self, account: str) -> AccountStatus:
        """End every park of an account, and put it back on the ground of its ladder. Raises NotFoundError."""
        ...

    async def channels(
        self, *, account: str | None = None, after: int = 0, limit: int = 100
    ) -> tuple[ChannelStatus, ...]:
        """Storage channels by id. Raises NotFoundError (account)."""
        ...

    async def plan_channel(self, account: str) -> ChannelStatus:
        """One more channel for an account; its worker creates it when it is needed. Raises NotFoundError,
        ConflictError (as many as an account may have)."""
        ...

    async def retire_channel(self, channel_id: int) -> ChannelStatus:
        """Put nothing more into a channel; what it holds is delivered still. Raises NotFoundError."""
        ...

    async def hosts(self, *, after: str = "", limit: int = 100) -> tuple[HostStatus, ...]:
        """Source hosts by name."""
        ...

    async def limit_host(self, name: str, leases_max: int | None) -> HostStatus:
        """How many uploads may read from a host at once; None: as the settings say. Raises NotFoundError."""
        ...

    async def unpark_host(self, name: str) -> HostStatus:
        """Let links of a host be tried again at once. Raises NotFoundError."""
        ...
