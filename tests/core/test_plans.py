from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.core.plans import (
    MOOV_BYTES_MAX,
    PART_BYTES,
    AudioTrack,
    Expectation,
    PlanKind,
    Probe,
    SubtitleTrack,
    VideoTrack,
    file_bytes_max,
    plan,
)
from telecine.core.quality import Quality
from telecine.core.reasons import Reason

MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
MKV = "matroska,webm"
H264 = VideoTrack("h264", 1920, 1080, "yuv420p")
FILM = Probe(MP4, 1_000_000_000, 6000.0, H264, (AudioTrack("aac"),), moov_first=True, moov_bytes=3_000_000)
EXPECTED = Expectation(Quality.FULL_HD, file_bytes_max(premium=False), runtime_s=6100)


def film(**changes: object) -> Probe:
    return msgspec.structs.replace(FILM, **changes)


def sound(*codecs: str) -> tuple[AudioTrack, ...]:
    return tuple(AudioTrack(codec) for codec in codecs)


def video(codec: str = "h264", width_px: int = 1920, height_px: int = 1080, pixels: str = "yuv420p") -> VideoTrack:
    return VideoTrack(codec, width_px, height_px, pixels)


@pytest.mark.parametrize(
    ("probe", "kind"),
    [
        (film(), PlanKind.DIRECT),
        (film(audio=sound()), PlanKind.DIRECT),
        (film(audio=sound("aac", "ac3")), PlanKind.DIRECT),
        (film(video=video("hevc", pixels="yuv420p10le")), PlanKind.DIRECT),
        (film(video=VideoTrack("h264", 1920, 800)), PlanKind.DIRECT),
        (film(moov_first=False), PlanKind.REMUX),
        (film(moov_bytes=MOOV_BYTES_MAX + 1), PlanKind.REMUX),
        (film(container=MKV, moov_first=None), PlanKind.REMUX),
        (film(container=MKV, moov_first=None, subtitles=(SubtitleTrack("subrip"),)), PlanKind.REMUX),
        (film(container="avi", moov_first=None, video=video("mpeg4"), audio=sound("mp3")), PlanKind.REMUX),
        (film(audio=sound("dts", "ac3")), PlanKind.REMUX),
        (film(audio=sound("dts")), PlanKind.DOCUMENT),
        (film(container=MKV, video=video("vp9"), audio=sound("opus"), moov_first=None), PlanKind.DOCUMENT),
        (film(container=MKV, video=video("av1"), moov_first=None), PlanKind.DOCUMENT),
        (film(video=video(pixels="yuv420p10le")), PlanKind.DOCUMENT),
        (film(video=video(pixels="yuv444p")), PlanKind.DOCUMENT),
    ],
)
def test_what_plays_is_sent_to_play(probe: Probe, kind: PlanKind) -> None:
    decided = plan(probe, EXPECTED)
    assert decided.kind is kind
    assert decided.reason is None
    assert decided.why


@pytest.mark.parametrize(
    ("probe", "reason"),
    [
        (film(video=None), Reason.NOT_MEDIA),
        (film(size_bytes=file_bytes_max(premium=False) + 1), Reason.TOO_LARGE),
        (film(duration_s=60.0), Reason.WRONG_CONTENT),
        (film(duration_s=0.79 * 6100), Reason.WRONG_CONTENT),
        (film(video=video(width_px=640, height_px=360)), Reason.WRONG_CONTENT),
        (film(video=video(width_px=16, height_px=16)), Reason.WRONG_CONTENT),
    ],
)
def test_what_is_not_the_film_is_rejected_with_its_reason(probe: Probe, reason: Reason) -> None:
    decided = plan(probe, EXPECTED)
    assert (decided.kind, decided.reason) == (PlanKind.REJECT, reason)


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        (film(duration_s=None), EXPECTED),
        (film(duration_s=0.81 * 6100), EXPECTED),
        (film(duration_s=60.0), Expectation(Quality.FULL_HD, 1 << 40)),
        (film(video=video(width_px=640, height_px=360)), Expectation(Quality.AUTO, 1 << 40)),
        (film(video=video(width_px=1280, height_px=720)), EXPECTED),
        (film(video=video(width_px=1080, height_px=1920)), EXPECTED),
        (film(size_bytes=None), EXPECTED),
        (film(size_bytes=file_bytes_max(premium=False)), EXPECTED),
        (film(size_bytes=file_bytes_max(premium=True)), Expectation(Quality.UHD, file_bytes_max(premium=True))),
    ],
)
def test_what_is_near_enough_or_not_known_is_taken(probe: Probe, expected: Expectation) -> None:
    if expected.quality is Quality.UHD:
        probe = msgspec.structs.replace(probe, video=video(width_px=3840, height_px=2160))
    assert plan(probe, expected).kind is PlanKind.DIRECT


def test_limits_are_telegrams_own() -> None:
    assert file_bytes_max(premium=False) == 2_097_152_000
    assert file_bytes_max(premium=True) == 4_194_304_000
    assert 524_288 % PART_BYTES == 0


codecs = st.sampled_from(["h264", "hevc", "mpeg4", "vp9", "av1", "aac", "ac3", "dts", "opus", "unknown", ""])
tracks = st.builds(
    VideoTrack,
    codec=codecs,
    width_px=st.integers(0, 10_000),
    height_px=st.integers(0, 10_000),
    pixel_format=st.none() | st.sampled_from(["yuv420p", "yuv420p10le", "gray"]),
)
probes = st.builds(
    Probe,
    container=st.sampled_from([MP4, MKV, "avi", "mpegts", ""]),
    size_bytes=st.none() | st.integers(0, 1 << 45),
    duration_s=st.none() | st.floats(0, 1e6),
    video=st.none() | tracks,
    audio=st.lists(st.builds(AudioTrack, codecs), max_size=3).map(tuple),
    moov_first=st.none() | st.booleans(),
    moov_bytes=st.none() | st.integers(0, 1 << 33),
)
expectations = st.builds(
    Expectation,
    quality=st.sampled_from(Quality),
    file_bytes_max=st.integers(0, 1 << 42),
    runtime_s=st.none() | st.integers(0, 1_000_000),
)


@given(probes, expectations)
def test_every_probe_gets_a_plan(probe: Probe, expected: Expectation) -> None:
    decided = plan(probe, expected)
    assert (decided.reason is not None) == (decided.kind is PlanKind.REJECT)
    assert decided.why
    if decided.kind is PlanKind.DIRECT:
        assert probe.is_mp4
        assert probe.moov_first
    if decided.kind is not PlanKind.REJECT:
        assert probe.video is not None
        assert probe.size_bytes is None or probe.size_bytes <= expected.file_bytes_max
