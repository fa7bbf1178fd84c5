"""Sound that becomes AAC is heard when it was heard before, whatever the source leaves out, repeats or garbles."""

from __future__ import annotations

import array
import functools
import io
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
import msgspec
import pytest
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from telecine.core.reasons import Reason
from telecine.core.worker.media.reader import MediaError
from telecine.core.worker.media.sound import BROKEN_PACKETS_MIN, Transcoder

BEEP_EVERY_S = 0.5
BEEP_S = 0.1
SYNC_S = 0.03
SECONDS = 4.0
EVERY = 5  # samples, to look at


class Kind(msgspec.Struct, frozen=True):
    """A sound track to start from."""

    codec: str
    layout: str
    rate_hz: int
    container: str
    channels: int
    aac_rate_hz: int
    aac_channels: int


KINDS = {
    "AC-3 5.1": Kind("ac3", "5.1(side)", 48_000, "matroska", 6, 48_000, 6),
    "E-AC-3 stereo in MP4": Kind("eac3", "stereo", 48_000, "mp4", 2, 48_000, 2),
    "Opus": Kind("libopus", "stereo", 48_000, "matroska", 2, 48_000, 2),
    "mono FLAC at 44.1": Kind("flac", "mono", 44_100, "matroska", 1, 44_100, 1),
    "MP2 at 32": Kind("mp2", "stereo", 32_000, "mpegts", 2, 48_000, 2),
    "PCM at 96": Kind("pcm_s16le", "stereo", 96_000, "mov", 2, 48_000, 2),
    "7.1 PCM": Kind("pcm_s16le", "7.1", 48_000, "matroska", 8, 48_000, 6),
    "4.0 PCM": Kind("pcm_s16le", "4.0", 48_000, "matroska", 4, 48_000, 2),
}


@functools.cache
def beeps(kind: Kind, seconds: float = SECONDS) -> bytes:
    """A file with a tone at each half second."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=kind.container) as out:
        stream = out.add_stream(kind.codec, rate=kind.rate_hz, layout=kind.layout)
        assert isinstance(stream, AudioStream)
        stream.codec_context.open()
        samples = stream.codec_context.frame_size or 1024
        for start in range(0, int(seconds * kind.rate_hz), samples):
            out.mux(stream.encode(_frame(kind, start, samples)))
        out.mux(stream.encode(None))
    return buffer.getvalue()


def _frame(kind: Kind, start: int, samples: int) -> AudioFrame:
    tone = array.array("h", (_beep((start + n) / kind.rate_hz) for n in range(samples)))
    frame = AudioFrame("s16", kind.layout, samples)
    frame.planes[0].update(array.array("h", (value for value in tone for _ in range(kind.channels))).tobytes())
    frame.sample_rate, frame.pts, frame.time_base = kind.rate_hz, start, Fraction(1, kind.rate_hz)
    return frame


def _beep(at_s: float) -> int:
    loud = at_s % BEEP_EVERY_S < BEEP_S and BEEP_EVERY_S <= at_s < SECONDS
    return int(12_000 * math.sin(2 * math.pi * 1000 * at_s)) if loud else 0


def opened(content: bytes) -> InputContainer:
    container = av.open(io.BytesIO(content))
    assert isinstance(container, InputContainer)
    return container


def packets_of(container: InputContainer) -> list[Packet[Any]]:
    return [packet for packet in container.demux(audio=0) if packet.size]


def at_s(packet: Packet[Any]) -> float:
    return float((packet.pts or 0) * packet.time_base)


def transcoded(transcoder: Transcoder, packets: Iterable[Packet[Any]]) -> list[Packet[Any]]:
    made = [out for packet in packets for out in transcoder.packets(packet)]
    return [*made, *transcoder.packets(None)]


def played(transcoder: Transcoder, packets: list[Packet[Any]]) -> bytes:
    """An MP4 of the packets."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        track = transcoder.track(out)
        for packet in packets:
            packet.stream = track
            out.mux_one(packet)
    return buffer.getvalue()


def heard_s(content: bytes) -> list[float]:
    """When tones begin, as a player hears them."""
    times, quiet_since_s = [], -1.0
    with opened(content) as container:
        for frame in container.decode(audio=0):
            start_s = float((frame.pts or 0) * (frame.time_base or 0))
            for n, value in enumerate(array.array("f", bytes(frame.planes[0]))[: frame.samples : EVERY]):
                if abs(value) > 0.1:
                    now_s = start_s + n * EVERY / frame.sample_rate
                    if now_s - quiet_since_s > BEEP_S:
                        times.append(now_s)
                    quiet_since_s = now_s
    return times


def expected_s(start_s: float = BEEP_EVERY_S, end_s: float = SECONDS) -> list[float]:
    return [n * BEEP_EVERY_S for n in range(1, int(SECONDS / BEEP_EVERY_S)) if start_s <= n * BEEP_EVERY_S < end_s]


@pytest.mark.parametrize("name", KINDS)
def test_sound_becomes_aac_that_is_heard_at_the_same_time(name: str) -> None:
    kind = KINDS[name]
    with opened(beeps(kind)) as source:
        begins_s = float((source.streams.audio[0].start_time or 0) * (source.streams.audio[0].time_base or 0))
        transcoder = Transcoder(source.streams.audio[0])
        made = transcoded(transcoder, packets_of(source))
    content = played(transcoder, made)
    with opened(content) as result:
        context = result.streams.audio[0].codec_context
        assert (context.name, context.sample_rate, context.channels) == ("aac", kind.aac_rate_hz, kind.aac_channels)
        assert float((result.duration or 0) / av.time_base) == pytest.approx(SECONDS, abs=0.15)
    starts_s = begins_s if kind.container == "mpegts" else 0.0  # which begins at some time or other
    assert [time_s - starts_s for time_s in heard_s(content)] == pytest.approx(expected_s(), abs=SYNC_S)
    assert at_s(made[0]) <= begins_s
    assert transcoder.broken == 0


@pytest.mark.parametrize("name", ["AC-3 5.1", "Opus", "mono FLAC at 44.1"])
def test_packets_of_aac_follow_each_other_to_the_sample(name: str) -> None:
    with opened(beeps(KINDS[name])) as source:
        transcoder = Transcoder(source.streams.audio[0])
        made = transcoded(transcoder, packets_of(source))
    times = [packet.pts or 0 for packet in made]
    assert times == list(range(times[0], times[0] + 1024 * len(times), 1024))
    assert all(packet.dts == packet.pts and packet.duration == 1024 for packet in made)
    assert {packet.time_base for packet in made} == {transcoder.time_base}


@pytest.mark.parametrize("name", ["AC-3 5.1", "Opus", "mono FLAC at 44.1"])
def test_hole_becomes_silence_and_what_follows_keeps_its_time(name: str) -> None:
    with opened(beeps(KINDS[name])) as source:
        transcoder = Transcoder(source.streams.audio[0])
        made = transcoded(transcoder, (one for one in packets_of(source) if not 1.2 < at_s(one) < 2.2))
    times = heard_s(played(transcoder, made))
    assert times == pytest.approx([*expected_s(end_s=1.1), *expected_s(2.4)], abs=SYNC_S)


def test_many_small_holes_do_not_add_up() -> None:
    with opened(beeps(KINDS["AC-3 5.1"])) as source:
        transcoder = Transcoder(source.streams.audio[0])
        kept = (one for n, one in enumerate(packets_of(source)) if n % 7 != 3)
        content = played(transcoder, transcoded(transcoder, kept))
    heard = heard_s(content)
    assert all(min(abs(time_s - beep_s) for beep_s in expected_s()) <= SYNC_S + 0.04 for time_s in heard)
    assert heard[-1] == pytest.approx(expected_s()[-1], abs=SYNC_S)


def test_what_comes_twice_is_heard_once() -> None:
    with opened(beeps(KINDS["AC-3 5.1"])) as source:
        first = packets_of(source)
    with opened(beeps(KINDS["AC-3 5.1"])) as source:
        transcoder = Transcoder(source.streams.audio[0])
        again = [one for one in packets_of(source) if 1.0 < at_s(one) < 2.0]
        place = next(n for n, one in enumerate(first) if at_s(one) > 2.0)
        content = played(transcoder, transcoded(transcoder, [*first[:place], *again, *first[place:]]))
    assert heard_s(content) == pytest.approx(expected_s(), abs=SYNC_S)


def test_jump_of_hours_is_a_broken_time_rather_than_hours_of_silence() -> None:
    with opened(beeps(KINDS["AC-3 5.1"])) as source:
        packets = packets_of(source)
        lost = packets[40]
        lost.pts = lost.dts = (lost.pts or 0) + 90 * 24 * 3600 * 1000
        transcoder = Transcoder(source.streams.audio[0])
        made = transcoded(transcoder, packets)
    assert len(made) < 300
    assert heard_s(played(transcoder, made)) == pytest.approx(expected_s(), abs=SYNC_S)


def test_sound_whose_clock_starts_anew_goes_on() -> None:
    with opened(beeps(KINDS["AC-3 5.1"])) as source:
        packets = packets_of(source)
        for packet in packets:
            packet.pts = packet.dts = (packet.pts or 0) + 600_000
        for packet in packets[60:]:
            packet.pts = packet.dts = (packet.pts or 0) - 600_000
        transcoder = Transcoder(source.streams.audio[0])
        content = played(transcoder, transcoded(transcoder, packets))
    assert [time_s - 600 for time_s in heard_s(content)] == pytest.approx(expected_s(), abs=SYNC_S)


def test_long_hole_is_filled_a_little_at_a_time() -> None:
    with opened(beeps(KINDS["AC-3 5.1"])) as source:
        packets = packets_of(source)
        for packet in packets[60:]:
            packet.pts = packet.dts = (packet.pts or 0) + 120_000
        transcoder = Transcoder(source.streams.audio[0])
        for packet in packets[:60]:
            list(transcoder.packets(packet))
        first = next(transcoder.packets(packets[60]))
        assert 1.5 < at_s(first) < 2.5, "the silence comes before the hole has been filled"
        assert sum(1 for _ in transcoder.packets(packets[61])) > 100


def garbled(packets: list[Packet[Any]], every: int) -> Iterator[Packet[Any]]:
    for n, packet in enumerate(packets):
        if n % every:
            yield packet
            continue
        noise: Packet[Any] = Packet(b"\x5a" * packet.size)
        noise.pts, noise.dts, noise.time_base = packet.pts, packet.dts, packet.time_base
        yield noise


def test_packets_that_cannot_be_decoded_are_counted_and_passed_over() -> None:
    with opened(beeps(KINDS["AC-3 5.1"])) as source:
        transcoder = Transcoder(source.streams.audio[0])
        made = transcoded(transcoder, garbled(packets_of(source), 20))
    assert 0 < transcoder.broken < 10
    assert heard_s(played(transcoder, made))[-1] == pytest.approx(expected_s()[-1], abs=SYNC_S)


def test_too_many_broken_packets_fail_the_source() -> None:
    with opened(beeps(KINDS["AC-3 5.1"])) as source:
        transcoder = Transcoder(source.streams.audio[0])
        with pytest.raises(MediaError) as raised:
            transcoded(transcoder, garbled(packets_of(source), 1))
    assert raised.value.reason is Reason.NOT_MEDIA
    assert transcoder.broken == BROKEN_PACKETS_MIN + 1


def test_track_of_which_nothing_can_be_decoded_fails_the_source() -> None:
    with opened(beeps(KINDS["AC-3 5.1"], 0.5)) as source:
        transcoder = Transcoder(source.streams.audio[0])
        with pytest.raises(MediaError) as raised:
            transcoded(transcoder, garbled(packets_of(source), 1))
    assert raised.value.reason is Reason.NOT_MEDIA


def test_track_without_packets_makes_none() -> None:
    with opened(beeps(KINDS["AC-3 5.1"], 0.5)) as source:
        assert transcoded(Transcoder(source.streams.audio[0]), []) == []


def test_same_sound_gives_the_same_bytes() -> None:
    content = beeps(KINDS["Opus"], 1.0)
    made = []
    for _ in range(2):
        with opened(content) as source:
            transcoder = Transcoder(source.streams.audio[0])
            made.append([bytes(packet) for packet in transcoded(transcoder, packets_of(source))])
    assert made[0] == made[1]


def test_sound_that_changes_its_shape_goes_on() -> None:
    stereo, surround = beeps(KINDS["E-AC-3 stereo in MP4"]), beeps(msgspec.structs.replace(
        KINDS["AC-3 5.1"], codec="eac3", container="mp4"))  # fmt: skip
    with opened(surround) as first, opened(stereo) as second:
        transcoder = Transcoder(first.streams.audio[0])
        mixed = [one for one in packets_of(first) if at_s(one) < 2.2]
        mixed += [one for one in packets_of(second) if at_s(one) >= at_s(mixed[-1]) + 0.03]
        made = transcoded(transcoder, mixed)
    assert heard_s(played(transcoder, made)) == pytest.approx(expected_s(), abs=SYNC_S)
