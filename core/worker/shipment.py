"""The files that are made of one link, on their way into a channel: all of them with Telegram first, then their
messages, since only then it is known how many there are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager

import msgspec

from telecine.core import captions, codes
from telecine.core.captions import Caption, Origin
from telecine.core.codes import PART_COUNT_MAX, PartCode
from telecine.core.errors import InputError, UnavailableError
from telecine.core.plans import PART_BYTES, Plan
from telecine.core.protocol import Lease, SourceReport, Stage
from telecine.core.reasons import Reason
from telecine.core.worker.bench import Bench
from telecine.core.worker.cargo import Cargo, CargoFile
from telecine.core.worker.gauge import Gauge
from telecine.core.worker.journal import Sending, UnsentObject
from telecine.core.worker.parts import Block
from telecine.core.worker.sources.errors import SourceError
from telecine.core.worker.telegram.calls import FileLostError
from telecine.core.worker.telegram.engine import UploadedFile
from telecine.core.worker.telegram.sending import ExistingFile, Film, Parcel, Resend
from telecine.core.worker.telegram.uploads import UploadRecord


class Stowed(msgspec.Struct, frozen=True):
    """A file that is with Telegram. `record` remembers that, should the worker die before the message."""

    file_no: int
    file: UploadedFile
    film: Film | None
    record: UploadRecord | None

    def forget(self) -> None:
        """Its parts are gone: into a message, or lost."""
        if self.record is not None:
            self.record.discard()


class Shipment:
    """One upload's files. `key` names the upload for whoever takes it up after a crash; None: nobody can."""

    def __init__(
        self, bench: Bench, lease: Lease, origin: Origin | None, load: Cargo, gauge: Gauge, *, key: str | None
    ) -> None:
        self._bench = bench
        self._lease = lease
        self._origin = origin
        self._load = load
        self._gauge = gauge
        self._key = key
        self._variant = codes.parse_variant(lease.code)
        self._stowed: list[Stowed] = []

    async def stow(self, bytes_total: int | None) -> None:
        """Upload every file. `bytes_total`: about how much that is.

        Raises SourceError where the link is no good, FloodWaitError, TelegramError and UnavailableError.
        """
        self._gauge.enter(Stage.UPLOADING, bytes_total=bytes_total)
        async with aclosing(self._load.files()) as files:
            async for file in files:
                if len(self._stowed) == PART_COUNT_MAX:
                    raise SourceError(Reason.TOO_LARGE, f"more than {PART_COUNT_MAX} parts")
                self._stowed.append(await self._stow(file))
        if not self._stowed:
            raise SourceError(Reason.NOT_MEDIA, "there is nothing in it")

    async def send(self, plan: Plan, jpeg: bytes | None, sources: Callable[[], tuple[SourceReport, ...]]) -> None:
        """Make a message of each file; the journal knows them then. `jpeg`: a picture of the film.

        Raises as `stow` does.
        """
        self._gauge.enter(Stage.SENDING)
        await self._bench.park.over()
        for stowed in self._stowed:
            try:
                await self._send(
                    stowed, PartCode(self._variant, stowed.file_no, len(self._stowed)), plan, jpeg, sources
                )
            except FileLostError as error:
                stowed.forget()
                raise UnavailableError(f"{error}; it is to be uploaded anew") from error
            stowed.forget()

    async def _stow(self, file: CargoFile) -> Stowed:
        record = None if self._key is None else self._bench.uploads.open(f"{self._key} {file.file_no}")
        try:
            with _as_wrong_content():
                uploaded = await self._bench.engine.upload(
                    self._within_limit(file.blocks(() if record is None else record.known)),
                    size_bytes=file.size_bytes,
                    name=f"{self._variant}{self._load.kind[0]}",
                    on_bytes=self._gauge.add,
                    record=record,
                )
        except FileLostError as error:  # or every further try would find the same record
            if record is not None:
                record.discard()
            raise UnavailableError(f"{error}; it is to be uploaded anew") from error
        return Stowed(file.file_no, uploaded, file.film, record)

    async def _within_limit(self, blocks: AsyncIterator[Block]) -> AsyncIterator[Block]:
        limit = self._bench.account.file_bytes_max
        async for block in blocks:
            if block.index * PART_BYTES + len(block.data) > limit:
                raise SourceError(Reason.TOO_LARGE, f"more than {limit} bytes")
            yield block

    async def _send(
        self,
        stowed: Stowed,
        part: PartCode,
        plan: Plan,
        jpeg: bytes | None,
        sources: Callable[[], tuple[SourceReport, ...]],
    ) -> None:
        engine = self._bench.engine
        thumbnail = None if jpeg is None else await engine.upload(_one_block(jpeg), size_bytes=len(jpeg), name="t.jpg")
        parcel = await self._parcel(stowed, part, thumbnail)
        sending = Sending(
            lease=self._lease.lease,
            boot_id=self._bench.boot_id,
            variant=self._lease.code,
            code=str(part),
            random_id=0,
            after_message_id=await self._bench.channels.newest_message_id(parcel.channel_id),
            object=_object(parcel, part),
            plan=plan.kind.value,
            sources=sources(),
            upload=None if stowed.record is None else stowed.record.key,
        )
        message = await self._bench.post.send(
            parcel, sending, generation=self._lease.generation, resend=self._resend(stowed, thumbnail, jpeg)
        )
        self._gauge.sent(part.part_no, part.part_count, message.message_id)

    def _resend(self, stowed: Stowed, thumbnail: UploadedFile | None, jpeg: bytes | None) -> Resend:
        async def resend(index: int) -> None:
            if thumbnail is not None and jpeg is not None and index == 0:  # Telegram does not say of which file
                await self._bench.engine.resend(thumbnail, Block(0, jpeg))
            with _as_wrong_content():
                await self._bench.engine.resend(stowed.file, await self._load.again(stowed.file_no, index))

        return resend

    async def _parcel(self, stowed: Stowed, part: PartCode, thumbnail: UploadedFile | None) -> Parcel:
        channel_id = self._lease.channel.telegram_id
        if channel_id is None:
            raise InputError(f"lease {self._lease.lease} names a channel that is not open", field="channel")
        extension, mime_type = self._load.kind
        return Parcel(
            channel_id=channel_id,
            caption=captions.write(Caption(part, self._origin, stowed.file.sha256)),
            file=stowed.file,
            file_name=f"{part}{extension}",
            mime_type=mime_type,
            film=stowed.film,
            thumbnail=thumbnail,
            existing=await self._existing(stowed.file),
        )

    async def _existing(self, file: UploadedFile) -> ExistingFile | None:
        """A message of the account that holds the same bytes already."""
        if file.blake3 is None:
            return None
        known = await self._bench.coordinator.contents(file.blake3)
        same = (one for one in known.objects if one.size_bytes == file.size_bytes)
        return next((ExistingFile(one.channel_id, one.message_id) for one in same), None)


def _object(parcel: Parcel, part: PartCode) -> UnsentObject:
    film = parcel.film
    return UnsentObject(
        part_no=part.part_no,
        part_count=part.part_count,
        channel_id=parcel.channel_id,
        message_id=0,
        size_bytes=parcel.file.size_bytes,
        sha256=parcel.file.sha256,
        duration_s=film.duration_s if film else None,
        width_px=film.width_px if film else None,
        height_px=film.height_px if film else None,
        blake3=parcel.file.blake3,
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
