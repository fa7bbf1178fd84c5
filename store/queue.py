"""The lease queue: each call one operation of the writer, and word to those who wait."""

from __future__ import annotations

import logging

from telecine.core import codes
from telecine.core.errors import LeaseLostError
from telecine.core.leases import LeaseToken
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
from telecine.store import beats, channels, claims, settlements, workers
from telecine.store.beats import Beat
from telecine.store.claims import Claim, LeaseTerms
from telecine.store.settlements import Report, Settlement
from telecine.store.signal import WorkSignal
from telecine.store.writer import Writer

logger = logging.getLogger(__name__)


class SqliteQueue:
    """Implements `Queue`."""

    def __init__(self, writer: Writer, signal: WorkSignal, terms: LeaseTerms) -> None:
        self._writer = writer
        self._signal = signal
        self._terms = terms
        self._claim = lambda tx, asked: claims.claim(tx, terms, asked)
        self._beat = lambda tx, asked: beats.beat(tx, terms, asked)
        self._settle = lambda tx, reports: settlements.settle(tx, terms.policy, reports)

    async def hello(self, worker: str, account: str, hello: Hello, *, channels_wanted: int) -> tuple[ChannelRef, ...]:
        policy = self._terms.policy
        return await self._writer.run(
            lambda tx: workers.hello(tx, policy, worker, account, hello, channels_wanted=channels_wanted),
            then=self._signal.notify,
        )

    async def channel_opened(self, worker: str, channel_id: int, telegram_id: int) -> None:
        await self._writer.run(
            lambda tx: channels.channel_opened(tx, worker, channel_id, telegram_id), then=self._signal.notify
        )

    async def channel_lost(self, worker: str, channel_id: int, detail: str) -> None:
        await self._writer.run(lambda tx: channels.channel_lost(tx, worker, channel_id))
        logger.warning("%s cannot post to %s any more: %s", worker, codes.channel_code(channel_id), detail)

    async def claim(self, worker: str, request: ClaimRequest) -> Lease | None:
        return await self._writer.run_together(self._claim, Claim(worker, request))

    async def wait_for_work(self, timeout_s: float) -> None:
        await self._signal.wait(timeout_s)

    async def beat(self, worker: str, request: BeatRequest) -> BeatAnswer:
        return await self._writer.run_together(self._beat, Beat(worker, request))

    async def settle(self, worker: str, lease: str, outcome: Outcome) -> Settled:
        token = LeaseToken.parse(lease)
        if token.epoch != self._terms.epoch:
            raise LeaseLostError("the database was restored since this lease was handed out")
        settlement = await self._writer.run_together(self._settle, Report(worker, token, outcome), then=self._wake)
        return settlement.settled

    def _wake(self, settlement: Settlement) -> None:
        for at_ms in settlement.wakes_at_ms:
            self._signal.unpark_at(at_ms)
        if settlement.wakes:
            self._signal.notify()
