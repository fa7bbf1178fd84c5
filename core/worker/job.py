"""One lease: its links are tried in order until one of them is in the channel."""

from __future__ import annotations

import logging

import msgspec

from telecine.core.captions import Origin
from telecine.core.errors import FloodWaitError, InputError, NotFoundError, TelegramError
from telecine.core.protocol import (
    DETAIL_CHARS_MAX,
    Lease,
    Outcome,
    SettleFailed,
    SettleFloodWait,
    SourceReport,
)
from telecine.core.reasons import Reason
from telecine.core.worker.attempt import Attempt
from telecine.core.worker.bench import Bench
from telecine.core.worker.gauge import Gauge
from telecine.core.worker.recovery import settlement
from telecine.core.worker.sources.errors import SourceError
from telecine.core.worker.sources.spool import SpoolFullError
from telecine.core.worker.telegram.calls import CHANNEL_LOST, SIGNED_OUT

logger = logging.getLogger(__name__)


class Job:
    """The work of one lease. `reports` holds what became of the links so far, also when `run` is cancelled."""

    def __init__(self, bench: Bench, lease: Lease, gauge: Gauge) -> None:
        self._bench = bench
        self._lease = lease
        self._gauge = gauge
        self._attempt: Attempt | None = None
        self.reports: list[SourceReport] = []

    async def run(self) -> Outcome:
        """What to settle the lease with.

        Raises UnavailableError where Telegram does not answer, TelegramError where it has signed the account out or
        the channel is lost, which the coordinator knows by then, and SpoolFullError where all that may work takes more
        disk than there is; none is a link's fault.
        """
        try:
            return await self._run()
        except FloodWaitError as wait:
            return SettleFloodWait(wait.seconds, wait.request, tuple(self.reports))
        except TelegramError as error:
            if error.name in CHANNEL_LOST:
                await self._bench.storage.give_up(self._lease.channel, error)
            raise

    def fault(self, name: str) -> Outcome:
        """What to settle the lease with after a fault of ours has ended `run`: the link that was being tried is left to
        a later round, so that those behind it have their turn."""
        if self._attempt is not None:
            self._note(self._attempt, Reason.INTERNAL, name)
        return SettleFailed(Reason.INTERNAL, tuple(self.reports), name)

    async def _run(self) -> Outcome:
        await self._open_channel()
        origin = await self._origin()
        lacking: list[SpoolFullError] = []
        for ref in self._lease.sources:
            self._gauge.turn_to(ref.link_id)
            attempt = self._attempt = Attempt(self._bench, self._lease, origin, ref, self._gauge)
            try:
                await attempt.run(tuple(self.reports))
            except SourceError as error:
                self._note(attempt, error.reason, error.message, retry_after_s=error.retry_after_s)
            except SpoolFullError as error:
                logger.warning("link %d of %s is left for now: %s", ref.link_id, self._lease.code, error)
                lacking.append(error)
            except TelegramError as error:
                if isinstance(error, FloodWaitError) or error.name in SIGNED_OUT | CHANNEL_LOST:
                    raise
                await self._bench.recovery.withdraw(self._lease.lease)
                self._note(attempt, Reason.TELEGRAM, error.message)
            else:
                return settlement(self._bench.journal.postings(self._lease.lease))
        if lacking:
            raise min(lacking, key=lambda one: one.bytes_needed)
        return SettleFailed(*self._most_telling())

    async def _open_channel(self) -> None:
        """See that there is a channel to post into before anything is uploaded."""
        channel = self._lease.channel
        if channel.telegram_id is None:
            await self._bench.park.over()  # what parks messages keeps new channels from being made, too
        self._lease = msgspec.structs.replace(self._lease, channel=await self._bench.storage.ready(channel))

    async def _origin(self) -> Origin | None:
        """What CM calls the title. Asked before the upload, so that what is uploaded can be sent whoever is away."""
        try:
            return (await self._bench.coordinator.variant(self._lease.code)).origin
        except (NotFoundError, InputError):
            return None  # the upload is withdrawn meanwhile: the settlement will tell

    def _note(self, attempt: Attempt, reason: Reason, detail: str, *, retry_after_s: float | None = None) -> None:
        self._gauge.failed(reason, detail)
        self.reports.append(attempt.report(reason, detail[:DETAIL_CHARS_MAX], retry_after_s=retry_after_s))

    def _most_telling(self) -> tuple[Reason, tuple[SourceReport, ...], str | None]:
        """Why the lease failed: by the last link that has no hope left, else by the last one."""
        reports = tuple(self.reports)
        lasting = [report for report in reports if report.reason is not None and not report.reason.is_passing]
        for report in (lasting or list(reports))[-1:]:
            return report.reason or Reason.INTERNAL, reports, report.detail
        return Reason.GONE, reports, "no link is left to try"
