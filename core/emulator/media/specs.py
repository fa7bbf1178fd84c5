"""Clips to make, in words: what a generated media file is like, and one of each kind that sources serve."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated, Literal

import av
import msgspec

from telecine.core.emulator.sources.faults import Natural

SPEC_VERSION = 2  # raised when the same spec would give other bytes


class Container(StrEnum):
    """A file format, by FFmpeg's name of its muxer."""

    MP4 = "mp4"
    MOV = "mov"
    MKV = "matroska"
    AVI = "avi"
    WEBM = "webm"
    MPEG_TS = "mpegts"


class VideoCodec(StrEnum):
    """A picture codec, by the name of its encoder."""

    H264 = "libx264"
    HEVC = "libx265"
    MPEG4 = "mpeg4"
    VP8 = "libvpx"
    VP9 = "libvpx-vp9"


class AudioCodec(StrEnum):
    """A sound codec, by the name of its encoder."""

    AAC = "aac"
    MP3 = "libmp3lame"
    AC3 = "ac3"
    OPUS = "libopus"


class MediaSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A clip to make. Clips whose `seed`s differ (by less than 360) differ in every frame.

    `noise` (0-100) makes the picture hard to compress; with `video_bytes` the encoder aims at that many bytes.
    `moov_first` and `rotation_deg` (clockwise, when shown) matter to MP4 and MOV, `subtitles` (one line a second) to
    MKV. Key frames stand `gop_frames` apart, by default a second; with `open_gop`, pictures before a key frame look at
    it and back beyond it. `variable_rate` leaves out two of every seven frames; the one before stands so much longer.
    """

    name: str
    container: Container = Container.MP4
    video_codec: VideoCodec = VideoCodec.H264
    audio_codec: AudioCodec | None = AudioCodec.AAC
    width_px: Annotated[int, msgspec.Meta(ge=16, multiple_of=2)] = 640
    height_px: Annotated[int, msgspec.Meta(ge=16, multiple_of=2)] = 360
    seconds: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    frames_per_s: Annotated[int, msgspec.Meta(ge=1)] = 24
    seed: Natural = 0
    noise: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    video_bytes: Annotated[int, msgspec.Meta(ge=1)] | None = None
    moov_first: bool = True
    b_frames: Natural = 0
    subtitles: bool = False
    gop_frames: Annotated[int, msgspec.Meta(ge=1)] | None = None
    open_gop: bool = False
    variable_rate: bool = False
    audio_tracks: Annotated[int, msgspec.Meta(ge=1, le=8)] = 1
    audio_layout: str = "stereo"
    rotation_deg: Literal[0, 90, 180, 270] = 0

    @property
    def digest(self) -> str:
        """Names the clip that this spec makes."""
        content = msgspec.json.encode((SPEC_VERSION, av.__version__, msgspec.structs.replace(self, name="")))
        return hashlib.blake2b(content, digest_size=12).hexdigest()


SAMPLES: dict[str, MediaSpec] = {
    "mp4": MediaSpec(name="first.mp4", seed=1),
    "mp4_moov_last": MediaSpec(name="last.mp4", moov_first=False, b_frames=2, seed=2),
    "mkv": MediaSpec(name="b-frames.mkv", container=Container.MKV, b_frames=2, subtitles=True, seed=3),
    "mkv_ac3": MediaSpec(name="ac3.mkv", container=Container.MKV, audio_codec=AudioCodec.AC3, seed=4),
    "hevc_mp4": MediaSpec(name="hevc.mp4", video_codec=VideoCodec.HEVC, seed=5),
    "hevc_mkv": MediaSpec(name="hevc.mkv", container=Container.MKV, video_codec=VideoCodec.HEVC, b_frames=3, seed=6),
    "avi": MediaSpec(
        name="old.avi", container=Container.AVI, video_codec=VideoCodec.MPEG4, audio_codec=AudioCodec.MP3, seed=7
    ),
    "webm_vp8": MediaSpec(
        name="vp8.webm", container=Container.WEBM, video_codec=VideoCodec.VP8, audio_codec=AudioCodec.OPUS, seed=8
    ),
    "webm_vp9": MediaSpec(
        name="vp9.webm", container=Container.WEBM, video_codec=VideoCodec.VP9, audio_codec=AudioCodec.OPUS, seed=9
    ),
    "silent": MediaSpec(name="silent.mkv", container=Container.MKV, audio_codec=None, b_frames=1, seed=10),
    "big": MediaSpec(
        name="big.mkv",
        container=Container.MKV,
        width_px=1920,
        height_px=1080,
        noise=40,
        video_bytes=12_000_000,
        seed=11,
    ),
}
"""One clip of each kind, by what it is for."""
