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
from telecine.core.log_fields import fields
from telecine.core.protocol import (
    Outcome,
    SettleDone,
    SettleFailed,
    SettleFloodWait,
    SettleReleased,
    SettleRequest,
    Stage,
    Verdict,
)
from telecine.core.worker.bench import Bench
from telecine.core.worker.coordinator import Claimed
from telecine.core.worker.gauge import Gauge
from telecine.core.worker.heartbeat import Heartbeat, Holding
from telecine.core.worker.job import Job
from telecine.core.worker.machine import trouble_of
from telecine.core.worker.recovery import Resolution
from telecine.core.worker.sources.spool import SpoolFullError
from telecine.core.worker.waiting import ended

SETTLE_PATIENCE_S = 5.0  # how long a last report may take once the worker must end

logger = logging.getLogger(__name__)


class Tenure:
    """Holds a lease. `hurry` is set when the worker may not go on any longer."""

    def __init__(self, bench: Bench, claimed: Claimed, heartbeat: Heartbeat, *, hurry: asyncio.Event) -> None:
        self.gauge = Gauge(claimed.lease, bench.clock)
        self.trouble: TelecineError | None = None
        self._bench = bench
        self._claimed = claimed
        self._lease = claimed.lease
        self._heartbeat = heartbeat
        self._hurry = hurry
        self._unwanted = asyncio.Event()
        self._job = Job(bench, claimed.lease, self.gauge)

    @property
    def lease(self) -> str:
        return self._lease.lease

    @property
    def code(self) -> str:
        return self._lease.code

    @property
    def is_uploading(self) -> bool:
        """Whether there is something left to put up, be it only a part that nobody has read yet."""
        return self.gauge.stage is not Stage.SENDING

    def give_back(self) -> None:
        """End the work as soon as can be, and give the lease back."""
        self._unwanted.set()

    async def run(self) -> Outcome | None:
        """Work and settle; what was settled, or None where the lease was lost or could not be reported.

        `trouble` afterwards holds the error that ended the work where that was no link's fault. Raises ConfigError
        for a token that no longer holds.
        """
        with self._heartbeat.hold(self._claimed, self.gauge) as holding:
            outcome = await self._worked(holding)
            settling = asyncio.create_task(self._settled(outcome), name=f"settle {self.lease}")
            settled = await self._in_time(settling)
        self._tell(settled)
        return settled

    async def _worked(self, holding: Holding) -> Outcome | None:
        """How the work ended; None where the lease was lost."""
        working = asyncio.create_task(self._job.run(), name=f"job {self.lease}")
        over = asyncio.create_task(holding.over())
        others = [asyncio.create_task(event.wait()) for event in (self._hurry, self._unwanted)]
        try:
            await asyncio.wait({working, over, *others}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended(working, over, *others)
        if not working.cancelled():
            return self._outcome(working)
        if not over.cancelled() and over.result() is Verdict.LOST:
            logger.warning("lease %s of %s is lost", self.lease, self._lease.code)
            return None
        return self._released()

    def _outcome(self, working: asyncio.Task[Outcome]) -> Outcome:
        error = working.exception()
        if error is None:
            return working.result()
        if isinstance(error, FloodWaitError):
            return SettleFloodWait(error.seconds, error.request, tuple(self._job.reports))
        if isinstance(error, SpoolFullError):
            logger.warning("%s is given back: %s", self._lease.code, error)
            return SettleReleased(tuple(self._job.reports), disk_bytes=error.bytes_needed)
        if isinstance(error, (UnavailableError, TelegramError)):
            logger.warning("%s is given back: %s", self._lease.code, error)
            self.trouble = error
            return self._released()
        trouble = trouble_of(error) if isinstance(error, OSError) else None
        if trouble is not None:
            logger.error("%s is given back: %s", self._lease.code, error)
            self.trouble = trouble
            return self._released()
        logger.error("the job of %s failed through a fault of ours", self._lease.code, exc_info=error)
        return self._job.fault(type(error).__name__)

    def _released(self) -> Outcome:
        return SettleReleased(tuple(self._job.reports))

    async def _settled(self, outcome: Outcome | None) -> Outcome | None:
        """Report; first what is, or may be, in the channel already, whatever the job thinks of it."""
        postings = self._bench.journal.postings(self.lease)
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
            resolution = await self._bench.recovery.resolve(self.lease)
        except (UnavailableError, TelegramError) as error:
            logger.warning("%s: what is in the channel is left to be seen to: %s", self._lease.code, error)
            self.trouble = error
            return False
        if resolution is Resolution.WITHDRAWN:
            logger.info("%s is withdrawn: what was sent of it is out of its channel", self._lease.code)
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

    def _tell(self, settled: Outcome | None) -> None:
        """What came of it, how long it took and how fast it was."""
        gauge = self.gauge
        logger.info(
            "settled",
            extra=fields(
                code=self._lease.code,
                outcome="nothing" if settled is None else str(settled.__struct_config__.tag),
                reason=settled.reason.value if isinstance(settled, SettleFailed) else None,
                plan=settled.plan if isinstance(settled, SettleDone) else None,
                wait_s=settled.wait_s if isinstance(settled, SettleFloodWait) else None,
                seconds=round(gauge.seconds, 1),
                bytes=gauge.uploaded_bytes,
                mb_per_s=round(gauge.uploaded_bytes / max(gauge.seconds, 1e-3) / 1e6, 2),
            ),
        )
