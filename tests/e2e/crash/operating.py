"""The operator of the crash test: keeps the queue filled, takes uploads out, and brings back what has come to rest."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

from telecine.core.api import Api
from telecine.core.catalogue import VariantSummary
from telecine.core.clock import Clock
from telecine.core.errors import ConflictError, UnavailableError
from telecine.core.leases import VariantState
from telecine.core.operator_protocol import VariantMoved, VariantPage, Workers

ROUND_S = 0.1
WAITING_SHARE = 0.5  # of all uploads, so that nobody runs out of work
CANCELS = 0.2
MOVING = frozenset({VariantState.READY, VariantState.LEASED, VariantState.DELAYED})


class Operator:
    """Every call may meet a coordinator that is being killed, and an upload that has moved meanwhile: it is left."""

    def __init__(self, api: Api, clock: Clock, rng: random.Random) -> None:
        self._api = api
        self._clock = clock
        self._rng = rng
        self.unfinished: tuple[VariantSummary, ...] = ()  # when last looked at

    async def stir(self) -> None:
        """Keep things moving until cancelled."""
        while True:
            variants = await self._variants()
            resting = [variant for variant in variants if variant.state not in MOVING]
            moving = [variant for variant in variants if variant.state in MOVING]
            wanted = round(len(variants) * WAITING_SHARE) - len(moving)
            if wanted > 0:
                await self._move("retry", self._rng.sample(resting, wanted))
            if moving and self._rng.random() < CANCELS:
                await self._move("cancel", [self._rng.choice(moving)])
            await self._clock.sleep(ROUND_S)

    async def finish(self, boots: Mapping[str, str]) -> None:
        """Queue what has come to rest elsewhere again, until every upload is done and each worker's latest boot is up:
        it has something to clear up, perhaps."""
        is_done = False
        while not is_done:
            variants = await self._variants()
            self.unfinished = tuple(variant for variant in variants if variant.state is not VariantState.DONE)
            is_done = bool(variants) and not self.unfinished and await self._boots() == boots
            await self._move("retry", (variant for variant in self.unfinished if variant.state not in MOVING))
            await self._clock.sleep(ROUND_S)

    async def _boots(self) -> dict[str, str | None]:
        answer = await self._api.get("/v1/workers", Workers)
        return {worker.name: worker.boot_id for worker in answer.workers}

    async def _variants(self) -> tuple[VariantSummary, ...]:
        """All of them; none while the coordinator is away."""
        try:
            page = await self._api.get("/v1/variants", VariantPage, {"limit": 1000})
        except UnavailableError:
            return ()
        if page.after is not None:
            raise AssertionError("there are more uploads than the operator looks at")
        return page.variants

    async def _move(self, how: str, variants: Iterable[VariantSummary]) -> None:
        for variant in variants:
            try:
                await self._api.post(f"/v1/variants/{variant.code}/{how}", VariantMoved)
            except (UnavailableError, ConflictError):
                continue
