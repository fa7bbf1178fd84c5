"""Keeping leases alive, noticing when one is not, and hearing what operators want of the worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from telecine.core.clock import Clock
from telecine.core.errors import UnavailableError
from telecine.core.protocol import BeatAnswer, BeatRequest, LeaseVerdict, Verdict
from telecine.core.worker.coordinator import BEAT_TIMEOUT_S, Claimed, CoordinatorClient
from telecine.core.worker.gate import Gate
from telecine.core.worker.gauge import Gauge
from telecine.core.worker.park import Park
from telecine.core.worker.waiting import first_of

BEATS_PER_TTL = 3
RETRIES_PER_TTL = 12  # a beat that failed is repeated sooner than the next one would be due
BEAT_S_MAX = 5.0  # how late, at most, a worker hears of a cancellation, a drain or a pause

logger = logging.getLogger(__name__)


class Holding:
    """One lease while it is held.

    Whether it still holds is judged by our own monotonic clock from the moment that a beat was sent, so that the
    coordinator never takes back what is still being worked on.
    """

    def __init__(self, claimed: Claimed, gauge: Gauge, clock: Clock) -> None:
        self.gauge = gauge
        self.ttl_s = claimed.lease.ttl_s
        self._lease = claimed.lease
        self._clock = clock
        self._expires_at_s = claimed.since_s + self.ttl_s
        self._verdict = Verdict.GO_ON
        self._stopped = asyncio.Event()

    async def over(self) -> Verdict:
        """CANCEL or LOST, once the work must stop."""
        while (left_s := self._left_s()) > 0 and self._verdict is Verdict.GO_ON:
            await first_of(self._clock.sleep(left_s), self._stopped.wait())
        if self._verdict is Verdict.GO_ON:
            logger.warning("lease %s could not be beaten in time: giving it up", self._lease.lease)
            return Verdict.LOST
        return self._verdict

    def hear(self, told: LeaseVerdict | None, *, asked_at_s: float) -> None:
        """What a beat sent at `asked_at_s` was answered with; None where the answer does not speak of this lease."""
        self._verdict = Verdict.LOST if told is None else told.verdict
        if told is not None and told.verdict is Verdict.GO_ON:
            self.ttl_s = told.ttl_s or self.ttl_s
            self._expires_at_s = asked_at_s + self.ttl_s
        else:
            self._stopped.set()

    def _left_s(self) -> float:
        """Seconds that the work may still go on; a beat under way is allowed for."""
        margin_s = min(BEAT_TIMEOUT_S, self.ttl_s / 10)
        return self._expires_at_s - margin_s - self._clock.monotonic_s()


class Heartbeat:
    """Beats for all leases of a worker together.

    `draining` and `paused` are what the coordinator last said; `steered` is set whenever one of them changes, for
    whoever claims to clear. A pause closes `gate`, its end opens it; `park` hears when the account may send again.
    """

    def __init__(
        self, coordinator: CoordinatorClient, clock: Clock, *, boot_id: str, ttl_s: float, gate: Gate, park: Park
    ) -> None:
        """`ttl_s`: how long leases hold, as far as is known before there is one."""
        self._coordinator = coordinator
        self._clock = clock
        self._boot_id = boot_id
        self._ttl_s = ttl_s
        self._gate = gate
        self._park = park
        self._held: dict[str, Holding] = {}
        self._next_s = clock.monotonic_s()
        self._came = asyncio.Event()
        self.draining = False
        self.paused = False
        self.steered = asyncio.Event()

    @contextmanager
    def hold(self, claimed: Claimed, gauge: Gauge) -> Iterator[Holding]:
        """Keep a lease alive while the context lasts."""
        holding = Holding(claimed, gauge, self._clock)
        self._held[claimed.lease.lease] = holding
        self._next_s = min(self._next_s, claimed.since_s + self._interval_s(BEATS_PER_TTL))
        self._came.set()
        try:
            yield holding
        finally:
            del self._held[claimed.lease.lease]

    async def run(self) -> None:
        """Beat until cancelled. Raises ConfigError for a token that no longer holds."""
        while True:
            await self._due()
            if self._held or self.draining or self.paused:
                await self._beat()
            else:
                self._next_s = self._clock.monotonic_s() + self._interval_s(BEATS_PER_TTL)

    async def ask(self) -> None:
        """Ask what operators want where nothing is held that would be beaten for anyway."""
        if not self._held:
            await self._beat()

    async def _due(self) -> None:
        """Sleep until the next beat; a lease that comes meanwhile may need one sooner."""
        while (left_s := self._next_s - self._clock.monotonic_s()) > 0:
            self._came.clear()
            await first_of(self._clock.sleep(left_s), self._came.wait())

    def _interval_s(self, beats_per_ttl: int) -> float:
        ttl_s = min((holding.ttl_s for holding in self._held.values()), default=self._ttl_s)
        return min(ttl_s / beats_per_ttl, BEAT_S_MAX)

    async def _beat(self) -> None:
        """Tell how far everything is, and hand each lease its verdict.

        An answer is waited for until the next beat is due: where a connection has died, another may do in time.
        """
        asked_at_s, held = self._clock.monotonic_s(), dict(self._held)
        timeout_s = min(BEAT_TIMEOUT_S, self._interval_s(BEATS_PER_TTL))
        progress = tuple(holding.gauge.progress() for holding in held.values())
        try:
            answer = await self._coordinator.beat(BeatRequest(self._boot_id, progress), timeout_s=timeout_s)
        except UnavailableError as error:
            logger.debug("beat failed: %s", error)
            self._next_s = asked_at_s + self._interval_s(RETRIES_PER_TTL)
            return
        verdicts = {told.lease: told for told in answer.leases}
        for lease, holding in held.items():
            holding.hear(verdicts.get(lease), asked_at_s=asked_at_s)
        self._next_s = asked_at_s + self._interval_s(BEATS_PER_TTL)
        self._park.told(answer.sends_parked_s, since_s=asked_at_s)
        self._steer(answer)

    def _steer(self, answer: BeatAnswer) -> None:
        if (answer.drain, answer.pause) == (self.draining, self.paused):
            return
        self.draining, self.paused = answer.drain, answer.pause
        if self.paused:
            self._gate.close()
        else:
            self._gate.open()
        self.steered.set()
