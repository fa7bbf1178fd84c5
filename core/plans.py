"""What to do with a source: a pure function of what the probe found, what Telegram allows and what the operator wants.

direct    a streamable MP4 with `moov` in front: the HTTP body is piped into upload parts
remux     a picture that plays, but another container, an index at the end, sound that does not play: the picture is
          copied into an MP4, sound becomes AAC where it must, muxed straight into parts
split     the same into several MP4s, where one would be over the account's limit
document  a video that does not play without re-encoding its picture: sent unchanged, as a document
reject    no video, far from the declared runtime, of another quality, over the limit: the next source
"""

from __future__ import annotations

import enum
import math

import msgspec

from telecine.core import codecs
from telecine.core import quality as quality_classes
from telecine.core.codecs import AUDIO_CODECS_PLAYABLE
from telecine.core.codes import PART_COUNT_MAX
from telecine.core.config import PlanSettings
from telecine.core.quality import Quality
from telecine.core.reasons import Reason

PART_BYTES = 512 * 1024  # upload.saveBigFilePart: 524288 % part_size == 0
PARTS_MAX = 4000  # appConfig upload_max_fileparts_default
PARTS_MAX_PREMIUM = 8000  # appConfig upload_max_fileparts_premium
SMALL_FILE_BYTES_MAX = 10 * 1024 * 1024  # over this, saveBigFilePart is obligatory
MOOV_BYTES_MAX = 8 * 1024 * 1024  # at about 9 MB Telegram's players stop streaming

USUAL_POLICY = PlanSettings()
QUALITY_HEIGHT_RATIO_MIN = 0.6  # a frame lower than this share of the declared height is mislabelled
TRANSCODED_TRACKS_MAX = 8  # each costs about a fortieth of its length on one core
FILL_SHARE = 0.97  # of the limit, on average: cuts fall on key frames
PICTURE_INDEX_BYTES_PER_S = 1500  # of an MP4: sixty frames, of which no two in a row are alike
SOUND_INDEX_BYTES_PER_S = 600
SOUND_BYTES_PER_S_MAX = 48_000  # of a track that became AAC


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
    """Decide. Total: every probe gets a plan, and every plan says why in a sentence or two."""
    return _rejection(probe, expected, policy) or _upload(probe, expected, policy)


def _rejection(probe: Probe, expected: Expectation, policy: PlanSettings) -> Plan | None:
    if probe.video is None:
        return _reject(Reason.NOT_MEDIA, f"There is no film in it ({probe.container or 'unknown'}), only other tracks.")
    if (
        expected.runtime_s
        and probe.duration_s is not None
        and probe.duration_s < expected.runtime_s * policy.runtime_share_min
    ):
        return _reject(
            Reason.WRONG_CONTENT,
            f"It runs {probe.duration_s:.0f} s of the {expected.runtime_s} s that the whole title runs.",
        )
    return _other_quality(probe.video, expected.quality, policy)


def _other_quality(video: VideoTrack, declared: Quality, policy: PlanSettings) -> Plan | None:
    frame = f"{video.width_px}x{video.height_px}"
    measured = quality_classes.of_frame(video.width_px, video.height_px)
    if measured is not Quality.AUTO and policy.correct_quality:
        if quality_classes.agrees(declared, video.width_px, video.height_px):
            return None
        said = "and the link does not say so" if declared is Quality.AUTO else f"not {declared.label}"
        return _reject(Reason.WRONG_CONTENT, f"The picture is {frame}: that is {measured.label}, {said}.", measured)
    if (measured.height_px or 0) < (declared.height_px or 0) * QUALITY_HEIGHT_RATIO_MIN:
        return _reject(Reason.WRONG_CONTENT, f"The picture is {frame}: that is far from {declared.label}.")
    return None


def _upload(probe: Probe, expected: Expectation, policy: PlanSettings) -> Plan:
    recipe = _recipe(probe.audio, policy)
    obstacle = _unplayable_picture(probe.video)
    if not obstacle and probe.audio and len(recipe.leave) == len(probe.audio):
        obstacle = f"{codecs.name(probe.audio[0].codec)} sound"
    if obstacle:
        return _document(probe, expected, policy, f"Telegram does not play {obstacle}")
    why = _why_muxed(probe, recipe)
    size_bytes, limit = probe.size_bytes, expected.file_bytes_max
    if not why and (not policy.split if size_bytes is None else size_bytes <= limit):
        return Plan(PlanKind.DIRECT, "It is an MP4 that plays and starts with its index: it is sent as it is.")
    return _muxed(probe, recipe, expected, policy, why)


def _muxed(probe: Probe, recipe: Recipe, expected: Expectation, policy: PlanSettings, why: list[str]) -> Plan:
    size_bytes, limit = probe.size_bytes, expected.file_bytes_max
    made_bytes = None if size_bytes is None else _made_bytes_max(probe, recipe, size_bytes)
    if policy.split and (made_bytes is None or made_bytes > limit):
        return _split(probe, recipe, limit, made_bytes, why)
    if size_bytes is not None and size_bytes > limit:
        return _too_large(probe, limit)
    return Plan(PlanKind.REMUX, " ".join(why), recipe=recipe)


def _split(probe: Probe, recipe: Recipe, limit: int, made_bytes: int | None, why: list[str]) -> Plan:
    count: int | None = None
    if probe.size_bytes is None or made_bytes is None:
        why = [*why, "How large it is shows only at its end: each file is filled up."]
    elif probe.size_bytes <= limit:
        why = [*why, "It may come out larger than one file may be: what is over goes into the next."]
    else:
        count = math.ceil(made_bytes / (limit * FILL_SHARE))
        why = [f"It is larger than one file may be and becomes {count}.", *why]
    if count is not None and count > PART_COUNT_MAX:
        return _too_large(probe, limit)
    recipe = msgspec.structs.replace(recipe, part_bytes_max=limit, part_count=count)
    return Plan(PlanKind.SPLIT, " ".join(why), recipe=recipe)


def _document(probe: Probe, expected: Expectation, policy: PlanSettings, why: str) -> Plan:
    if not policy.documents:
        return _reject(Reason.NOT_MEDIA, f"{why}, and films that do not play are not wanted.")
    if probe.size_bytes is not None and probe.size_bytes > expected.file_bytes_max:
        return _too_large(probe, expected.file_bytes_max, f"{why}, and documents cannot be split. ")
    return Plan(PlanKind.DOCUMENT, f"{why}: it is sent unchanged, as a document.")


def _recipe(audio: tuple[AudioTrack, ...], policy: PlanSettings) -> Recipe:
    """What becomes of the sound: nothing that plays is touched."""
    mute = [index for index, track in enumerate(audio) if track.codec not in AUDIO_CODECS_PLAYABLE]
    able = [index for index in mute if policy.transcode_audio and codecs.becomes_aac(audio[index].codec)]
    transcode = tuple(able[:TRANSCODED_TRACKS_MAX])
    return Recipe(transcode=transcode, leave=tuple(index for index in mute if index not in transcode))


def _why_muxed(probe: Probe, recipe: Recipe) -> list[str]:
    """What keeps a film that plays from being sent as it is, in sentences."""
    why = []
    if not probe.is_mp4:
        why.append(f"It is {_container_name(probe.container)}, and Telegram streams only MP4.")
    elif not probe.moov_first:
        why.append("Its index is not in front of the film, which keeps it from streaming.")
    elif (probe.moov_bytes or 0) > MOOV_BYTES_MAX:
        why.append(f"Its index of {probe.moov_bytes} bytes keeps it from streaming.")
    video = probe.video
    if probe.is_mp4 and video and video.codec == "hevc" and video.codec_tag != codecs.HEVC_TAG:
        why.append(f"Its HEVC is not called {codecs.HEVC_TAG}, and Apple's players take no other.")
    if recipe.transcode:
        why.append(f"{_names(probe, recipe.transcode)} sound does not play and becomes AAC.")
    if recipe.leave:
        why.append(f"{_names(probe, recipe.leave)} sound does not play and is left behind.")
    return why


def _unplayable_picture(video: VideoTrack | None) -> str | None:
    """What of a picture no player inside Telegram can be relied on for."""
    if video is None or video.codec not in codecs.VIDEO_CODECS_PLAYABLE:
        return f"{codecs.name(video.codec) if video else 'no'} video"
    if video.pixel_format and video.pixel_format not in codecs.PIXEL_FORMATS_PLAYABLE[video.codec]:
        return f"{codecs.name(video.codec)} video in {video.pixel_format}"
    return None if video.width_px > 0 and video.height_px > 0 else "video of no known size"


def _made_bytes_max(probe: Probe, recipe: Recipe, size_bytes: int) -> int:
    """How large the MP4s together can become: the source, a new index, and sound that was smaller before."""
    if probe.duration_s is None:
        return size_bytes + MOOV_BYTES_MAX
    tracks = len(probe.audio) - len(recipe.leave)
    index_bytes_per_s = PICTURE_INDEX_BYTES_PER_S + SOUND_INDEX_BYTES_PER_S * tracks
    more_bytes_per_s = index_bytes_per_s + SOUND_BYTES_PER_S_MAX * len(recipe.transcode)
    return size_bytes + math.ceil(probe.duration_s * more_bytes_per_s)


def _names(probe: Probe, indexes: tuple[int, ...]) -> str:
    return ", ".join(dict.fromkeys(codecs.name(probe.audio[index].codec) for index in indexes))


def _container_name(container: str) -> str:
    return {
        "matroska,webm": "a Matroska file",
        "avi": "an AVI file",
        "mpegts": "an MPEG transport stream",
        "mpeg": "an MPEG program stream",
        "asf": "a Windows Media file",
        "flv": "a Flash file",
    }.get(container, f"a file of the kind {container or 'unknown'}")


def _too_large(probe: Probe, limit: int, why: str = "") -> Plan:
    return _reject(Reason.TOO_LARGE, f"{why}It has {probe.size_bytes} bytes, the account's limit is {limit}.")


def _reject(reason: Reason, why: str, quality: Quality | None = None) -> Plan:
    return Plan(PlanKind.REJECT, why, reason, quality=quality)
