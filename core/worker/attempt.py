"""One link, from its first byte to messages in the channel."""

from __future__ import annotations

import hashlib

import msgspec

from telecine.core import plans
from telecine.core.captions import Origin
from telecine.core.config import WorkerSettings
from telecine.core.plans import Expectation, Plan, PlanKind, Probe
from telecine.core.protocol import Lease, SourceRef, SourceReport, Stage
from telecine.core.quality import Quality
from telecine.core.reasons import Reason
from telecine.core.worker.bench import Bench
from telecine.core.worker.cargo import cargo
from telecine.core.worker.gauge import Gauge
from telecine.core.worker.media.process import MediaChild, MediaLimits
from telecine.core.worker.shipment import Shipment
from telecine.core.worker.sources.errors import OrderError, SourceError
from telecine.core.worker.sources.source import Source
from telecine.core.worker.telegram.account import VERSION


class Attempt:
    """Tries one link of a lease."""

    def __init__(self, bench: Bench, lease: Lease, origin: Origin | None, ref: SourceRef, gauge: Gauge) -> None:
        """`origin`: what CM calls the title, for the captions."""
        self._bench = bench
        self._lease = lease
        self._origin = origin
        self._ref = ref
        self._gauge = gauge
        self._started_s = bench.clock.monotonic_s()
        self._source: Source | None = None
        self._quality: Quality | None = None  # what it is, where that contradicts what it was taken for

    @property
    def link_id(self) -> int:
        return self._ref.link_id

    def report(
        self, reason: Reason | None, detail: str | None = None, *, retry_after_s: float | None = None
    ) -> SourceReport:
        """What became of the link."""
        size_bytes = self._source.size_bytes if self._source else None
        if reason is Reason.TOO_LARGE:  # what is sent may be larger than the source, or the source not tell
            size_bytes = max(size_bytes or 0, self._bench.account.file_bytes_max + 1)
        return SourceReport(
            link_id=self._ref.link_id,
            reason=reason,
            detail=detail,
            bytes_read=self._source.bytes_read if self._source else 0,
            seconds=round(self._bench.clock.monotonic_s() - self._started_s, 3),
            size_bytes=size_bytes,
            retry_after_s=retry_after_s,
            quality=self._quality if reason is Reason.WRONG_CONTENT else None,
        )

    async def run(self, before: tuple[SourceReport, ...]) -> None:
        """Put the link's film into the channel; the journal knows the messages then. `before` tells of earlier links.

        Raises SourceError where the link is no good, SpoolFullError where it takes more disk than there is,
        FloodWaitError, TelegramError and UnavailableError.
        """
        sources = self._bench.sources
        async with sources.open(self._ref.url, quality=self._lease.quality) as source:
            self._source = source
            try:
                await self._move(source, before)
            except OrderError:  # it cannot be read as it comes, and its host sends it in no other way
                async with sources.spooled(source) as copy:
                    self._source = copy
                    await self._move(copy, before)

    async def _move(self, source: Source, before: tuple[SourceReport, ...]) -> None:
        self._gauge.enter(Stage.PROBING)
        limits = _media_limits(self._bench.settings)
        async with MediaChild.start(source, limits) as media:
            probe = await media.probe()
            plan = self._planned(probe)
            jpeg = None if plan.kind is PlanKind.DOCUMENT else await media.thumbnail()
            load = cargo(plan, source, media, probe, limits)
            shipment = Shipment(self._bench, self._lease, self._origin, load, self._gauge, key=self._key(source, plan))
            await shipment.stow(source.size_bytes)
            await shipment.send(plan, jpeg, lambda: (*before, self.report(None)))

    def _planned(self, probe: Probe) -> Plan:
        expected = Expectation(self._lease.quality, self._bench.account.file_bytes_max, self._lease.runtime_s)
        plan = plans.plan(probe, expected, self._bench.settings.plan)
        self._gauge.planned(plan.kind.value, plan.why)
        if plan.kind is PlanKind.REJECT:
            self._quality = plan.quality
            raise SourceError(plan.reason or Reason.INTERNAL, plan.why)
        return plan

    def _key(self, source: Source, plan: Plan) -> str | None:
        """Names what is uploaded, to the byte; None for a source that may be another one tomorrow."""
        if source.stamp is None:
            return None
        recipe = msgspec.json.encode(plan.recipe)
        hashed = self._bench.settings.content_hash  # parts that were put up without are of no use with it
        made = f"{source.stamp} {source.size_bytes} {plan.kind.value} {hashed} {VERSION}".encode() + recipe
        digest = hashlib.sha256(made).hexdigest()
        return f"{self._lease.code} {self._lease.generation} {self._ref.link_id} {digest}"


def _media_limits(settings: WorkerSettings) -> MediaLimits:
    return MediaLimits(memory_bytes_max=settings.media_memory_bytes_max)
