"""One lease from its claim to its settlement: the job, with the heartbeat beside it."""

from __future__ import annotations

import asyncio
import logging

from telecine.core.errors import (
    ConflictError,
    FloodWaitError,
    InputError,
    NotFoundError,
    TelecineError,
    TelegramError,
    UnavailableError,
)
from telecine.core.protocol import (
    Lease,
    Outcome,
    SettleDone,
    SettleFailed,
    SettleFloodWait,
    SettleReleased,
    SettleRequest,
    Verdict,
)
from telecine.core.reasons import Reason
from telecine.core.worker.bench import Bench
from telecine.core.worker.heartbeat import Gauge, Heartbeat
from telecine.core.worker.job import Job
from telecine.core.worker.recovery import Resolution

SETTLE_PATIENCE_S = 5.0  # how long a last report may take once the worker must end

logger = logging.getLogger(__name__)


class Tenure:
    """Holds a lease. `hurry` is set when the worker may not go on any longer."""

    def __init__(self, bench: Bench, lease: Lease, *, since_s: float, hurry: asyncio.Event) -> None:
        """`since_s`: a monotonic time at which the lease had not begun yet."""
        gauge = Gauge(lease.lease)
        self._bench = bench
        self._lease = lease
        self._hurry = hurry
        self._job = Job(bench, lease, gauge)
        self._heartbeat = Heartbeat(
            bench.coordinator, bench.clock, boot_id=bench.boot_id, lease=lease, gauge=gauge, since_s=since_s
        )
        self.trouble: TelecineError | None = None

    @property
    def draining(self) -> bool:
        """Whether the coordinator wants nothing more to be claimed."""
        return self._heartbeat.draining

    async def run(self) -> Outcome | None:
        """Work and settle; what was settled, or None where the lease was lost or could not be reported.

        `trouble` afterwards holds the error that ended the work where that was no link's fault. Raises ConfigError
        for a token that no longer holds.
        """
        beating = asyncio.create_task(self._heartbeat.run(), name=f"heartbeat {self._lease.lease}")
        try:
            outcome = await self._worked(beating)
            settling = asyncio.create_task(self._settled(outcome), name=f"settle {self._lease.lease}")
            return await self._in_time(settling)
        finally:
            await ended(beating)

    async def _worked(self, beating: asyncio.Task[Verdict]) -> Outcome | None:
        """How the work ended; None where the lease was lost."""
        working = asyncio.create_task(self._job.run(), name=f"job {self._lease.lease}")
        hurried = asyncio.create_task(self._hurry.wait())
        try:
            await asyncio.wait({working, beating, hurried}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended(working, hurried)
        if not working.cancelled():
            return self._outcome(working)
        if beating.done() and beating.result() is Verdict.LOST:
            logger.warning("lease %s of %s is lost", self._lease.lease, self._lease.code)
            return None
        return self._released()

    def _outcome(self, working: asyncio.Task[Outcome]) -> Outcome:
        error = working.exception()
        if error is None:
            return working.result()
        if isinstance(error, FloodWaitError):
            return SettleFloodWait(error.seconds, error.request, tuple(self._job.reports))
        if isinstance(error, (UnavailableError, TelegramError)):
            logger.warning("%s is given back: %s", self._lease.code, error)
            self.trouble = error
            return self._released()
        logger.error("the job of %s failed through a fault of ours", self._lease.code, exc_info=error)
        return SettleFailed(Reason.INTERNAL, tuple(self._job.reports), type(error).__name__)

    def _released(self) -> Outcome:
        return SettleReleased(tuple(self._job.reports))

    async def _settled(self, outcome: Outcome | None) -> Outcome | None:
        """Report; first what is, or may be, in the channel already, whatever the job thinks of it."""
        postings = self._bench.journal.postings(self._lease.lease)
        if postings and not await self._withdrawn():
            return outcome if isinstance(outcome, SettleDone) else None
        if outcome is None or isinstance(outcome, SettleDone):
            return None
        try:
            await self._bench.coordinator.settle(self._lease.lease, SettleRequest(self._bench.boot_id, outcome))
        except (ConflictError, NotFoundError, InputError) as refusal:
            logger.warning("the report about %s is refused: %s", self._lease.code, refusal)
            return None
        return outcome

    async def _withdrawn(self) -> bool:
        """Whether nothing is in the channel; what is there is settled, or left to be when Telegram is back."""
        try:
            resolution = await self._bench.recovery.resolve(self._lease.lease)
        except (UnavailableError, TelegramError) as error:
            logger.warning("%s: what is in the channel is not known: %s", self._lease.code, error)
            self.trouble = error
            return False
        logger.info("%s: %s", self._lease.code, resolution.value)
        return resolution is Resolution.WITHDRAWN

    async def _in_time(self, settling: asyncio.Task[Outcome | None]) -> Outcome | None:
        hurried = asyncio.create_task(self._hurry.wait())
        try:
            await asyncio.wait({settling, hurried}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({settling}, timeout=SETTLE_PATIENCE_S)
        finally:
            await ended(settling, hurried)
        if settling.cancelled():
            logger.warning("%s is left to the next start: it could not be reported", self._lease.code)
            return None
        return settling.result()


async def ended(*tasks: asyncio.Task[object]) -> None:
    """Cancel what still runs and wait until it has; how each ended stays in the task."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
