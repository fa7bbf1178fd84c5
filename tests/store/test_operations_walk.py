"""Operators steer at random while workers work: nothing is given to whom it must not be, and nothing gets stuck."""

from __future__ import annotations

import random
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.store.conftest import Scene, film, link

from telecine.core.errors import ConflictError, ForbiddenError, NotFoundError
from telecine.core.leases import VariantState
from telecine.core.operator_protocol import ChannelState, Park, WorkerMode
from telecine.core.protocol import Lease, SettleFloodWait, SettleReleased
from telecine.core.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Move = Callable[[], Awaitable[object]]

STEPS = 120
WORKERS = ("w", "x")
HOSTS = ("a.example", "b.example")
CODES = tuple(f"CM_M{number:06d}_720P" for number in range(1, 9))
TAKEN_OUT = frozenset({VariantState.CANCELLED, VariantState.WITHDRAWN})


class Walk:
    """A scene, what its workers hold, and a die."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self.scene = scene
        self.die = random.Random(seed)
        self.held: list[tuple[str, Lease]] = []
        self.leases = 0
        self._messages = 0

    async def step(self) -> None:
        """One thing that a worker, an operator or time does. What is refused changes nothing."""
        doings = (self._work, self._work, self._end, self._steer_upload, self._steer_crew, self._wait)
        with suppress(ConflictError, NotFoundError, ForbiddenError):
            await self.die.choice(doings)()

    async def _work(self) -> None:
        worker = self.die.choice(WORKERS)
        status = await self._worker(worker)
        lease = await self.scene.claim(worker)
        if lease is None:
            return
        self.held.append((worker, lease))
        self.leases += 1
        account = next(one for one in await self.scene.store.operations.accounts() if one.name == worker)
        detail = await self.scene.store.catalogue.variant(lease.code)
        assert status is WorkerMode.ACTIVE
        assert account.uploads_parked_s == 0
        assert detail.account in {None, worker}
        channels = {one.id: one for one in await self.scene.store.operations.channels()}
        assert channels[lease.channel.id].state in {ChannelState.OPEN, ChannelState.PLANNED}

    async def _end(self) -> None:
        if not self.held:
            return
        worker, lease = self.held.pop(self.die.randrange(len(self.held)))
        if lease.channel.telegram_id is None:
            await self.scene.store.queue.channel_opened(worker, lease.channel.id, 500 + lease.channel.id)
            outcome = self.scene.store.queue.settle(worker, lease.lease, SettleReleased())
        elif self.die.random() < 0.5:
            self._messages += 1
            outcome = self.scene.done(worker, lease, self._messages)
        elif self.die.random() < 0.5:
            reason = self.die.choice((Reason.GONE, Reason.STALLED, Reason.TELEGRAM))
            outcome = self.scene.fails(worker, lease, {lease.sources[0].link_id: reason})
        else:
            outcome = self.scene.store.queue.settle(worker, lease.lease, SettleFloodWait(40, "upload.saveFilePart"))
        await outcome

    async def _steer_upload(self) -> None:
        operations, code = self.scene.store.operations, self.die.choice(CODES)
        moves: tuple[Move, ...] = (
            partial(operations.cancel, code),
            partial(operations.requeue, code),
            partial(operations.withdraw, code),
            partial(operations.prioritise, code, self.die.randrange(10)),
            partial(operations.pin, code, self.die.choice((*WORKERS, None))),
        )
        await self.die.choice(moves)()

    async def _steer_crew(self) -> None:
        operations, worker = self.scene.store.operations, self.die.choice(WORKERS)
        host, channel_id = self.die.choice(HOSTS), self.die.randrange(1, 5)
        moves: tuple[Move, ...] = (
            partial(operations.set_mode, worker, self.die.choice(tuple(WorkerMode))),
            partial(operations.set_mode, worker, WorkerMode.ACTIVE),
            partial(operations.park, worker, Park(self.die.choice((5, 50)))),
            partial(operations.unpark, worker),
            partial(operations.plan_channel, worker),
            partial(operations.retire_channel, channel_id),
            partial(operations.limit_host, host, self.die.choice((None, 1, 2))),
            partial(operations.unpark_host, host),
            partial(self.scene.store.queue.channel_lost, worker, channel_id, "CHANNEL_PRIVATE"),
        )
        await self.die.choice(moves)()

    async def _wait(self) -> None:
        self.scene.clock.advance(self.die.choice((1, 61, 300)))
        await self.scene.store.sweeper.sweep()

    async def _worker(self, name: str) -> WorkerMode:
        return next(one.mode for one in await self.scene.store.operations.workers() if one.name == name)

    async def check(self) -> None:
        """All who count leases count the same ones."""
        operations = self.scene.store.operations
        (leased,) = self.scene.sql("SELECT count(*) FROM upload_variants WHERE state = 'leased'")[0]
        assert sum(len(worker.leases) for worker in await operations.workers()) == leased
        assert sum(account.leases for account in await operations.accounts()) == leased
        assert sum(host.leases for host in await operations.hosts()) == leased
        (ready,) = self.scene.sql("SELECT count(*) FROM upload_variants WHERE state = 'ready'")[0]
        assert sum(host.ready for host in await operations.hosts()) == ready

    async def finish(self) -> None:
        """The operators take back what they did, and everything that is wanted is uploaded."""
        operations = self.scene.store.operations
        for host in HOSTS:
            await operations.limit_host(host, None)
            await operations.unpark_host(host)
        for worker in WORKERS:
            await operations.set_mode(worker, WorkerMode.DISABLED)
            await operations.set_mode(worker, WorkerMode.ACTIVE)
            await operations.unpark(worker)
            await self.scene.enrol(worker)
        for code in CODES:
            state = (await self.scene.store.catalogue.variant(code)).state
            if state not in TAKEN_OUT | {VariantState.DONE}:
                await operations.requeue(code)
        for worker in WORKERS:
            while (lease := await self.scene.claim(worker)) is not None:
                self._messages += 1
                await self.scene.done(worker, lease, self._messages)


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_operators_do_nothing_is_misled_or_stuck(scene: Scene, seed: int) -> None:
    for worker in WORKERS:
        await scene.enrol(worker, channels=2)
    await scene.imports(
        *(
            film(str(n), *(link(f"{n}-{host}", url=f"http://{host}/{n}.mp4") for host in HOSTS[n % 2 :]))
            for n in range(1, 9)
        )
    )
    walk = Walk(scene, seed)
    for _ in range(STEPS):
        await walk.step()
        await walk.check()
    assert walk.leases > 2, "the walk leads past the workers"
    await walk.finish()
    states = {code: (await scene.store.catalogue.variant(code)).state for code in CODES}
    assert set(states.values()) <= TAKEN_OUT | {VariantState.DONE}, states
