"""Sound that Telegram's players cannot play, as AAC. Runs in the media child.

The picture is copied with its times, so the sound must keep its own: what the source leaves out becomes silence, what
it says twice is dropped, and every packet tells exactly when it is heard.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.filter.graph
from av.audio.codeccontext import AudioCodecContext
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet

from telecine.core.reasons import Reason
from telecine.core.worker.media.reader import MediaError

SYNC_TOLERANCE_S = 0.02  # a twentieth of a second is heard as an echo; MKV rounds to a thousandth
SILENCE_MAX_S = 3600.0  # a longer hole is a broken timestamp
REPEATED_MAX_S = 60.0  # so is a longer step back
SILENCE_SAMPLES = 8192  # written at once
BROKEN_PACKETS_MIN = 50  # so many may be broken whatever their share
BROKEN_SHARE_MAX = 0.2

_BIT_RATES = {"mono": 96_000, "stereo": 160_000, "5.1": 384_000}
_FORMAT = "fltp"  # all that FFmpeg's AAC encoder takes


class Transcoder:
    """One sound track on its way to AAC: mono, stereo or 5.1, at 44.1 or 48 kHz.

    `time_base` is that of the packets that come out: one sample. A packet's `pts` is when its first sample is heard,
    in the source's time; the first packet is the encoder's run-in, one frame before the sound begins.
    """

    def __init__(self, stream: AudioStream) -> None:
        self._decoder = stream.codec_context
        self._decoder.thread_count = 1
        self._mould = _encoding(stream)
        self._encoder = self._mould.codec_context
        self.time_base = Fraction(1, self._encoder.sample_rate)
        self._line = _Line()
        self._shape: _Shape | None = None
        self._fifo = AudioFifo()
        self._next_pts: int | None = None
        self._packets = 0
        self._broken = 0

    @property
    def broken(self) -> int:
        """Packets that could not be decoded so far; the sound has silence in their place."""
        return self._broken

    def track(self, out: OutputContainer) -> AudioStream:
        """Add the track that these packets go to. Any number of files may have one each."""
        return out.add_stream_from_template(self._mould)

    def packets(self, packet: Packet[Any] | None) -> Iterator[Packet[Any]]:
        """What comes out once `packet` went in; None flushes, once. Raises MediaError NOT_MEDIA."""
        for frame in self._decoded(packet):
            for piece in self._line.placed(frame):
                self._take(piece)
                yield from self._encoded()
        if packet is None:
            yield from self._flushed()

    def _decoded(self, packet: Packet[Any] | None) -> list[AudioFrame]:
        self._packets += packet is not None
        try:
            return self._decoder.decode(packet)
        except (FFmpegError, ValueError) as error:
            self._note_broken(error)
            return []

    def _note_broken(self, error: Exception) -> None:
        self._broken += 1
        if self._broken > max(BROKEN_PACKETS_MIN, self._packets * BROKEN_SHARE_MAX):
            raise MediaError(Reason.NOT_MEDIA, f"its sound cannot be decoded: {error}") from error

    def _take(self, frame: AudioFrame) -> None:
        if self._next_pts is None:
            self._next_pts = round((_at_s(frame) or 0) / self.time_base)
        if self._shape is None or not self._shape.fits(frame):
            self._drain()
            self._shape = _Shape(frame, self._encoder)
        self._store(self._shape.resampler.resample(frame))

    def _drain(self) -> None:
        if self._shape is not None:
            self._store(self._shape.resampler.resample(None))
            self._shape = None

    def _store(self, frames: list[AudioFrame]) -> None:
        for frame in frames:
            frame.pts, frame.time_base = None, self.time_base  # told by counting from the first
            self._fifo.write(frame)

    def _encoded(self, *, all_of_it: bool = False) -> Iterator[Packet[Any]]:
        while (frame := self._fifo.read(self._encoder.frame_size, all_of_it)) is not None:
            frame.pts, frame.time_base = self._next_pts, self.time_base
            self._next_pts = (self._next_pts or 0) + frame.samples
            try:
                yield from self._stamped(self._encoder.encode(frame))
            except FFmpegError as error:  # samples that are no numbers, made of garbage
                self._note_broken(error)

    def _flushed(self) -> Iterator[Packet[Any]]:
        self._drain()
        if self._next_pts is None and self._packets:
            raise MediaError(Reason.NOT_MEDIA, "its sound cannot be decoded: nothing of it")
        yield from self._encoded(all_of_it=True)
        yield from self._stamped(self._encoder.encode(None))

    def _stamped(self, packets: list[Packet[Any]]) -> Iterator[Packet[Any]]:
        for packet in packets:
            packet.time_base = self.time_base
            packet.duration = self._encoder.frame_size
            yield packet


class _Shape:
    """Frames of one rate, format and layout, and what brings them into the encoder's. Broadcasts change in mid-film."""

    def __init__(self, frame: AudioFrame, encoder: AudioCodecContext) -> None:
        self._key = _shape_key(frame)
        self.resampler = AudioResampler(format=_FORMAT, layout=encoder.layout.name, rate=encoder.sample_rate)

    def fits(self, frame: AudioFrame) -> bool:
        return _shape_key(frame) == self._key


class _Line:
    """Frames laid end to end: their times made whole, so that counting samples tells the time."""

    def __init__(self) -> None:
        self._due_s: Fraction | None = None

    def placed(self, frame: AudioFrame) -> Iterator[AudioFrame]:
        """The frame, after silence where something is missing before it; nothing where it came already."""
        said_s = _at_s(frame)
        due_s = said_s or Fraction(0) if self._due_s is None else self._due_s
        ahead_s = 0 if said_s is None else said_s - due_s
        if -REPEATED_MAX_S < ahead_s < -SYNC_TOLERANCE_S:
            return
        if SYNC_TOLERANCE_S < ahead_s < SILENCE_MAX_S:
            for silence in _silence(frame, round(ahead_s * frame.sample_rate)):
                yield self._at(silence, due_s)
                due_s += Fraction(silence.samples, silence.sample_rate)
        yield self._at(frame, due_s)
        self._due_s = due_s + Fraction(frame.samples, frame.sample_rate)

    def _at(self, frame: AudioFrame, at_s: Fraction) -> AudioFrame:
        frame.time_base = Fraction(1, frame.sample_rate)
        frame.pts = round(at_s * frame.sample_rate)
        return frame


def _at_s(frame: AudioFrame) -> Fraction | None:
    """When a frame is heard, where it says so."""
    return None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base


def _silence(like: AudioFrame, samples: int) -> Iterator[AudioFrame]:
    while samples > 0:
        frame = AudioFrame(like.format.name, like.layout.name, min(samples, SILENCE_SAMPLES))
        frame.sample_rate = like.sample_rate
        for plane in frame.planes:
            zero = b"\x80" if like.format.name.startswith("u8") else b"\x00"
            plane.update(zero * plane.buffer_size)
        yield frame
        samples -= frame.samples


def _encoding(stream: AudioStream) -> AudioStream:
    """A track with an encoder for the sound of `stream`, in a file that is never written."""
    channels, rate_hz = stream.codec_context.channels, stream.codec_context.sample_rate
    layout = "mono" if channels == 1 else "stereo" if channels < 5 else "5.1"
    rate_hz = 44_100 if rate_hz and rate_hz % 11_025 == 0 else 48_000
    mould = av.open(io.BytesIO(), "w", format="mp4")
    track = mould.add_stream("aac", rate=rate_hz)
    context = track.codec_context
    context.layout, context.format, context.bit_rate = layout, _FORMAT, _BIT_RATES[layout]
    context.time_base = Fraction(1, rate_hz)
    context.thread_count = 1
    context.flags |= Flags.bitexact
    context.options = {"aac_coder": "fast"}  # 2.6 times as fast, and these bit rates are generous
    mould.start_encoding()  # opens the encoder, and lets the track know what it makes
    return track


def _shape_key(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate
