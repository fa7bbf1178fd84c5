"""Packets as the muxer takes them: what they weigh in a file, when they are shown, and where a file may begin.

Runs in the media child.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from telecine.core.plans import Recipe
from telecine.core.worker.media.entries import entry_check
from telecine.core.worker.media.packets import MediaPacket, timed
from telecine.core.worker.media.reader import codec_name
from telecine.core.worker.media.seams import RESTARTING, Seams, from_first_entry
from telecine.core.worker.media.sound import Transcoder

NS_PER_S = 1_000_000_000


class Track:
    """One track of the source that goes into the files, as it is or as AAC. `number` counts from 0, the film."""

    def __init__(self, number: int, stream: Stream, *, transcode: bool = False) -> None:
        self.number = number
        self.stream = stream
        self.is_film = isinstance(stream, VideoStream)
        self.time_base: Fraction | None = None  # of all its samples; the first tells
        self.tick_ns: tuple[int, int] = (0, 1)  # as a fraction
        self.may_begin = entry_check(stream) if isinstance(stream, VideoStream) else None
        self._maker = Transcoder(stream) if transcode and isinstance(stream, AudioStream) else None

    def keep_time(self, time_base: Fraction) -> None:
        """What the times of all samples are counted in."""
        self.time_base = time_base
        self.tick_ns = NS_PER_S * time_base.numerator, time_base.denominator

    @property
    def parameters(self) -> bytes:
        """What the decoder has to know beforehand, which stands in the index."""
        return getattr(self.stream.codec_context, "extradata", None) or b""

    @property
    def is_copied(self) -> bool:
        return self._maker is None

    def add_to(self, out: OutputContainer) -> Any:
        """The same track in a file that is being made. Raises ValueError where the file cannot hold it."""
        if self._maker is not None:
            return self._maker.track(out)
        made = out.add_stream_from_template(self.stream)
        if codec_name(self.stream) == "hevc":
            made.codec_context.codec_tag = "hvc1"  # Apple's players know no other
        return made

    def samples(self, packet: MediaPacket | None) -> Iterator[Sample]:
        """What becomes of a packet; None: the track has ended."""
        if self._maker is not None:
            for made in self._maker.packets(packet):
                yield Sample(self, made)
        elif packet is not None:
            yield Sample(self, packet)


class Sample:
    """A packet with its times, which the muxer would overwrite. `at_ns`: when it is shown, in the source's time.

    `begins`: a file may begin with it.
    """

    __slots__ = (
        "at_ns",
        "begins",
        "dts",
        "dts_ns",
        "duration",
        "is_muxed",
        "packet",
        "pos",
        "pts",
        "size_bytes",
        "track",
    )

    def __init__(self, track: Track, packet: MediaPacket) -> None:
        if track.time_base is None:
            track.keep_time(packet.time_base)
        self.track = track
        self.packet = packet
        self.pts = pts = packet.pts or 0
        dts = packet.dts
        self.dts = dts = pts if dts is None else dts
        self.duration = packet.duration or 0
        self.size_bytes = packet.size
        self.pos = packet.pos
        numerator, denominator = track.tick_ns
        self.at_ns = pts * numerator // denominator
        self.dts_ns = dts * numerator // denominator
        self.begins = track.may_begin is not None and packet.is_keyframe and track.may_begin(packet)
        self.is_muxed = False

    @property
    def time_base(self) -> Fraction:
        """Of `pts`, `dts` and `duration`, in seconds."""
        return self.track.time_base or Fraction(1)

    @property
    def end_ns(self) -> int:
        """When it is shown no more."""
        numerator, denominator = self.track.tick_ns
        return (self.pts + self.duration) * numerator // denominator


def tracks_of(film: VideoStream, sound: Iterable[AudioStream], recipe: Recipe) -> list[Track]:
    """The tracks that go into the files: the film first."""
    kept = [(index, stream) for index, stream in enumerate(sound) if index not in recipe.leave]
    return [
        Track(0, film),
        *(Track(number, stream, transcode=index in recipe.transcode) for number, (index, stream) in enumerate(kept, 1)),
    ]


def samples_of(container: InputContainer, tracks: list[Track], seams: Seams) -> Iterator[Sample]:
    """All that a source holds for `tracks`, in the order in which it stands there. `seams` hears where times jump."""
    by_stream = {track.stream.index: track for track in tracks}
    made = frozenset(index for index, track in by_stream.items() if not track.is_copied)
    packets = from_first_entry(_packets(container, tracks), tracks[0].stream.index)
    if container.format.name in RESTARTING:
        packets = seams.joined(packets)
    for packet in timed(packets, untimed=made):
        yield from by_stream[packet.stream_index].samples(packet)
    for track in tracks:
        yield from track.samples(None)


def _packets(container: InputContainer, tracks: list[Track]) -> Iterator[MediaPacket]:
    packets = container.demux([track.stream for track in tracks])
    film = tracks[0].stream
    if codec_name(film) != "mpeg4":
        yield from packets
        return
    # AVI files often carry two frames in one packet, for want of decoding times.
    unpack = BitStreamFilterContext("mpeg4_unpack_bframes", film)
    for packet in packets:
        if packet.stream_index == film.index and packet.size:
            yield from unpack.filter(packet)
        else:
            yield packet
