"""One MP4 that is muxed into upload parts: its index in front, its times from zero on, its size within a limit."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Any

import av
import msgspec
from av.container import OutputContainer
from av.error import FFmpegError

from telecine.core.plans import PART_BYTES
from telecine.core.reasons import Reason
from telecine.core.worker.media.edits import ended_at
from telecine.core.worker.media.index_room import IndexNeed
from telecine.core.worker.media.reader import MediaError
from telecine.core.worker.media.samples import NS_PER_S, Sample, Track
from telecine.core.worker.media.sink import Emit, PartSink

CHUNK_S = 1.0  # packets of one track written together: the fewer chunks, the smaller the index
HEAD_BYTES = 4096  # of all that is neither index nor samples


class Mp4Terms(msgspec.Struct, frozen=True):
    """What a file may be: `index_bytes` are left free for its index, `bytes_max` None is no limit."""

    index_bytes: int
    bytes_max: int | None = None


class Made(msgspec.Struct, frozen=True):
    """What a file turned out to be."""

    size_bytes: int
    duration_s: float
    streamable: bool


class Mp4File:
    """A file that is being made; `zero` is the time in the source, in seconds, that it begins at.

    Sound from before `zero` is only taken where `is_first`: elsewhere it came too late for the file that it belongs to.
    """

    def __init__(
        self, tracks: Sequence[Track], zero: Fraction, terms: Mp4Terms, emit: Emit, *, is_first: bool = True
    ) -> None:
        self._zero = zero
        self._zero_ns = int(zero * NS_PER_S)
        self._terms = terms
        self._is_first = is_first
        self._sink = PartSink(emit)
        self._need = IndexNeed(tracks)
        self._body_bytes = 0
        self._end_ns = self._zero_ns
        self._out = _opened(self._sink, terms.index_bytes)
        self._tracks: list[Any] = []
        self._shifts: dict[int, int] = {}
        try:
            self._tracks = [track.add_to(self._out) for track in tracks]
        except ValueError as error:
            raise MediaError(Reason.NOT_MEDIA, f"does not fit into an MP4: {error}") from error

    def has_room(self, samples: list[Sample]) -> bool:
        """Whether these fit in besides what is there: into the limit, and into the room for the index.

        A file that is not yet half full may outgrow the room for its index: it goes behind the rest then.
        """
        limit = self._terms.bytes_max
        if limit is None:
            return True
        index_bytes, room = self._need.bytes_with(samples), self._terms.index_bytes
        body_bytes = self._body_bytes + sum(sample.size_bytes for sample in samples)
        behind_bytes = 0 if index_bytes <= room else index_bytes
        return HEAD_BYTES + room + body_bytes + behind_bytes <= limit and (not behind_bytes or body_bytes < limit // 2)

    def write(self, sample: Sample) -> None:
        """The next sample of its track. Raises what the muxer raises."""
        if sample.at_ns < self._zero_ns and not self._is_first and not sample.track.is_film:
            return
        self._need.add(sample)
        self._body_bytes += sample.size_bytes
        if sample.track.is_film:
            self._end_ns = max(self._end_ns, sample.end_ns)
        self._mux(sample)

    def close(self, cut: Sample | None = None, beyond: Sequence[Sample] = ()) -> Made:
        """No more samples: the file ends where `cut` is shown, or with its last picture. Emits what is held back.

        `beyond` is decoded with this file: pictures that are shown before `cut`, and `cut` itself, which is not shown.
        """
        for sample in beyond:
            self._mux(sample)
        _close(self._out, self._sink, self._terms.index_bytes)
        if cut is not None:
            self._end_ns = cut.at_ns
        duration_s = max(0, self._end_ns - self._zero_ns) / NS_PER_S
        streamable = self._sink.finish(lambda index: ended_at(index, 0, duration_s) if beyond else index)
        return Made(self._sink.size_bytes, duration_s, streamable)

    def abandon(self) -> None:
        """Nobody wants the file any more: nothing further is emitted."""
        self._sink.mute()
        with suppress(FFmpegError):
            self._out.close()

    def _mux(self, sample: Sample) -> None:
        packet, number = sample.packet, sample.track.number
        shift = self._shifts.get(number)
        if shift is None:
            shift = self._shifts[number] = round(self._zero / sample.time_base)
        if sample.is_muxed:
            packet.time_base = sample.time_base  # which the muxer has replaced
        sample.is_muxed = True
        packet.pts, packet.dts, packet.duration = sample.pts - shift, sample.dts - shift, sample.duration
        packet.stream = self._tracks[number]
        self._out.mux_one(packet)


def _opened(sink: PartSink, index_bytes: int) -> OutputContainer:
    options = {
        "moov_size": str(index_bytes),
        "chunk_duration": str(int(CHUNK_S * av.time_base)),
        "flush_packets": "0",  # whole buffers only
    }
    return av.open(sink, "w", format="mp4", options=options, buffer_size=PART_BYTES)


def _close(out: OutputContainer, sink: PartSink, index_bytes: int) -> None:
    try:
        out.close()
    except FFmpegError:
        # What FFmpeg says of an index larger than its room; the sink has caught all of it.
        if sink.index_bytes + 8 <= index_bytes:
            raise
