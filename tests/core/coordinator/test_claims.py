from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.clocks import JumpingClock

from telecine.core.clock import SystemClock
from telecine.core.coordinator.claims import Claims
from telecine.core.errors import UnavailableError
from telecine.core.leases import VariantState
from telecine.core.protocol import ChannelRef, ClaimRequest, Lease, Outcome, Settled
from telecine.core.quality import Quality

if TYPE_CHECKING:
    from tests.core.coordinator.conftest import QueueInMemory

    QueueOfTests = QueueInMemory
else:
    QueueOfTests = object

LEASE = Lease("1.1.1", "CM_M000001_720P", Quality.HD, 0, 60.0, ChannelRef(1, "CM_C000001", 1), ())


class QueueOfMoments(QueueOfTests):
    """Wakes only who waits at the moment that work comes; it comes while the second attempt is under way."""

    def __init__(self) -> None:
        self.attempts = 0
        self.work = asyncio.Event()
        self.waits: list[float] = []

    async def claim(self, worker: str, request: ClaimRequest) -> Lease | None:
        self.attempts += 1
        await asyncio.sleep(0)
        if self.attempts == 2:
            self.work.set()
            self.work = asyncio.Event()
        return LEASE if self.attempts >= 3 else None

    async def wait_for_work(self, timeout_s: float) -> None:
        self.waits.append(timeout_s)
        async with asyncio.timeout(timeout_s):
            await self.work.wait()


class BrokenQueue(QueueOfTests):
    def __init__(self) -> None:
        pass

    async def claim(self, worker: str, request: ClaimRequest) -> Lease | None:
        return None

    async def wait_for_work(self, timeout_s: float) -> None:
        raise UnavailableError("the database went away")


async def test_work_that_comes_between_attempt_and_wait_is_not_slept_through() -> None:
    queue = QueueOfMoments()
    async with asyncio.timeout(5):
        lease = await Claims(queue, SystemClock()).claim("cm-ember", ClaimRequest("b1", "r1", wait_s=20))
    assert lease is not None
    assert lease.code == LEASE.code
    assert queue.attempts == 3


class QueueOfAges(QueueOfTests):
    """Has nothing until somebody has waited seven seconds; claiming itself takes two."""

    def __init__(self, clock: JumpingClock) -> None:
        self.clock = clock

    async def claim(self, worker: str, request: ClaimRequest) -> Lease | None:
        ready = self.clock.now_s >= 7
        self.clock.now_s += 2
        return LEASE if ready else None

    async def wait_for_work(self, timeout_s: float) -> None:
        self.clock.now_s = max(self.clock.now_s, 7)


async def test_a_lease_tells_how_long_it_was_waited_for_and_never_too_much() -> None:
    clock = JumpingClock()
    lease = await Claims(QueueOfAges(clock), clock).claim("cm-ember", ClaimRequest("b1", "r1", wait_s=20))
    assert lease is not None
    began_s = clock.now_s - 2
    assert 7 <= lease.waited_s <= began_s


async def test_a_lease_that_was_there_was_not_waited_for() -> None:
    clock = JumpingClock()
    clock.now_s = 7
    assert await Claims(QueueOfAges(clock), clock).claim("cm-ember", ClaimRequest("b1", "r1", wait_s=20)) == LEASE


async def test_no_claim_waits_longer_than_the_protocol_allows() -> None:
    queue = QueueOfMoments()
    await Claims(queue, SystemClock()).claim("cm-ember", ClaimRequest("b1", "r1", wait_s=86_400))
    assert max(queue.waits) <= 30


async def test_trouble_while_waiting_reaches_the_claimer() -> None:
    with pytest.raises(UnavailableError):
        await Claims(BrokenQueue(), SystemClock()).claim("cm-ember", ClaimRequest("b1", "r1", wait_s=20))


class QueueOfTwoConnections(QueueOfTests):
    """Keeps the first claim waiting, and has a lease for every other one."""

    def __init__(self) -> None:
        self.attempts = 0
        self.given_back: list[str] = []

    async def claim(self, worker: str, request: ClaimRequest) -> Lease | None:
        self.attempts += 1
        if self.attempts == 1:
            await asyncio.Event().wait()
        return LEASE

    async def settle(self, worker: str, lease: str, outcome: Outcome) -> Settled:
        self.given_back.append(lease)
        return Settled(LEASE.code, VariantState.READY)


@pytest.mark.parametrize(("repeated", "settled"), [(True, []), (False, [LEASE.lease])])
async def test_a_lease_is_not_given_back_that_a_repeat_was_answered_with(repeated: bool, settled: list[str]) -> None:
    queue = QueueOfTwoConnections()
    claims, request = Claims(queue, SystemClock()), ClaimRequest("b1", "r1")
    lost = asyncio.create_task(claims.claim("cm-ember", request))
    await asyncio.sleep(0)
    assert queue.attempts == 1
    if repeated:
        assert await claims.claim("cm-ember", request) == LEASE
    lost.cancel()
    await asyncio.gather(lost, return_exceptions=True)
    await claims.wait_closed()
    assert queue.given_back == settled


async def test_nobody_waits_once_closed() -> None:
    queue = QueueOfMoments()
    claims = Claims(queue, SystemClock())
    claims.close()
    assert await claims.claim("cm-ember", ClaimRequest("b1", "r1", wait_s=20)) is None
    assert queue.attempts == 0
