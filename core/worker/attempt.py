"""One link, from its first byte to a message in the channel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager

from telecine.core import plans
from telecine.core.codes import PartCode
from telecine.core.config import WorkerSettings
from telecine.core.errors import InputError
from telecine.core.plans import PART_BYTES, Expectation, Plan, PlanKind, Probe
from telecine.core.protocol import Lease, ObjectReport, SourceRef, SourceReport, Stage
from telecine.core.reasons import Reason
from telecine.core.worker.bench import Bench
from telecine.core.worker.cargo import Cargo, CargoFile, cargo
from telecine.core.worker.gauge import Gauge
from telecine.core.worker.journal import Sending
from telecine.core.worker.media.process import MediaChild, MediaLimits
from telecine.core.worker.park import Park
from telecine.core.worker.parts import Block
from telecine.core.worker.sources.errors import SourceError
from telecine.core.worker.sources.source import Source
from telecine.core.worker.telegram.engine import UploadedFile
from telecine.core.worker.telegram.sending import Film, Parcel


class Attempt:
    """Tries one link of a lease."""

    def __init__(self, bench: Bench, lease: Lease, part: PartCode, ref: SourceRef, gauge: Gauge, park: Park) -> None:
        self._bench = bench
        self._lease = lease
        self._part = part
        self._ref = ref
        self._gauge = gauge
        self._park = park
        self._started_s = bench.clock.monotonic_s()
        self._source: Source | None = None

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
        )

    async def run(self, before: tuple[SourceReport, ...]) -> None:
        """Put the link's file into the channel; the journal knows the message then. `before` tells of earlier links.

        Raises SourceError where the link is no good, FloodWaitError, TelegramError and UnavailableError.
        """
        bench = self._bench
        media_limits = _media_limits(bench.settings)
        async with bench.sources.open(self._ref.url, quality=self._lease.quality) as source:
            self._source = source
            self._gauge.enter(Stage.PROBING)
            async with MediaChild.start(source, media_limits) as media:
                probe = await media.probe()
                plan = self._planned(probe)
                self._gauge.planned(plan.kind.value, plan.why)
                load = cargo(plan, source, media, probe, media_limits)
                jpeg = None if plan.kind is PlanKind.DOCUMENT else await media.thumbnail()
                await self._deliver(load, plan, jpeg, before)

    def _planned(self, probe: Probe) -> Plan:
        limit = self._bench.account.file_bytes_max
        plan = plans.plan(probe, Expectation(self._lease.quality, limit, self._lease.runtime_s))
        if plan.kind is PlanKind.REJECT:
            raise SourceError(plan.reason or Reason.INTERNAL, plan.why)
        return plan

    async def _deliver(self, load: Cargo, plan: Plan, jpeg: bytes | None, before: tuple[SourceReport, ...]) -> None:
        engine = self._bench.engine
        file, film = await self._uploaded_only_file(load)
        thumbnail = None if jpeg is None else await self._uploaded_thumbnail(jpeg)
        self._gauge.enter(Stage.SENDING)
        await self._park.over()

        async def resend(index: int) -> None:
            if thumbnail is not None and jpeg is not None and index == 0:  # Telegram does not say of which file
                await engine.resend(thumbnail, Block(0, jpeg))
            with _as_wrong_content():
                await engine.resend(file, await load.again(1, index))

        parcel = self._parcel(load, file, film, thumbnail)
        sending = await self._sending(parcel, plan, before)
        message = await self._bench.post.send(parcel, sending, generation=self._lease.generation, resend=resend)
        self._gauge.sent(self._part.part_no, self._part.part_count, message.message_id)

    def _parcel(self, load: Cargo, file: UploadedFile, film: Film | None, thumbnail: UploadedFile | None) -> Parcel:
        channel_id = self._lease.channel.telegram_id
        if channel_id is None:
            raise InputError(f"lease {self._lease.lease} names a channel that is not open", field="channel")
        extension, mime_type = load.kind
        return Parcel(
            channel_id=channel_id,
            caption=str(self._part),
            file=file,
            file_name=f"{self._part}{extension}",
            mime_type=mime_type,
            film=film,
            thumbnail=thumbnail,
        )

    async def _sending(self, parcel: Parcel, plan: Plan, before: tuple[SourceReport, ...]) -> Sending:
        """The journal's record of what is about to be sent; `Post` adds the random id."""
        return Sending(
            lease=self._lease.lease,
            boot_id=self._bench.boot_id,
            variant=self._lease.code,
            code=parcel.caption,
            random_id=0,
            after_message_id=await self._bench.channels.newest_message_id(parcel.channel_id),
            object=self._object(parcel),
            plan=plan.kind.value,
            sources=(*before, self.report(None)),
        )

    async def _uploaded_thumbnail(self, jpeg: bytes) -> UploadedFile:
        """A picture of the film; it cannot be added to a message later."""
        return await self._bench.engine.upload(_one_block(jpeg), size_bytes=len(jpeg), name="thumbnail.jpg")

    async def _uploaded_only_file(self, load: Cargo) -> tuple[UploadedFile, Film | None]:
        done: tuple[UploadedFile, Film | None] | None = None
        async with aclosing(load.files()) as files:
            async for file in files:
                if done is not None:
                    raise SourceError(Reason.TOO_LARGE, "more than one file may hold")
                done = await self._uploaded(load, file), file.film
        if done is None:
            raise SourceError(Reason.NOT_MEDIA, "there is nothing in it")
        return done

    async def _uploaded(self, load: Cargo, file: CargoFile) -> UploadedFile:
        expected = file.size_bytes or (self._source.size_bytes if self._source else None)
        self._gauge.enter(Stage.UPLOADING, bytes_total=expected)
        with _as_wrong_content():
            return await self._bench.engine.upload(
                self._within_limit(file.blocks()),
                size_bytes=file.size_bytes,
                name=f"{self._part}{load.kind[0]}",
                on_bytes=self._gauge.add,
            )

    async def _within_limit(self, blocks: AsyncIterator[Block]) -> AsyncIterator[Block]:
        limit = self._bench.account.file_bytes_max
        async for block in blocks:
            if block.index * PART_BYTES + len(block.data) > limit:
                raise SourceError(Reason.TOO_LARGE, f"more than {limit} bytes")
            yield block

    def _object(self, parcel: Parcel) -> ObjectReport:
        film = parcel.film
        return ObjectReport(
            part_no=self._part.part_no,
            part_count=self._part.part_count,
            channel_id=parcel.channel_id,
            message_id=0,
            size_bytes=parcel.file.size_bytes,
            sha256=parcel.file.sha256,
            duration_s=film.duration_s if film else None,
            width_px=film.width_px if film else None,
            height_px=film.height_px if film else None,
        )


@contextmanager
def _as_wrong_content() -> Iterator[None]:
    """Blocks that do not make the file that was announced are the link's fault."""
    try:
        yield
    except InputError as error:
        raise SourceError(Reason.WRONG_CONTENT, f"the file is not what was announced: {error}") from error


async def _one_block(data: bytes) -> AsyncIterator[Block]:
    yield Block(0, data)


def _media_limits(settings: WorkerSettings) -> MediaLimits:
    return MediaLimits(memory_bytes_max=settings.media_memory_bytes_max)
