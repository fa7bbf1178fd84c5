"""How large the index of an MP4 becomes, and how much room to leave for it in front of the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from av.container import InputContainer
from av.video.stream import VideoStream

from telecine.core.plans import MOOV_BYTES_MAX, Recipe
from telecine.core.worker.media.reader import duration_s
from telecine.core.worker.media.samples import NS_PER_S, Sample, Track

ROOM_BYTES_MIN = 64 * 1024
ROOM_BYTES_UNKNOWN = 1024 * 1024  # for a source that does not say how long it is
PICTURE_BYTES = 4 + 8 + 8 + 4  # a frame in stsz, stts, ctts, stss, where no two in a row are alike
SOUND_BYTES = 4 + 8  # a frame in stsz, stts
CHUNK_BYTES = 8 + 12  # a chunk in co64, stsc
CHUNKS_PER_S = 2.0  # of one track
FIXED_BYTES = 2048  # of a track, besides its parameter sets
FRAMES_PER_S_ASSUMED = 30.0
SAMPLES_PER_FRAME_ASSUMED = 1024
MARGIN = 1.1
SHARE_MARGIN = 1.5  # a part may run so much longer than the average one
LIMIT_SHARE_MAX = 8  # the room is at most this fraction of a file
LIMIT_SHARE_UNKNOWN = 256  # where nothing is known of the source: an hour in 2 GB takes less


class IndexNeed:
    """What the index of a file takes at worst, by what is in it."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        self._tracks = len(tracks)
        self._bytes = _fixed_bytes(tracks)
        self._from_ns: int | None = None

    def add(self, sample: Sample) -> None:
        self._bytes += PICTURE_BYTES if sample.track.is_film else SOUND_BYTES
        if self._from_ns is None:
            self._from_ns = sample.at_ns

    def bytes_with(self, samples: Sequence[Sample]) -> int:
        """With these as well."""
        pictures = sum(sample.track.is_film for sample in samples)
        bytes_ = self._bytes + pictures * PICTURE_BYTES + (len(samples) - pictures) * SOUND_BYTES
        end_ns = max((sample.at_ns for sample in samples), default=0)
        span_s = max(0, end_ns - (self._from_ns or 0)) / NS_PER_S if self._from_ns is not None else 0.0
        return bytes_ + int(self._tracks * (1 + span_s * CHUNKS_PER_S) * CHUNK_BYTES)


def index_room_bytes(container: InputContainer, tracks: Sequence[Track], recipe: Recipe, size_bytes: int | None) -> int:
    """How much room to leave in each file."""
    limit, length_s = recipe.part_bytes_max, duration_s(container)
    if limit is not None:
        length_s = _part_s(length_s, limit, size_bytes, recipe.part_count)
    if length_s is None:
        room = ROOM_BYTES_UNKNOWN if limit is None else limit // LIMIT_SHARE_UNKNOWN
    else:
        room = int(_bytes_per_s(tracks) * length_s * MARGIN) + _fixed_bytes(tracks)
    room = min(MOOV_BYTES_MAX, max(ROOM_BYTES_MIN, room))
    return room if limit is None else min(room, limit // LIMIT_SHARE_MAX)


def _part_s(length_s: float | None, limit: int, size_bytes: int | None, part_count: int | None) -> float | None:
    """How long a part may run."""
    if length_s is None:
        return None
    if part_count is not None:
        return min(length_s, length_s / part_count * SHARE_MARGIN)
    return min(length_s, length_s * limit / size_bytes * SHARE_MARGIN) if size_bytes else None


def _fixed_bytes(tracks: Sequence[Track]) -> int:
    return FIXED_BYTES + sum(FIXED_BYTES + len(track.parameters) for track in tracks)


def _bytes_per_s(tracks: Iterable[Track]) -> float:
    return sum(_frames_per_s(track) * (PICTURE_BYTES if track.is_film else SOUND_BYTES) for track in tracks) + sum(
        CHUNKS_PER_S * CHUNK_BYTES for _ in tracks
    )


def _frames_per_s(track: Track) -> float:
    stream: Any = track.stream
    if isinstance(stream, VideoStream):
        return float(stream.average_rate or stream.guessed_rate or FRAMES_PER_S_ASSUMED)
    context = stream.codec_context
    return float(context.sample_rate) / (context.frame_size or SAMPLES_PER_FRAME_ASSUMED) if context else 50.0
