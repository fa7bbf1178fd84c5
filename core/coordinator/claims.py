"""Claiming with patience: a worker's long poll for the next lease, and leases whose claimer is gone."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable

import msgspec

from telecine.core.clock import Clock
from telecine.core.errors import TelecineError
from telecine.core.protocol import CLAIM_WAIT_MAX_S, ClaimRequest, Lease, SettleReleased
from telecine.core.queue import Queue

GIVE_BACK_WAIT_S = 5.0
ANSWERED_MAX = 1024  # requests whose answer is remembered: far more than are repeated at any time

logger = logging.getLogger(__name__)


class Claims:
    """Claims for callers that may wait and may go away."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock
        self._closing = asyncio.Event()
        self._asking: Counter[tuple[str, str]] = Counter()
        self._answered: deque[tuple[str, str]] = deque(maxlen=ANSWERED_MAX)
        self._returning: set[asyncio.Task[None]] = set()

    async def claim(
        self, worker: str, request: ClaimRequest, *, readmit: Callable[[], object] = lambda: None
    ) -> Lease | None:
        """A lease; None after `request.wait_s`, or at once when the coordinator stops.

        Cancelled in the middle, it leaves no lease behind. Raises what `Queue.claim` raises; and, once it has waited,
        what `readmit` raises for a caller that may not claim any more.
        """
        asked = (worker, request.request_id)
        self._asking[asked] += 1
        try:
            lease = await self._poll(worker, request, readmit)
            if lease is not None:
                self._answered.append(asked)
            return lease
        finally:
            self._asking[asked] -= 1
            if not self._asking[asked]:
                del self._asking[asked]

    def close(self) -> None:
        """Answer everyone who waits; from now on nobody waits."""
        self._closing.set()

    @property
    def is_closing(self) -> bool:
        return self._closing.is_set()

    async def wait_closed(self) -> None:
        """Wait for the leases that are being given back; what takes too long is left to expire."""
        if self._returning:
            await asyncio.wait(self._returning, timeout=GIVE_BACK_WAIT_S)

    async def _poll(self, worker: str, request: ClaimRequest, readmit: Callable[[], object]) -> Lease | None:
        asked_at_s = self._clock.monotonic_s()
        deadline_s = asked_at_s + min(request.wait_s, CLAIM_WAIT_MAX_S)
        lease = None if self._closing.is_set() else await self._attempt(worker, request)
        while lease is None and not self._closing.is_set():
            left_s = deadline_s - self._clock.monotonic_s()
            if left_s <= 0:
                break
            # The wait begins before the next attempt, so that work that comes in between is not slept through.
            woken = asyncio.create_task(self._wait_for_work(left_s))
            waited_s = self._clock.monotonic_s() - asked_at_s
            try:
                await asyncio.sleep(0)
                readmit()
                lease = await self._attempt(worker, request)
                if lease is None:
                    await woken
                else:
                    lease = msgspec.structs.replace(lease, waited_s=waited_s)
            finally:
                woken.cancel()
        return lease

    async def _wait_for_work(self, timeout_s: float) -> None:
        work = asyncio.create_task(self._queue.wait_for_work(timeout_s))
        closing = asyncio.create_task(self._closing.wait())
        try:
            await asyncio.wait({work, closing}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            work.cancel()
            closing.cancel()

    async def _attempt(self, worker: str, request: ClaimRequest) -> Lease | None:
        try:
            return await self._queue.claim(worker, request)
        except asyncio.CancelledError:
            # The caller is gone but the claim may have been committed, or be about to: asking again tells.
            returning = asyncio.create_task(self._give_back(worker, request))
            self._returning.add(returning)
            returning.add_done_callback(self._returning.discard)
            raise

    async def _give_back(self, worker: str, request: ClaimRequest) -> None:
        try:
            lease = await self._queue.claim(worker, request)
            asked = (worker, request.request_id)
            if lease is None or self._asking[asked] or asked in self._answered:
                return  # a repeat of the same request is being answered with this lease, or has been
            await self._queue.settle(worker, lease.lease, SettleReleased())
        except TelecineError as error:
            logger.info("a lease of %s could not be given back and will expire: %s", worker, error)
        else:
            logger.info("gave back the lease of %s: %s is gone", lease.code, worker)
