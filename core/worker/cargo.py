"""What is uploaded for each plan: the source's own bytes, or the MP4s that are muxed from them on the way."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator
from contextlib import aclosing
from typing import Protocol

from telecine.core.plans import PART_BYTES, Plan, PlanKind, Probe, Recipe
from telecine.core.reasons import Reason
from telecine.core.worker.media.process import MediaChild, MediaLimits
from telecine.core.worker.media.wire import Part, PartMade
from telecine.core.worker.parts import Block, blocks_of
from telecine.core.worker.sources.errors import SourceError
from telecine.core.worker.sources.source import Source
from telecine.core.worker.telegram.sending import Film

MP4 = (".mp4", "video/mp4")
# FFmpeg's demuxer name -> file name extension and MIME type of what is sent as it is.
_CONTAINERS: dict[str, tuple[str, str]] = {
    "mov,mp4,m4a,3gp,3g2,mj2": MP4,
    "matroska,webm": (".mkv", "video/x-matroska"),
    "avi": (".avi", "video/x-msvideo"),
    "mpegts": (".ts", "video/mp2t"),
    "mpeg": (".mpg", "video/mpeg"),
    "asf": (".wmv", "video/x-ms-wmv"),
    "flv": (".flv", "video/x-flv"),
    "ogg": (".ogv", "video/ogg"),
}
SHORT_RUN_BLOCKS = 16
_OTHER = (".bin", "application/octet-stream")
_WEBM_CODECS = frozenset({"vp8", "vp9", "av1"})


class CargoFile(Protocol):
    """One file of the cargo, on its way."""

    @property
    def file_no(self) -> int:
        """Counts from 1."""
        ...

    @property
    def size_bytes(self) -> int | None:
        """None where only the end tells."""
        ...

    @property
    def film(self) -> Film | None:
        """What Telegram is told of it, once the blocks have ended; None for a document."""
        ...

    def blocks(self, known: Collection[int] = ()) -> AsyncIterator[Block]:
        """The file's parts, in any order, each once. To be exhausted before the next file is asked for.

        Those whose index is in `known` need not come, and are not even read where that is possible. Raises SourceError.
        """
        ...


class Cargo(Protocol):
    """The files that are made of one source."""

    @property
    def kind(self) -> tuple[str, str]:
        """File name extension and MIME type of each."""
        ...

    def files(self) -> AsyncGenerator[CargoFile]:
        """One file after the other; how many there are shows at the end. Raises SourceError."""
        ...

    async def again(self, file_no: int, index: int) -> Block:
        """One part once more, the same bytes. Raises SourceError, WRONG_CONTENT where it is there no more."""
        ...


def cargo(plan: Plan, source: Source, media: MediaChild, probe: Probe, limits: MediaLimits) -> Cargo:
    """What a plan uploads; `limits` are for children that mux once more. The plan is not REJECT."""
    if plan.kind in (PlanKind.REMUX, PlanKind.SPLIT):
        return MuxedCargo(plan.recipe or Recipe(), source, media, limits)
    return PlainCargo(source, probe, plays=plan.kind is PlanKind.DIRECT)


class PlainCargo:
    """The source's own bytes, to play as they are or as a document."""

    def __init__(self, source: Source, probe: Probe, *, plays: bool) -> None:
        self._source = source
        self._probe = probe
        self._plays = plays

    @property
    def kind(self) -> tuple[str, str]:
        if self._plays:
            return MP4
        video = self._probe.video
        if self._probe.container == "matroska,webm" and video is not None and video.codec in _WEBM_CODECS:
            return ".webm", "video/webm"
        return _CONTAINERS.get(self._probe.container, _OTHER)

    async def files(self) -> AsyncGenerator[CargoFile]:
        yield PlainFile(self._source, self._film())

    async def again(self, file_no: int, index: int) -> Block:
        return Block(index, await self._source.read(index * PART_BYTES, PART_BYTES))

    def _film(self) -> Film | None:
        video = self._probe.video
        if not self._plays or video is None:
            return None
        return Film(
            duration_s=self._probe.duration_s or 0.0,
            width_px=video.width_px,
            height_px=video.height_px,
            has_audio=bool(self._probe.audio_codecs),
        )


class PlainFile:
    """The source as it is."""

    file_no = 1

    def __init__(self, source: Source, film: Film | None) -> None:
        self._source = source
        self.film = film

    @property
    def size_bytes(self) -> int | None:
        return self._source.size_bytes

    async def blocks(self, known: Collection[int] = ()) -> AsyncIterator[Block]:
        """Reads only the runs of blocks that are not in `known`, where the source has ranges."""
        size = self._source.size_bytes
        if not known or size is None or not self._source.supports_ranges:
            async for block in blocks_of(self._source.chunks()):
                yield block
            return
        for first, end in _runs(-(-size // PART_BYTES), known):
            async with aclosing(self._run(first, end)) as run:
                async for block in run:
                    yield block

    async def _run(self, first: int, end: int) -> AsyncGenerator[Block]:
        if end - first <= SHORT_RUN_BLOCKS:  # a stream would read far beyond it
            for index in range(first, end):
                yield Block(index, await self._source.read(index * PART_BYTES, PART_BYTES))
            return
        async with aclosing(blocks_of(self._source.chunks(first * PART_BYTES))) as stream:
            async for block in stream:
                yield Block(first + block.index, block.data)
                if first + block.index == end - 1:
                    return


def _runs(count: int, known: Collection[int]) -> Iterator[tuple[int, int]]:
    """Where blocks 0 to `count` are missing, as first and end."""
    first: int | None = None
    for index in range(count):
        if index not in known:
            first = index if first is None else first
        elif first is not None:
            yield first, index
            first = None
    if first is not None:
        yield first, count


class MuxedCargo:
    """MP4s that are muxed from the source while they are uploaded."""

    kind = MP4

    def __init__(self, recipe: Recipe, source: Source, media: MediaChild, limits: MediaLimits) -> None:
        self._recipe = recipe
        self._source = source
        self._media = media
        self._limits = limits

    async def files(self) -> AsyncGenerator[CargoFile]:
        file_no = 0
        async with aclosing(self._media.mux(self._recipe)) as messages:
            while (first := await anext(messages, None)) is not None:
                file_no += 1
                yield MuxedFile(file_no, first, messages)

    async def again(self, file_no: int, index: int) -> Block:
        """Muxes once more: the same source gives the same bytes."""
        async with (
            MediaChild.start(self._source, self._limits) as media,
            aclosing(media.mux(self._recipe)) as messages,
        ):
            async for message in messages:
                if isinstance(message, Part) and (message.file_no, message.index) == (file_no, index):
                    return Block(index, message.data)
        raise SourceError(Reason.WRONG_CONTENT, "the file changed while it was uploaded")


class MuxedFile:
    """One MP4 that is being muxed: `first` is what came of it already, the rest is in `messages`.

    The child that makes it is not trusted to count.
    """

    size_bytes = None

    def __init__(self, file_no: int, first: Part | PartMade, messages: AsyncIterator[Part | PartMade]) -> None:
        self._first = first
        self._messages = messages
        self.file_no = file_no
        self.film: Film | None = None

    async def blocks(self, known: Collection[int] = ()) -> AsyncIterator[Block]:
        """All of them: each has to be made before the next."""
        message: Part | PartMade | None = self._first
        size_bytes = 0
        while isinstance(message, Part) and message.file_no == self.file_no:
            size_bytes += len(message.data)
            yield Block(message.index, message.data)
            message = await anext(self._messages, None)
        if not isinstance(message, PartMade) or (message.file_no, message.size_bytes) != (self.file_no, size_bytes):
            raise SourceError(Reason.NOT_MEDIA, "its parser says what it should not")
        self.film = Film(
            message.duration_s,
            message.width_px,
            message.height_px,
            has_audio=message.has_audio,
            streamable=message.streamable,
        )
