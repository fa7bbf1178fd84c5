"""The worker's protocol client, with a witness beside it."""

from __future__ import annotations

import random

import aiohttp
from tests.e2e.crash.ledger import Acknowledged, Held, Ledger, Prolonged, Refused, Settling

from telecine.core.clock import SystemClock
from telecine.core.errors import TelecineError
from telecine.core.protocol import BeatAnswer, BeatRequest, ClaimRequest, Settled, SettleRequest, Verdict
from telecine.core.worker.coordinator import BEAT_TIMEOUT_S, Claimed, CoordinatorClient


class WitnessedClient(CoordinatorClient):
    """The real client; what it is told goes into the ledger."""

    def __init__(self, web: aiohttp.ClientSession, url: str, token: str, rng: random.Random, ledger: Ledger) -> None:
        super().__init__(web, url, token, SystemClock(), rng)
        self._ledger = ledger

    async def claim(self, request: ClaimRequest) -> Claimed | None:
        claimed = await super().claim(request)
        if claimed is not None:
            lease, until_s = claimed.lease, claimed.since_s + claimed.lease.ttl_s
            at_s = self._clock.monotonic_s()
            self._ledger.append(Held(lease.lease, lease.code, request.boot_id, request.request_id, at_s, until_s))
        return claimed

    async def beat(self, request: BeatRequest, *, timeout_s: float = BEAT_TIMEOUT_S) -> BeatAnswer:
        asked_at_s = self._clock.monotonic_s()
        answer = await super().beat(request, timeout_s=timeout_s)
        for told in answer.leases:
            if told.verdict is Verdict.GO_ON:
                self._ledger.append(Prolonged(told.lease, asked_at_s + told.ttl_s))
        return answer

    async def settle(self, lease: str, request: SettleRequest) -> Settled:
        self._ledger.append(Settling(lease, request.outcome, self._clock.monotonic_s()))
        try:
            settled = await super().settle(lease, request)
        except TelecineError as error:
            self._ledger.append(Refused(lease, error.code, self._clock.monotonic_s()))
            raise
        self._ledger.append(Acknowledged(lease, settled.state, settled.repeated, self._clock.monotonic_s()))
        return settled
