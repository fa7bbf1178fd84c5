"""Keeping a lease alive, and noticing when it is not."""

from __future__ import annotations

import logging

from telecine.core.clock import Clock
from telecine.core.errors import UnavailableError
from telecine.core.protocol import BeatRequest, Lease, Progress, Stage, Verdict
from telecine.core.worker.coordinator import BEAT_TIMEOUT_S, CoordinatorClient

BEATS_PER_TTL = 3
RETRIES_PER_TTL = 12  # a beat that failed is repeated sooner than the next one would be due

logger = logging.getLogger(__name__)


class Gauge:
    """How far a lease is: written by the work, read by the heartbeat."""

    def __init__(self, lease: str) -> None:
        self._lease = lease
        self._stage = Stage.OPENING
        self._link_id: int | None = None
        self._bytes_done = 0
        self._bytes_total: int | None = None

    def turn_to(self, link_id: int) -> None:
        """The work starts on another link."""
        self._link_id, self._stage, self._bytes_done, self._bytes_total = link_id, Stage.OPENING, 0, None

    def enter(self, stage: Stage, *, bytes_total: int | None = None) -> None:
        """The work has come to another stage."""
        self._stage = stage
        if bytes_total is not None:
            self._bytes_total = bytes_total

    def add(self, size_bytes: int) -> None:
        """So many bytes more are with Telegram."""
        self._bytes_done += size_bytes

    def progress(self) -> Progress:
        return Progress(
            lease=self._lease,
            stage=self._stage,
            link_id=self._link_id,
            bytes_done=self._bytes_done,
            bytes_total=self._bytes_total,
        )


class Heartbeat:
    """Beats for one lease until it must be stopped.

    Whether the lease still holds is judged by our own monotonic clock from the moment that a beat was sent, so that
    the coordinator never takes back what is still being worked on.
    """

    def __init__(
        self, coordinator: CoordinatorClient, clock: Clock, *, boot_id: str, lease: Lease, gauge: Gauge, since_s: float
    ) -> None:
        """`since_s`: a monotonic time at which the lease had not begun yet."""
        self._coordinator = coordinator
        self._clock = clock
        self._boot_id = boot_id
        self._lease = lease.lease
        self._gauge = gauge
        self._ttl_s = lease.ttl_s
        self._expires_at_s = since_s + lease.ttl_s
        self.draining = False  # what the coordinator last said

    async def run(self) -> Verdict:
        """CANCEL or LOST, once the work must stop. Raises ConfigError for a token that no longer holds."""
        pause_s = self._ttl_s / BEATS_PER_TTL
        while True:
            await self._clock.sleep(min(pause_s, self._left_s()))
            if self._left_s() <= 0:
                logger.warning("lease %s could not be beaten in time: giving it up", self._lease)
                return Verdict.LOST
            try:
                verdict = await self._beat()
            except UnavailableError as error:
                logger.debug("beat failed: %s", error)
                pause_s = self._ttl_s / RETRIES_PER_TTL
                continue
            if verdict is not Verdict.GO_ON:
                return verdict
            pause_s = self._ttl_s / BEATS_PER_TTL

    def _left_s(self) -> float:
        """Seconds that the work may still go on; a beat under way is allowed for."""
        margin_s = min(BEAT_TIMEOUT_S, self._ttl_s / 10)
        return self._expires_at_s - margin_s - self._clock.monotonic_s()

    async def _beat(self) -> Verdict:
        asked_at_s = self._clock.monotonic_s()
        answer = await self._coordinator.beat(BeatRequest(self._boot_id, (self._gauge.progress(),)))
        self.draining = answer.drain
        for lease in answer.leases:
            if lease.lease == self._lease:
                self._ttl_s = lease.ttl_s or self._ttl_s
                self._expires_at_s = asked_at_s + self._ttl_s
                return lease.verdict
        return Verdict.LOST
