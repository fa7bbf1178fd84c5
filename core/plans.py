"""What to do with a source: a pure function of what the probe found and what Telegram allows.

direct    a streamable MP4 with `moov` in front: the HTTP body is piped into upload parts
remux     right codecs in another container, in fragments, with `moov` at the end, or beside sound that does not play:
          stream copy into MP4, muxed straight into parts
document  a video that does not play without re-encoding: sent unchanged, as a document
reject    no video, far from the declared runtime or quality, over the limit: the next source
"""

from __future__ import annotations

import enum

import msgspec

from telecine.core import quality as quality_classes
from telecine.core.config import PlanSettings
from telecine.core.quality import Quality
from telecine.core.reasons import Reason

PART_BYTES = 512 * 1024  # upload.saveBigFilePart: 524288 % part_size == 0
PARTS_MAX = 4000  # appConfig upload_max_fileparts_default
PARTS_MAX_PREMIUM = 8000  # appConfig upload_max_fileparts_premium
SMALL_FILE_BYTES_MAX = 10 * 1024 * 1024  # over this, saveBigFilePart is obligatory
MOOV_BYTES_MAX = 8 * 1024 * 1024  # at about 9 MB Telegram's players stop streaming

USUAL_POLICY = PlanSettings()

RUNTIME_RATIO_MIN = 0.8  # a file shorter than this share of the declared runtime is not the whole title
QUALITY_HEIGHT_RATIO_MIN = 0.6  # a frame lower than this share of the declared height is mislabelled

# What phones decode in hardware: eight bits, and for HEVC ten as well.
_EIGHT_BIT = frozenset({"yuv420p", "yuvj420p"})
PIXEL_FORMATS_PLAYABLE = {"h264": _EIGHT_BIT, "hevc": _EIGHT_BIT | {"yuv420p10le"}, "mpeg4": _EIGHT_BIT}
VIDEO_CODECS_PLAYABLE = frozenset(PIXEL_FORMATS_PLAYABLE)
AUDIO_CODECS_PLAYABLE = frozenset({"aac", "mp3", "ac3", "eac3"})


def file_bytes_max(*, premium: bool) -> int:
    """The largest file that an account may upload: 2,097,152,000 or 4,194,304,000 bytes."""
    return PART_BYTES * (PARTS_MAX_PREMIUM if premium else PARTS_MAX)


class VideoTrack(msgspec.Struct, frozen=True):
    """`codec` is FFmpeg's name. Width and height as displayed: anamorphic pictures stretched, turned ones turned.

    `codec_tag` is what the container calls the codec (`avc1`, `hvc1`, `hev1`), `rotation_deg` how far players turn the
    picture clockwise (0, 90, 180, 270), `dynamic_range` is set where it is more than the usual (`HDR10`, `HLG`,
    `Dolby Vision`). `bit_rate` in bits a second; None for whatever the source does not say.
    """

    codec: str
    width_px: int
    height_px: int
    pixel_format: str | None = None
    codec_tag: str | None = None
    rotation_deg: int = 0
    frames_per_s: float | None = None
    bit_rate: int | None = None
    dynamic_range: str | None = None


class AudioTrack(msgspec.Struct, frozen=True):
    """`codec` is FFmpeg's name; `language` as the source spells it (`eng`), `bit_rate` in bits a second."""

    codec: str
    channels: int | None = None
    sample_rate_hz: int | None = None
    language: str | None = None
    title: str | None = None
    bit_rate: int | None = None


class SubtitleTrack(msgspec.Struct, frozen=True):
    """`codec` is FFmpeg's name: `subrip`, `ass`, `hdmv_pgs_subtitle`, `mov_text`."""

    codec: str
    language: str | None = None
    title: str | None = None


class Probe(msgspec.Struct, frozen=True):
    """What a source is, as far as a few hundred KiB of it tell.

    `container` is FFmpeg's demuxer name (`mov,mp4,...`, `matroska,webm`, `avi`); `moov_first`, `moov_at` (offset) and
    `moov_bytes` are None outside MP4, and `moov_first` is False for an MP4 in fragments; `size_bytes` is None where
    the host does not say. `audio` holds every sound track, in the order of the file: recipes count in it.
    """

    container: str
    size_bytes: int | None
    duration_s: float | None
    video: VideoTrack | None
    audio: tuple[AudioTrack, ...] = ()
    subtitles: tuple[SubtitleTrack, ...] = ()
    moov_first: bool | None = None
    moov_bytes: int | None = None
    moov_at: int | None = None
    bit_rate: int | None = None

    @property
    def is_mp4(self) -> bool:
        return "mp4" in self.container.split(",")

    @property
    def audio_codecs(self) -> tuple[str, ...]:
        return tuple(track.codec for track in self.audio)


class Recipe(msgspec.Struct, frozen=True):
    """How MP4s are made of a source. The picture is copied, subtitles stay behind.

    `transcode` and `leave` are indexes into `Probe.audio`: sound that becomes AAC, and sound that is left behind; all
    other sound is copied. `part_bytes_max` None makes one file of any size; `part_count` is how many files are planned,
    None where only the end tells.
    """

    transcode: tuple[int, ...] = ()
    leave: tuple[int, ...] = ()
    part_bytes_max: int | None = None
    part_count: int | None = 1


class PlanKind(enum.StrEnum):
    DIRECT = "direct"
    REMUX = "remux"
    SPLIT = "split"
    DOCUMENT = "document"
    REJECT = "reject"


class Plan(msgspec.Struct, frozen=True):
    """What to do and why. `reason` is set for REJECT only, `recipe` for REMUX and SPLIT.

    `quality` is the measured one where it contradicts the expected: the file belongs to another upload.
    """

    kind: PlanKind
    why: str
    reason: Reason | None = None
    recipe: Recipe | None = None
    quality: Quality | None = None


class Expectation(msgspec.Struct, frozen=True):
    """What the catalogue says about the file and what the account allows."""

    quality: Quality
    file_bytes_max: int
    runtime_s: int | None = None


def plan(probe: Probe, expected: Expectation, policy: PlanSettings = USUAL_POLICY) -> Plan:
    """Decide. Total: every probe gets a plan."""
    return _rejection(probe, expected) or _upload(probe)


def _rejection(probe: Probe, expected: Expectation) -> Plan | None:
    if probe.video is None:
        return _reject(Reason.NOT_MEDIA, f"{probe.container} without a video track")
    if probe.size_bytes is not None and probe.size_bytes > expected.file_bytes_max:
        return _reject(Reason.TOO_LARGE, f"{probe.size_bytes} bytes, the limit is {expected.file_bytes_max}")
    if (
        expected.runtime_s
        and probe.duration_s is not None
        and probe.duration_s < expected.runtime_s * RUNTIME_RATIO_MIN
    ):
        return _reject(Reason.WRONG_CONTENT, f"runs {probe.duration_s:.0f} s of {expected.runtime_s} s")
    height_px = expected.quality.height_px
    measured = quality_classes.of_frame(probe.video.width_px, probe.video.height_px)
    if height_px and (measured.height_px or 0) < height_px * QUALITY_HEIGHT_RATIO_MIN:
        frame = f"{probe.video.width_px}x{probe.video.height_px}"
        return _reject(Reason.WRONG_CONTENT, f"{frame} is far from {expected.quality.label}")
    return None


def _upload(probe: Probe) -> Plan:
    unplayable = _unplayable(probe)
    if unplayable:
        return Plan(PlanKind.DOCUMENT, f"{unplayable} does not play inside Telegram")
    dropped = [codec for codec in probe.audio_codecs if codec not in AUDIO_CODECS_PLAYABLE]
    if dropped:
        return Plan(PlanKind.REMUX, f"keeps the sound that plays, leaves {dropped[0]} behind")
    if not probe.is_mp4:
        codec = probe.video.codec if probe.video else "no"
        return Plan(PlanKind.REMUX, f"{codec} video in {probe.container}")
    if not probe.moov_first:
        return Plan(PlanKind.REMUX, "an MP4 whose index is not in front")
    if (probe.moov_bytes or 0) > MOOV_BYTES_MAX:
        return Plan(PlanKind.REMUX, f"an MP4 whose index of {probe.moov_bytes} bytes keeps it from streaming")
    return Plan(PlanKind.DIRECT, "an MP4 that starts with its index")


def _unplayable(probe: Probe) -> str | None:
    """What in a source no player inside Telegram can be relied on for."""
    video = probe.video
    if video is None or video.codec not in VIDEO_CODECS_PLAYABLE:
        return f"{video.codec if video else 'no'} video"
    if video.pixel_format and video.pixel_format not in PIXEL_FORMATS_PLAYABLE[video.codec]:
        return f"{video.codec} video in {video.pixel_format}"
    if probe.audio_codecs and AUDIO_CODECS_PLAYABLE.isdisjoint(probe.audio_codecs):
        return f"{probe.audio_codecs[0]} audio"
    return None


def _reject(reason: Reason, why: str) -> Plan:
    return Plan(PlanKind.REJECT, why, reason)
