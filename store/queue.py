"""The lease queue: each call one operation of the writer, and word to those who wait."""

from __future__ import annotations

from telecine.core import codes
from telecine.core.clock import Clock
from telecine.core.errors import LeaseLostError
from telecine.core.leases import LeaseToken, VariantState
from telecine.core.operator_protocol import AccountStatus, WorkerStatus
from telecine.core.protocol import (
    BeatAnswer,
    BeatRequest,
    ChannelRef,
    ClaimRequest,
    Hello,
    Lease,
    Outcome,
    Settled,
    SettleFloodWait,
)
from telecine.store import claims, settlements, variants, workers
from telecine.store.claims import LeaseTerms
from telecine.store.readers import Readers
from telecine.store.settlements import RetryPolicy
from telecine.store.signal import WorkSignal
from telecine.store.transaction import Transaction
from telecine.store.writer import Writer


class SqliteQueue:
    """Implements `Queue`."""

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        signal: WorkSignal,
        clock: Clock,
        terms: LeaseTerms,
        policy: RetryPolicy,
    ) -> None:
        self._clock = clock
        self._writer = writer
        self._readers = readers
        self._signal = signal
        self._terms = terms
        self._policy = policy

    async def hello(self, worker: str, account: str, hello: Hello, *, channels_wanted: int) -> tuple[ChannelRef, ...]:
        channels = await self._writer.run(
            lambda tx: workers.hello(tx, worker, account, hello, channels_wanted=channels_wanted)
        )
        self._signal.notify()
        return channels

    async def channel_opened(self, worker: str, channel_id: int, telegram_id: int) -> None:
        await self._writer.run(lambda tx: workers.channel_opened(tx, worker, channel_id, telegram_id))
        self._signal.notify()

    async def claim(self, worker: str, request: ClaimRequest) -> Lease | None:
        return await self._writer.run(lambda tx: claims.claim(tx, self._terms, worker, request))

    async def wait_for_work(self, timeout_s: float) -> None:
        await self._signal.wait(timeout_s)

    async def beat(self, worker: str, request: BeatRequest) -> BeatAnswer:
        return await self._writer.run(lambda tx: claims.beat(tx, self._terms, worker, request))

    async def settle(self, worker: str, lease: str, outcome: Outcome) -> Settled:
        token = LeaseToken.parse(lease)
        if token.epoch != self._terms.epoch:
            raise LeaseLostError("the database was restored since this lease was handed out")
        settled = await self._writer.run(lambda tx: self._settle(tx, worker, token, outcome))
        if isinstance(outcome, SettleFloodWait):
            self._signal.unpark_at(self._clock.now_ms() + round(outcome.wait_s * 1000))
        if settled.state is VariantState.READY:
            self._signal.notify()
        return settled

    async def cancel(self, code: str) -> VariantState:
        parsed = codes.parse_variant(code)
        return await self._writer.run(lambda tx: variants.cancel(tx, str(parsed)))

    async def requeue(self, code: str) -> VariantState:
        parsed = codes.parse_variant(code)
        state = await self._writer.run(lambda tx: variants.requeue(tx, str(parsed)))
        self._signal.notify()
        return state

    async def workers(self) -> tuple[WorkerStatus, ...]:
        return await self._readers.run(lambda tx: workers.worker_statuses(tx, self._terms.epoch))

    async def accounts(self) -> tuple[AccountStatus, ...]:
        return await self._readers.run(workers.account_statuses)

    async def channels(self) -> tuple[ChannelRef, ...]:
        return await self._readers.run(workers.all_channels)

    def _settle(self, tx: Transaction, worker: str, token: LeaseToken, outcome: Outcome) -> Settled:
        return settlements.settle(tx, self._policy, worker, token, outcome)
