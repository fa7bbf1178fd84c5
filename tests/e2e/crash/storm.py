"""The run: everything is started, hit again and again by the schedule, and then left in peace until all is done."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from typing import Self

import msgspec
from tests.e2e.crash.operating import Operator
from tests.e2e.crash.processes import Child, Steps
from tests.e2e.crash.schedule import Blow, Target
from tests.e2e.crash.stage import LEASE_TTL_S, Stage
from tests.e2e.crash.uploader import Part

from telecine.core.api import Api
from telecine.core.clock import SystemClock

PATIENCE_S = 5.0  # for steps: the next blow comes all the same
FINISH_TIMEOUT_S = 90.0
FROZEN_S = 1.3 * LEASE_TTL_S


class Storm:
    """An async context manager: nothing that it has started survives it."""

    def __init__(self, stage: Stage, *, seed: int) -> None:
        self._clock = SystemClock()
        self._rng = random.Random(f"{seed}/operator")
        self._stage = stage
        self._thaws: set[asyncio.Task[None]] = set()
        self.kills = 0
        self.freezes = 0

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._steps = stack.enter_context(Steps())
            self._coordinator = await stack.enter_async_context(self._serve())
            self._workers = [await stack.enter_async_context(self._uploader(part)) for part in self._stage.parts]
            api = await stack.enter_async_context(Api(self._stage.operator))
            self._operator = Operator(api, self._clock, self._rng)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        for thaw in self._thaws:
            thaw.cancel()
        await self._stack.aclose()

    async def rage(self, blows: tuple[Blow, ...]) -> None:
        """Deal out the blows. Raises DiedError for a process that ends by itself."""
        stirring = asyncio.create_task(self._operator.stir())
        try:
            for blow in blows:
                await self._steps.take(blow.steps, patience_s=PATIENCE_S)
                await self._clock.sleep(blow.delay_s)
                await self._strike(blow)
                if stirring.done():
                    stirring.result()
        finally:
            stirring.cancel()
            await asyncio.wait({stirring})

    async def calm(self) -> None:
        """Let everything be finished and end the processes in order. Raises TimeoutError where something is stuck."""
        async with asyncio.timeout(FINISH_TIMEOUT_S):
            await asyncio.gather(*self._thaws)
            await self._operator.finish()
        await asyncio.gather(*(worker.stop() for worker in self._workers))
        await self._coordinator.stop()

    async def _strike(self, blow: Blow) -> None:
        worker = self._workers[blow.worker]
        match blow.target:
            case Target.WORKER:
                await self._restart(worker)
            case Target.COORDINATOR:
                await self._restart(self._coordinator)
            case Target.BOTH:
                await asyncio.gather(self._restart(worker), self._restart(self._coordinator))
            case Target.STARTING_COORDINATOR:
                await self._restart(self._coordinator)
                await self._clock.sleep(blow.again_s)
                await self._restart(self._coordinator)
            case Target.FROZEN_WORKER:
                self._freeze(worker)

    async def _restart(self, child: Child) -> None:
        await child.kill()
        self.kills += 1
        await child.start()

    def _freeze(self, worker: Child) -> None:
        """Stop a worker in its tracks until its leases are another's; it does not know how long it was away."""

        async def thaw_later() -> None:
            await self._clock.sleep(FROZEN_S)
            worker.thaw()

        worker.freeze()
        self.freezes += 1
        thawing = asyncio.create_task(thaw_later())
        self._thaws.add(thawing)
        thawing.add_done_callback(self._thaws.discard)

    def _serve(self) -> Child:
        arguments = ["--config", str(self._stage.settings), "serve"]
        return Child("coordinator", "telecine.cmd", arguments, log=self._stage.folder / "coordinator.log")

    def _uploader(self, part: Part) -> Child:
        part_file = self._stage.folder / f"{part.name}.json"
        part_file.write_bytes(msgspec.json.encode(part))
        steps = self._steps.descriptor
        return Child(
            part.name,
            "tests.e2e.crash.uploader",
            [str(part_file), "BOOT", str(steps)],
            log=self._stage.folder / f"{part.name}.log",
            inherits=steps,
        )
