"""The same pictures and sound as MP4s that stream, one or several. Runs in the media child."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import InputContainer

from telecine.core.plans import Recipe
from telecine.core.reasons import Reason
from telecine.core.worker.media.cutter import Cutter
from telecine.core.worker.media.index_room import index_room_bytes
from telecine.core.worker.media.mp4 import Mp4File, Mp4Terms
from telecine.core.worker.media.pace import EqualShares
from telecine.core.worker.media.reader import (
    COPY_READ_BYTES,
    PATIENT_OPTIONS,
    MediaError,
    SourceFile,
    demuxing,
    duration_s,
    opened,
    picture_track,
    rotation_deg,
    shown_size_px,
)
from telecine.core.worker.media.samples import NS_PER_S, Sample, samples_of, tracks_of
from telecine.core.worker.media.seams import Seams
from telecine.core.worker.media.sink import PartBytes
from telecine.core.worker.media.wire import PartMade

RUNTIME_SHARE_MIN = 0.9  # of the declared runtime has to come, give or take
RUNTIME_SLACK_S = 2.0

EmitPart = Callable[[int, int, PartBytes], None]


def mux(
    file: SourceFile,
    recipe: Recipe,
    emit: EmitPart,
    made: Callable[[PartMade], None],
    *,
    index_bytes: int | None = None,
) -> None:
    """Make MP4s of a source: `emit(file_no, index, data)` gets their parts, `made` tells when a file has all of them.

    `data` is only lent for the call. `index_bytes` is what to reserve for an index, by default what it takes at worst.
    Raises MediaError: TRUNCATED where the source ends early, which shows only after most parts are out; TOO_LARGE where
    it cannot be cut into files within the limit.
    """
    with opened(file, PATIENT_OPTIONS, COPY_READ_BYTES) as container:
        muxing = _Muxing(container, recipe, emit, made)
        muxing.run(index_bytes or muxing.index_room_bytes(file.size_bytes), file.size_bytes)


class _Muxing:
    """One source on its way into MP4s."""

    def __init__(
        self, container: InputContainer, recipe: Recipe, emit: EmitPart, made: Callable[[PartMade], None]
    ) -> None:
        film = picture_track(container)
        if film is None:
            raise MediaError(Reason.NOT_MEDIA, "no video track")
        self._container = container
        self._recipe = recipe
        self._emit = emit
        self._made = made
        sound = [stream for stream in container.streams.audio if isinstance(stream, AudioStream)]
        self._tracks = tracks_of(film, sound, recipe)
        self._size_px = shown_size_px(film, rotation_deg(container, film))
        self._files = 0
        self._file: Mp4File | None = None
        self._terms = Mp4Terms(0)
        self._start_ns: int | None = None
        self._end_ns = 0
        self._seams = Seams()

    def index_room_bytes(self, size_bytes: int | None) -> int:
        return index_room_bytes(self._container, self._tracks, self._recipe, size_bytes)

    def run(self, index_bytes: int, size_bytes: int | None) -> None:
        self._terms = Mp4Terms(index_bytes, self._recipe.part_bytes_max)
        try:
            with demuxing():
                if self._recipe.part_bytes_max is None:
                    self._run_whole()
                else:
                    self._run_cut(size_bytes)
            self._check_runtime()
            self.end(None, [])
        except BaseException:
            if self._file is not None:
                self._file.abandon()
            raise

    def _run_whole(self) -> None:
        for sample in samples_of(self._container, self._tracks, self._seams):
            file = self._file or self.begin(sample)
            self._note(sample)
            file.write(sample)

    def _run_cut(self, size_bytes: int | None) -> None:
        pace = EqualShares(self._recipe.part_count, size_bytes, duration_s(self._container))
        cutter = Cutter(self, pace, len(self._tracks) - 1)
        for sample in samples_of(self._container, self._tracks, self._seams):
            self._note(sample)
            cutter.put(sample)
        cutter.finish()

    def begin(self, first: Sample) -> Mp4File:
        """Files: another one."""
        self._files += 1
        number = self._files
        zero = first.pts * first.time_base
        if number == 1 and self._container.start_time is not None:
            # Sound may be heard before the first picture, and the run-in of its decoder is before all.
            start = Fraction(self._container.start_time, av.time_base)
            zero = min(zero, start) if first.track.is_film else start
        self._file = Mp4File(
            self._tracks, zero, self._terms, lambda index, data: self._emit(number, index, data), is_first=number == 1
        )
        return self._file

    def end(self, cut: Sample | None, beyond: list[Sample]) -> None:
        """Files: the open one is complete."""
        if self._file is None:
            raise MediaError(Reason.TRUNCATED, "no pictures in it")
        made = self._file.close(cut, beyond)
        width_px, height_px = self._size_px
        self._made(
            PartMade(
                file_no=self._files,
                size_bytes=made.size_bytes,
                duration_s=made.duration_s,
                width_px=width_px,
                height_px=height_px,
                has_audio=len(self._tracks) > 1,
                streamable=made.streamable,
            )
        )

    def _note(self, sample: Sample) -> None:
        if sample.track.is_film:
            if self._start_ns is None or sample.at_ns < self._start_ns:
                self._start_ns = sample.at_ns
            self._end_ns = max(self._end_ns, sample.end_ns)

    def _check_runtime(self) -> None:
        declared_s = None if self._seams.count else duration_s(self._container)  # by the last time, less the first
        came_s = (self._end_ns - (self._start_ns or 0)) / NS_PER_S
        if declared_s and came_s < declared_s * RUNTIME_SHARE_MIN - RUNTIME_SLACK_S:
            raise MediaError(Reason.TRUNCATED, f"{came_s:.0f} s of {declared_s:.0f} s")
