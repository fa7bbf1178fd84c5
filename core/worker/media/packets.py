"""Packets with the times that an MP4 needs: each with a decoding time, strictly growing, never after its showing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from fractions import Fraction
from typing import Any, TypeAlias

from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.stream import VideoStream

HELD_PACKETS_MAX = 512  # waiting for a track's first decoding time
SNAP_TOLERANCE_S = 0.003  # MKV keeps whole milliseconds

MediaPacket: TypeAlias = "Packet[Any]"  # generic for type checkers only


def timed(packets: Iterable[MediaPacket], untimed: Collection[int] = ()) -> Iterator[MediaPacket]:
    """The packets of a demuxer, in its order, with all times filled in, but for those of the streams `untimed`.

    MKV does not store decoding times, and FFmpeg cannot tell those of the first frames of a track with B-frames: they
    are counted back from the first that it can tell. Dropping such packets would lose the first pictures.
    """
    clocks: dict[int, _TrackClock] = {}
    for packet in _back_filled(packets, untimed):
        if packet.stream_index in untimed:
            yield packet
            continue
        clock = clocks.get(packet.stream_index)
        if clock is None:
            clock = clocks[packet.stream_index] = _TrackClock(packet)
        clock.set_times(packet)
        yield packet


def _back_filled(packets: Iterable[MediaPacket], untimed: Collection[int]) -> Iterator[MediaPacket]:
    held: list[MediaPacket] = []
    told: set[int] = set()
    for packet in packets:
        if not packet.size:
            continue  # the demuxer's way to say that a track ends
        if packet.stream_index in untimed or (not held and packet.dts is not None and packet.stream_index in told):
            yield packet
            continue
        held.append(packet)
        if packet.dts is not None and packet.stream_index not in told:
            told.add(packet.stream_index)
            _count_back(held, packet)
        if len(held) > HELD_PACKETS_MAX or all(one.dts is not None for one in held):
            yield from held
            held.clear()
    yield from held


def _count_back(held: list[MediaPacket], first_told: MediaPacket) -> None:
    dts = first_told.dts or 0
    for packet in reversed(held):
        if packet.stream_index == first_told.stream_index and packet.dts is None:
            dts -= _step(packet)
            packet.dts = dts


def _step(packet: MediaPacket) -> int:
    """One frame, in the packet's time base."""
    if packet.duration:
        return packet.duration
    rate = packet.stream.average_rate if isinstance(packet.stream, VideoStream) else None
    return max(1, int(1 / (rate * packet.time_base))) if rate else 1


class _TrackClock:
    """The running times of one track."""

    def __init__(self, first: MediaPacket) -> None:
        self._last_dts: int | None = None
        self._samples = _sample_clock(first)

    def set_times(self, packet: MediaPacket) -> None:
        if self._samples:
            self._samples.snap(packet)
        dts, last_dts, pts = packet.dts, self._last_dts, packet.pts
        if dts is None:
            dts = pts if last_dts is None else last_dts + _step(packet)
        if last_dts is not None and (dts or 0) <= last_dts:
            dts = last_dts + 1
        if packet.dts != dts:
            packet.dts = dts
        if pts is None or pts < (dts or 0):
            packet.pts = dts
        self._last_dts = dts


class _SampleClock:
    """Whole frames of sound: times that are off by a rounding become exact, so that the index stays small."""

    def __init__(self, rate_hz: int, frame_samples: int, time_base: Fraction) -> None:
        self._time_base = Fraction(1, rate_hz)
        self._factor, self._divisor = rate_hz * time_base.numerator, time_base.denominator
        self._frame_samples = frame_samples
        self._tolerance = int(rate_hz * SNAP_TOLERANCE_S)
        self._due: int | None = None

    def snap(self, packet: MediaPacket) -> None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None:
            return
        at = (2 * stamp * self._factor + self._divisor) // (2 * self._divisor)  # to the nearest sample
        if self._due is not None and abs(at - self._due) <= self._tolerance:
            at = self._due
        self._due = at + self._frame_samples
        packet.time_base = self._time_base
        packet.pts = packet.dts = at
        packet.duration = self._frame_samples


def _sample_clock(packet: MediaPacket) -> _SampleClock | None:
    stream = packet.stream
    if not isinstance(stream, AudioStream) or stream.codec_context is None:
        return None
    rate_hz, frame_samples = stream.codec_context.sample_rate, stream.codec_context.frame_size
    return _SampleClock(rate_hz, frame_samples, packet.time_base) if rate_hz and frame_samples else None
