"""What is uploaded for each plan: the source's own bytes, or the MP4 that is muxed from them on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from telecine.core.plans import PART_BYTES, PlanKind, Probe
from telecine.core.reasons import Reason
from telecine.core.worker.media.process import MediaChild, MediaLimits
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
_OTHER = (".bin", "application/octet-stream")
_WEBM_CODECS = frozenset({"vp8", "vp9", "av1"})


class Cargo(Protocol):
    """A file to upload."""

    @property
    def size_bytes(self) -> int | None:
        """None where only the end tells."""
        ...

    @property
    def kind(self) -> tuple[str, str]:
        """File name extension and MIME type."""
        ...

    @property
    def film(self) -> Film | None:
        """What Telegram is told of it, once the blocks have ended; None for a document."""
        ...

    def blocks(self) -> AsyncIterator[Block]:
        """The file's parts, in any order. Raises SourceError."""
        ...

    async def again(self, index: int) -> Block:
        """One part once more. Raises SourceError."""
        ...


def cargo(kind: PlanKind, source: Source, media: MediaChild, probe: Probe, limits: MediaLimits) -> Cargo:
    """What a plan uploads. `kind` is not REJECT."""
    if kind is PlanKind.REMUX:
        return RemuxedCargo(source, media, limits)
    return PlainCargo(source, probe, plays=kind is PlanKind.DIRECT)


class PlainCargo:
    """The source's own bytes, to play as they are or as a document."""

    def __init__(self, source: Source, probe: Probe, *, plays: bool) -> None:
        self._source = source
        self._probe = probe
        self._plays = plays

    @property
    def size_bytes(self) -> int | None:
        return self._source.size_bytes

    @property
    def kind(self) -> tuple[str, str]:
        if self._plays:
            return MP4
        video = self._probe.video
        if self._probe.container == "matroska,webm" and video is not None and video.codec in _WEBM_CODECS:
            return ".webm", "video/webm"
        return _CONTAINERS.get(self._probe.container, _OTHER)

    @property
    def film(self) -> Film | None:
        video = self._probe.video
        if not self._plays or video is None:
            return None
        return Film(
            duration_s=self._probe.duration_s or 0.0,
            width_px=video.width_px,
            height_px=video.height_px,
            has_audio=bool(self._probe.audio_codecs),
        )

    def blocks(self) -> AsyncIterator[Block]:
        return blocks_of(self._source.chunks())

    async def again(self, index: int) -> Block:
        return Block(index, await self._source.read(index * PART_BYTES, PART_BYTES))


class RemuxedCargo:
    """An MP4 that is muxed from the source while it is uploaded."""

    def __init__(self, source: Source, media: MediaChild, limits: MediaLimits) -> None:
        self._source = source
        self._media = media
        self._limits = limits

    @property
    def size_bytes(self) -> int | None:
        return None

    @property
    def kind(self) -> tuple[str, str]:
        return MP4

    @property
    def film(self) -> Film | None:
        made = self._media.remuxed
        if made is None:
            return None
        return Film(made.duration_s, made.width_px, made.height_px, made.has_audio)

    def blocks(self) -> AsyncIterator[Block]:
        return self._media.remux()

    async def again(self, index: int) -> Block:
        """Muxes once more: the same source gives the same bytes."""
        async with MediaChild.start(self._source, self._limits) as media:
            async for block in media.remux():
                if block.index == index:
                    return block
        raise SourceError(Reason.WRONG_CONTENT, "the file changed while it was uploaded")
