"""Draws the picture and the sound of a `MediaSpec` and encodes them, by FFmpeg's own test sources."""

from __future__ import annotations

import heapq
import io
import math
from collections.abc import Iterator
from typing import Any, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.filter import Graph
from av.packet import Packet
from av.subtitles.stream import SubtitleStream
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from telecine.core.emulator.media.specs import AudioCodec, MediaSpec, VideoCodec

AUDIO_RATE_HZ = 48_000
LEFT_OUT = (3, 4)  # frames of every seven, where the rate varies


def encode(spec: MediaSpec, out: OutputContainer) -> None:
    """Write the tracks of `spec` into an open container."""
    video = _video_stream(spec, out)
    audio = [_audio_stream(spec, spec.audio_codec, out) for _ in range(spec.audio_tracks) if spec.audio_codec]
    with av.open(io.BytesIO(_subtitle_lines(spec)), format="srt") as subtitles:
        lines = _lines(cast("InputContainer", subtitles), out) if spec.subtitles else iter(())
        sound = [_encoded_sound(spec, track, number) for number, track in enumerate(audio)]
        for packet in _in_time_order(_encoded_picture(spec, video), *sound, lines):
            out.mux(packet)


def _in_time_order(*tracks: Iterator[Packet[Any]]) -> Iterator[Packet[Any]]:
    """Sound and lines beside their picture, so that the muxer has nothing to hold back."""
    return heapq.merge(*tracks, key=_decoded_at)


def _decoded_at(packet: Packet[Any]) -> float:
    return float((packet.dts or 0) * packet.time_base)


def _encoded_picture(spec: MediaSpec, stream: VideoStream) -> Iterator[Packet[Any]]:
    for frame in _picture(spec):
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _encoded_sound(spec: MediaSpec, stream: AudioStream, number: int) -> Iterator[Packet[Any]]:
    for frame in _sound(spec, stream.codec_context, number):
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _lines(subtitles: InputContainer, out: OutputContainer) -> Iterator[Packet[Any]]:
    stream = out.add_stream_from_template(subtitles.streams.subtitles[0])
    return _moved(subtitles, stream)


def _moved(subtitles: InputContainer, stream: SubtitleStream) -> Iterator[Packet[Any]]:
    for packet in subtitles.demux():
        if packet.size:
            packet.stream = stream
            yield packet


def _video_stream(spec: MediaSpec, out: OutputContainer) -> VideoStream:
    stream = out.add_stream(spec.video_codec.value, rate=spec.frames_per_s, options=_encoder_options(spec))
    assert isinstance(stream, VideoStream)  # noqa: S101 - all our VideoCodecs are
    stream.width, stream.height, stream.pix_fmt = spec.width_px, spec.height_px, "yuv420p"
    context = stream.codec_context
    context.gop_size = spec.gop_frames or spec.frames_per_s
    context.thread_count = 1  # the bytes must not depend on the number of cores
    if spec.video_codec not in (VideoCodec.VP8, VideoCodec.VP9):
        context.max_b_frames = spec.b_frames
    if spec.video_bytes:
        context.bit_rate = _bits_per_s(spec)
    elif spec.video_codec is VideoCodec.MPEG4:
        context.bit_rate = spec.width_px * spec.height_px * 4
    return stream


def _encoder_options(spec: MediaSpec) -> dict[str, str]:
    match spec.video_codec:
        case VideoCodec.H264:
            options = {"preset": "ultrafast", "bf": str(spec.b_frames)}
            if spec.open_gop:
                options |= {"flags": "-cgop", "x264-params": "open-gop=1:b-pyramid=normal:ref=2:b-adapt=0:scenecut=0"}
            return {**options, **_constant_rate(spec)} if spec.video_bytes else {**options, "crf": "28"}
        case VideoCodec.HEVC:
            keys = f"keyint={spec.gop_frames or spec.frames_per_s}:open-gop={int(spec.open_gop)}"
            x265 = f"log-level=none:pools=none:frame-threads=1:bframes={spec.b_frames}:{keys}"
            return {"preset": "ultrafast", "x265-params": x265}
        case VideoCodec.VP8 | VideoCodec.VP9:
            return {"deadline": "realtime", "cpu-used": "8"}
        case VideoCodec.MPEG4:
            return {"flags": "+bitexact"}


def _constant_rate(spec: MediaSpec) -> dict[str, str]:
    """Keeps x264 at the bit rate asked for, filled up where the picture is too simple for it."""
    rate = str(_bits_per_s(spec))
    return {"maxrate": rate, "bufsize": str(_bits_per_s(spec) // 4), "x264-params": "nal-hrd=cbr"}


def _bits_per_s(spec: MediaSpec) -> int:
    return int((spec.video_bytes or 0) * 8 / spec.seconds)


def _audio_stream(spec: MediaSpec, codec: AudioCodec, out: OutputContainer) -> AudioStream:
    stream = out.add_stream(codec.value, rate=AUDIO_RATE_HZ)
    assert isinstance(stream, AudioStream)  # noqa: S101 - all our AudioCodecs are
    stream.codec_context.layout = spec.audio_layout
    stream.codec_context.bit_rate = 96_000 if spec.audio_layout == "stereo" else 384_000
    stream.codec_context.open()
    return stream


def _subtitle_lines(spec: MediaSpec) -> bytes:
    """A SubRip file with one line a second."""
    lines = (
        f"{second + 1}\n00:{second // 60:02}:{second % 60:02},000 --> 00:{second // 60:02}:{second % 60:02},900\n"
        f"Second {second}\n"
        for second in range(math.ceil(spec.seconds))
    )
    return "\n".join(lines).encode()


def _picture(spec: MediaSpec) -> Iterator[VideoFrame]:
    size = f"size={spec.width_px}x{spec.height_px}:rate={spec.frames_per_s}:duration={spec.seconds}"
    filters = [("testsrc2", size), ("hue", f"h={spec.seed * 47 % 360}:s={1 + spec.seed % 3}")]
    if spec.noise:
        filters.append(("noise", f"alls={spec.noise}:allf=t:all_seed={spec.seed + 1}"))
    filters.append(("format", "yuv420p"))
    for frame in _pull(filters, "buffersink"):
        if isinstance(frame, VideoFrame) and not (spec.variable_rate and (frame.pts or 0) % 7 in LEFT_OUT):
            frame.pict_type = PictureType.NONE  # test sources call every frame a key frame, and encoders obey
            yield frame


def _sound(spec: MediaSpec, context: AudioCodecContext, number: int) -> Iterator[AudioFrame]:
    tone = (
        f"frequency={220 + (spec.seed * 31 + number * 110) % 660}:sample_rate={AUDIO_RATE_HZ}:duration={spec.seconds}"
    )
    shape = f"sample_fmts={context.format.name}:channel_layouts={spec.audio_layout}"
    samples = f"n={context.frame_size or 1024}:p=0"
    for frame in _pull([("sine", tone), ("aformat", shape), ("asetnsamples", samples)], "abuffersink"):
        if isinstance(frame, AudioFrame):
            yield frame


def _pull(filters: list[tuple[str, str]], sink: str) -> Iterator[VideoFrame | AudioFrame]:
    graph = Graph()
    graph.link_nodes(*(graph.add(name, arguments) for name, arguments in filters), graph.add(sink))
    graph.configure()
    while True:
        try:
            frame = graph.pull()
        except EOFError:
            return
        yield frame
