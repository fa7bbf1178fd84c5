"""Operators' calls: each one operation of the database, and word to those who wait where it lets them claim."""

from __future__ import annotations

from telecine.core import codes
from telecine.core.clock import Clock
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
from telecine.store import accounts, channels, history, hosts, steering, workers
from telecine.store.claims import LeaseTerms
from telecine.store.readers import Readers
from telecine.store.signal import WorkSignal
from telecine.store.writer import Writer


class SqliteOperations:
    """Implements `Operations`."""

    def __init__(self, writer: Writer, readers: Readers, signal: WorkSignal, clock: Clock, terms: LeaseTerms) -> None:
        self._writer = writer
        self._readers = readers
        self._signal = signal
        self._clock = clock
        self._epoch = terms.epoch
        self._policy = terms.policy

    # ---- uploads ---------------------------------------------------------------------------------

    async def cancel(self, code: str) -> VariantState:
        parsed = _code(code)
        # One upload less reads from its host.
        return await self._writer.run(lambda tx: steering.cancel(tx, parsed), then=self._signal.notify)

    async def requeue(self, code: str) -> VariantState:
        parsed = _code(code)
        return await self._writer.run(lambda tx: steering.requeue(tx, parsed), then=self._signal.notify)

    async def withdraw(self, code: str) -> VariantState:
        parsed = _code(code)
        return await self._writer.run(lambda tx: steering.withdraw(tx, parsed))

    async def withdraw_title(self, title_id: int) -> tuple[VariantMoved, ...]:
        return await self._writer.run(lambda tx: steering.withdraw_title(tx, title_id), then=self._signal.notify)

    async def prioritise(self, code: str, priority: int) -> VariantState:
        parsed = _code(code)
        return await self._writer.run(lambda tx: steering.prioritise(tx, parsed, priority))

    async def pin(self, code: str, account: str | None) -> VariantState:
        parsed = _code(code)
        return await self._writer.run(lambda tx: steering.pin(tx, parsed, account), then=self._signal.notify)

    async def set_copies(self, title_id: int, copies: int) -> None:
        await self._writer.run(lambda tx: steering.set_copies(tx, title_id, copies))

    async def attempts(
        self,
        *,
        code: str | None = None,
        worker: str | None = None,
        outcome: AttemptOutcome | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> tuple[AttemptRecord, ...]:
        parsed = None if code is None else _code(code)
        return await self._readers.run(
            lambda tx: history.attempts(tx, code=parsed, worker=worker, outcome=outcome, before=before, limit=limit)
        )

    # ---- workers and accounts --------------------------------------------------------------------

    async def workers(self) -> tuple[WorkerStatus, ...]:
        return await self._readers.run(lambda tx: workers.worker_statuses(tx, self._epoch))

    async def set_mode(self, worker: str, mode: WorkerMode) -> WorkerStatus:
        return await self._writer.run(
            lambda tx: workers.set_mode(tx, self._policy, self._epoch, worker, mode), then=self._signal.notify
        )

    async def accounts(self) -> tuple[AccountStatus, ...]:
        return await self._readers.run(accounts.account_statuses)

    async def park(self, account: str, park: Park) -> AccountStatus:
        return await self._writer.run(lambda tx: accounts.park(tx, account, park), then=self._wake_when_unparked)

    def _wake_when_unparked(self, status: AccountStatus) -> None:
        until_ms = (
            self._clock.now_ms() + round(seconds * 1000) for seconds in (status.uploads_parked_s, status.sends_parked_s)
        )
        self._signal.unpark_at(self._policy.claims_from_ms(*until_ms))

    async def unpark(self, account: str) -> AccountStatus:
        return await self._writer.run(lambda tx: accounts.unpark(tx, account), then=self._signal.notify)

    # ---- channels and hosts ----------------------------------------------------------------------

    async def channels(
        self, *, account: str | None = None, after: int = 0, limit: int = 100
    ) -> tuple[ChannelStatus, ...]:
        return await self._readers.run(lambda tx: channels.channel_statuses(tx, account, after=after, limit=limit))

    async def plan_channel(self, account: str) -> ChannelStatus:
        channels_max = self._policy.channels_per_account_max
        return await self._writer.run(
            lambda tx: channels.plan_channel(tx, account, channels_max), then=self._signal.notify
        )

    async def retire_channel(self, channel_id: int) -> ChannelStatus:
        return await self._writer.run(lambda tx: channels.retire_channel(tx, channel_id))

    async def hosts(self, *, after: str = "", limit: int = 100) -> tuple[HostStatus, ...]:
        return await self._readers.run(lambda tx: hosts.host_statuses(tx, self._policy, after=after, limit=limit))

    async def limit_host(self, name: str, leases_max: int | None) -> HostStatus:
        return await self._writer.run(
            lambda tx: hosts.limit_host(tx, self._policy, name, leases_max), then=self._signal.notify
        )

    async def unpark_host(self, name: str) -> HostStatus:
        return await self._writer.run(lambda tx: hosts.unpark_host(tx, self._policy, name), then=self._signal.notify)


def _code(text: str) -> str:
    """The one spelling of a code. Raises InputError for what is not one."""
    return str(codes.parse_variant(text))
