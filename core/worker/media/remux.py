"""The same pictures and sound as an MP4 that streams. Runs in the media child."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import av
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.stream import Stream
from av.video.stream import VideoStream

from telecine.core.plans import MOOV_BYTES_MAX, PART_BYTES
from telecine.core.reasons import Reason
from telecine.core.worker.media.packets import MediaPacket, timed
from telecine.core.worker.media.reader import (
    COPY_READ_BYTES,
    PATIENT_OPTIONS,
    MediaError,
    SourceFile,
    codec_name,
    demuxing,
    duration_s,
    opened,
    picture_track,
    playable_sound,
    shown_size_px,
)
from telecine.core.worker.media.sink import PartSink
from telecine.core.worker.media.wire import PartMade

INDEX_BYTES_MIN = 64 * 1024
INDEX_BYTES_UNKNOWN = 1024 * 1024  # for a source that does not say how long it is
VIDEO_INDEX_BYTES = 4 + 8 + 8 + 4  # a frame in stsz, stts, ctts, stss, where no two in a row are alike
AUDIO_INDEX_BYTES = 4 + 8  # a frame in stsz, stts
CHUNK_INDEX_BYTES = 8 + 12  # a chunk in co64, stsc
CHUNK_S = 1.0  # packets of one track written together: the fewer chunks, the smaller the index
FRAMES_PER_S_ASSUMED = 30.0
SAMPLES_PER_FRAME_ASSUMED = 1024
RUNTIME_SHARE_MIN = 0.9  # of the declared runtime has to come, give or take
RUNTIME_SLACK_S = 2.0


def remux(file: SourceFile, emit: Callable[[int, bytes], None], index_bytes: int | None = None) -> PartMade:
    """Copy a source's film and sound into an MP4; `emit(index, data)` gets its parts, those of the head last.

    `index_bytes` is what to reserve for the index, by default what it takes at worst. Raises MediaError TRUNCATED
    where the source ends early, which shows only after most parts are out.
    """
    with opened(file, PATIENT_OPTIONS, COPY_READ_BYTES) as container:
        film = picture_track(container)
        if film is None:
            raise MediaError(Reason.NOT_MEDIA, "no video track")
        copy = _Copy(container, film, playable_sound(container))
        return copy.run(emit, index_bytes or copy.index_bytes_at_worst())


class _Copy:
    """One source on its way into one MP4."""

    def __init__(self, container: InputContainer, film: VideoStream, sound: list[Stream]) -> None:
        self._container = container
        self._film = film
        self._sound = sound
        self._start_s: float | None = None
        self._end_s = 0.0

    def index_bytes_at_worst(self) -> int:
        length_s = duration_s(self._container)
        if length_s is None:
            return INDEX_BYTES_UNKNOWN
        rate = float(self._film.average_rate or self._film.guessed_rate or FRAMES_PER_S_ASSUMED)
        frames = max(self._film.frames, length_s * rate)
        sound = sum(_frames_per_s(stream) for stream in self._sound) * length_s
        chunks = (1 + len(self._sound)) * length_s / CHUNK_S * 2
        worst = frames * VIDEO_INDEX_BYTES + sound * AUDIO_INDEX_BYTES + chunks * CHUNK_INDEX_BYTES
        return min(MOOV_BYTES_MAX, max(INDEX_BYTES_MIN, int(worst * 1.1)))

    def run(self, emit: Callable[[int, bytes], None], index_bytes: int) -> PartMade:
        sink = PartSink(emit)
        options = {"moov_size": str(index_bytes), "chunk_duration": str(int(CHUNK_S * av.time_base))}
        out = av.open(sink, "w", format="mp4", options=options, buffer_size=PART_BYTES)
        try:
            with demuxing():
                self._mux(out)
        finally:
            _close(out, sink, index_bytes)
        self._check_runtime()
        streamable = sink.finish()
        width_px, height_px = shown_size_px(self._film)
        return PartMade(
            file_no=1,
            size_bytes=sink.size_bytes,
            duration_s=max(0.0, self._end_s - (self._start_s or 0.0)),
            width_px=width_px,
            height_px=height_px,
            has_audio=bool(self._sound),
            streamable=streamable,
        )

    def _mux(self, out: OutputContainer) -> None:
        try:
            tracks = {s.index: out.add_stream_from_template(s) for s in (self._film, *self._sound)}
        except ValueError as error:
            raise MediaError(Reason.NOT_MEDIA, f"does not fit into an MP4: {error}") from error
        if codec_name(self._film) == "hevc":
            tracks[self._film.index].codec_context.codec_tag = "hvc1"  # Apple's players know no other
        for packet in timed(self._packets()):
            self._note(packet)
            packet.stream = tracks[packet.stream_index]
            out.mux_one(packet)

    def _packets(self) -> Iterator[MediaPacket]:
        packets = self._container.demux([self._film, *self._sound])
        if codec_name(self._film) != "mpeg4":
            yield from packets
            return
        # AVI files often carry two frames in one packet, for want of decoding times.
        unpack = BitStreamFilterContext("mpeg4_unpack_bframes", self._film)
        for packet in packets:
            if packet.stream_index == self._film.index and packet.size:
                yield from unpack.filter(packet)
            else:
                yield packet

    def _note(self, packet: MediaPacket) -> None:
        if packet.stream_index == self._film.index and packet.pts is not None:
            at_s = float(packet.pts * packet.time_base)
            self._start_s = at_s if self._start_s is None else min(self._start_s, at_s)
            self._end_s = max(self._end_s, at_s + float((packet.duration or 0) * packet.time_base))

    def _check_runtime(self) -> None:
        declared_s = duration_s(self._container)
        came_s = self._end_s - (self._start_s or 0.0)
        if declared_s and came_s < declared_s * RUNTIME_SHARE_MIN - RUNTIME_SLACK_S:
            raise MediaError(Reason.TRUNCATED, f"{came_s:.0f} s of {declared_s:.0f} s")


def _frames_per_s(stream: Any) -> float:
    context = stream.codec_context
    return float(context.sample_rate) / (context.frame_size or SAMPLES_PER_FRAME_ASSUMED) if context else 50.0


def _close(out: OutputContainer, sink: PartSink, index_bytes: int) -> None:
    try:
        out.close()
    except FFmpegError:
        # What FFmpeg says of an index larger than its room; the sink has caught all of it.
        if sink.index_bytes + 8 <= index_bytes:
            raise
