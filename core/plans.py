"""What to do with a source: a pure function of what the probe found and what Telegram allows.

direct    a streamable MP4 with `moov` in front: the HTTP body is piped into upload parts
remux     right codecs, wrong container or `moov` at the end: stream copy into MP4, muxed straight into parts
document  a video that does not play without re-encoding: sent unchanged, as a document
reject    no video, far from the declared runtime or quality, over the limit: the next source
"""

from __future__ import annotations

import enum

import msgspec

from telecine.core import quality as quality_classes
from telecine.core.leases import Reason
from telecine.core.quality import Quality

PART_BYTES = 512 * 1024  # upload.saveBigFilePart: 524288 % part_size == 0
PARTS_MAX = 4000  # appConfig upload_max_fileparts_default
PARTS_MAX_PREMIUM = 8000  # appConfig upload_max_fileparts_premium
SMALL_FILE_BYTES_MAX = 10 * 1024 * 1024  # over this, saveBigFilePart is obligatory

RUNTIME_RATIO_MIN = 0.8  # a file shorter than this share of the declared runtime is not the whole title
QUALITY_HEIGHT_RATIO_MIN = 0.6  # a frame lower than this share of the declared height is mislabelled

VIDEO_CODECS_PLAYABLE = frozenset({"h264", "hevc", "mpeg4"})
AUDIO_CODECS_PLAYABLE = frozenset({"aac", "mp3", "ac3", "eac3"})


def file_bytes_max(*, premium: bool) -> int:
    """The largest file that an account may upload: 2,097,152,000 or 4,194,304,000 bytes."""
    return PART_BYTES * (PARTS_MAX_PREMIUM if premium else PARTS_MAX)


class VideoTrack(msgspec.Struct, frozen=True):
    """`codec` is FFmpeg's name. Width and height as displayed (anamorphic pictures stretched to their width)."""

    codec: str
    width_px: int
    height_px: int
    pixel_format: str | None = None


class Probe(msgspec.Struct, frozen=True):
    """What a source is, as far as a few hundred KiB of it tell.

    `container` is FFmpeg's demuxer name (`mov,mp4,...`, `matroska,webm`, `avi`); `moov_first` is None outside MP4
    and False for an MP4 in fragments; `size_bytes` is None where the host does not say.
    """

    container: str
    size_bytes: int | None
    duration_s: float | None
    video: VideoTrack | None
    audio_codecs: tuple[str, ...] = ()
    subtitle_codecs: tuple[str, ...] = ()
    moov_first: bool | None = None
    moov_bytes: int | None = None

    @property
    def is_mp4(self) -> bool:
        return "mp4" in self.container.split(",")


class PlanKind(enum.StrEnum):
    DIRECT = "direct"
    REMUX = "remux"
    DOCUMENT = "document"
    REJECT = "reject"


class Plan(msgspec.Struct, frozen=True):
    """What to do and why. `reason` is set for REJECT only."""

    kind: PlanKind
    why: str
    reason: Reason | None = None


class Expectation(msgspec.Struct, frozen=True):
    """What the catalogue says about the file and what the account allows."""

    quality: Quality
    file_bytes_max: int
    runtime_s: int | None = None


def plan(probe: Probe, expected: Expectation) -> Plan:
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
    assert probe.video is not None  # noqa: S101 - _rejection has seen to it
    foreign = [c for c in probe.audio_codecs if c not in AUDIO_CODECS_PLAYABLE]
    if probe.video.codec not in VIDEO_CODECS_PLAYABLE:
        return Plan(PlanKind.DOCUMENT, f"{probe.video.codec} video does not play inside Telegram")
    if foreign:
        return Plan(PlanKind.DOCUMENT, f"{foreign[0]} audio does not play inside Telegram")
    if probe.is_mp4 and probe.moov_first:
        return Plan(PlanKind.DIRECT, "an MP4 that starts with its index")
    if probe.is_mp4:
        return Plan(PlanKind.REMUX, "an MP4 with its index at the end")
    return Plan(PlanKind.REMUX, f"{probe.video.codec} video in {probe.container}")


def _reject(reason: Reason, why: str) -> Plan:
    return Plan(PlanKind.REJECT, why, reason)
