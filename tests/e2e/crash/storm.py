"""The run: everything is started, hit again and again by the schedule, and then left in peace until all is done."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Self

import msgspec
from tests.e2e.crash.operating import Operator
from tests.e2e.crash.processes import Child, Steps
from tests.e2e.crash.schedule import Blow, Target
from tests.e2e.crash.stage import LEASE_TTL_S, Stage
from tests.e2e.crash.uploader import Part, boot_id

from telecine.core.api import Api
from telecine.core.clock import SystemClock
from telecine.core.worker.waiting import ended

PATIENCE_S = 5.0  # for steps: the next blow comes all the same
FINISH_TIMEOUT_S = 90.0
LONG_S = 1.3 * LEASE_TTL_S  # what a worker held is taken back, and mostly handed out again


class StuckError(Exception):
    """Uploads were left in peace, and yet they are not done."""


class Storm:
    """An async context manager: nothing that it has started survives it."""

    def __init__(self, stage: Stage, *, seed: int) -> None:
        self._clock = SystemClock()
        self._rng = random.Random(f"{seed}/operator")
        self._stage = stage
        self._returning: list[asyncio.Task[None]] = []
        self.kills = 0

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
        if self._returning:
            await ended(*self._returning)
        await self._stack.aclose()

    async def rage(self, blows: Iterator[Blow], *, kills: int) -> None:
        """Deal out blows until so many were deadly. Raises DiedError for a process that ends by itself."""
        stirring = asyncio.create_task(self._operator.stir())
        try:
            while self.kills < kills:
                blow = next(blows)
                await self._steps.take(blow.steps, patience_s=PATIENCE_S)
                await self._clock.sleep(blow.delay_s)
                await self._strike(blow)
                if stirring.done():
                    stirring.result()
        finally:
            stirring.cancel()
            await asyncio.wait({stirring})

    async def calm(self) -> None:
        """Let everything be finished and end the processes in order. Raises StuckError where that takes too long."""
        try:
            async with asyncio.timeout(FINISH_TIMEOUT_S):
                await asyncio.gather(*self._returning)
                await self._operator.finish(
                    {worker.name: boot_id(worker.name, worker.boots) for worker in self._workers}
                )
        except TimeoutError:
            for child in (self._coordinator, *self._workers):
                child.check()
            raise StuckError(f"not done after {FINISH_TIMEOUT_S:g} s: {self._operator.unfinished}") from None
        await asyncio.gather(*(worker.stop() for worker in self._workers))
        await self._coordinator.stop()

    async def _strike(self, blow: Blow) -> None:
        worker = self._workers[blow.worker]
        match blow.target:
            case Target.WORKER:
                await self._restart(worker)
            case Target.WORKER_FOR_LONG:
                if await self._kill(worker):
                    self._return(worker.start)
            case Target.FROZEN_WORKER:
                worker.freeze()
                self._return(worker.thaw)
            case Target.COORDINATOR:
                await self._restart(self._coordinator)
            case Target.STARTING_COORDINATOR:
                await self._restart(self._coordinator)
                await self._clock.sleep(blow.again_s)
                await self._restart(self._coordinator)
            case Target.BOTH:
                await asyncio.gather(self._restart(worker), self._restart(self._coordinator))

    async def _kill(self, child: Child) -> bool:
        killed = await child.kill()
        self.kills += killed
        return killed

    async def _restart(self, child: Child) -> None:
        """Unless it is away: then it comes back in its own time."""
        if await self._kill(child):
            await child.start()

    def _return(self, come_back: Callable[[], Awaitable[None]]) -> None:
        """Let a worker come back when its leases are another's; it does not know how long it was away."""

        async def later() -> None:
            await self._clock.sleep(LONG_S)
            await come_back()

        self._returning.append(asyncio.create_task(later()))

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
