from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.core.codes import PART_COUNT_MAX
from telecine.core.config import PlanSettings
from telecine.core.plans import (
    MOOV_BYTES_MAX,
    PART_BYTES,
    TRANSCODED_TRACKS_MAX,
    AudioTrack,
    Expectation,
    PlanKind,
    Probe,
    Recipe,
    SubtitleTrack,
    VideoTrack,
    file_bytes_max,
    plan,
)
from telecine.core.quality import Quality, agrees
from telecine.core.reasons import Reason

MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
MKV = "matroska,webm"
LIMIT = file_bytes_max(premium=False)
H264 = VideoTrack("h264", 1920, 1080, "yuv420p", "avc1")
FILM = Probe(MP4, 1_000_000_000, 6000.0, H264, (AudioTrack("aac"),), moov_first=True, moov_bytes=3_000_000)
EXPECTED = Expectation(Quality.FULL_HD, LIMIT, runtime_s=6100)


def film(**changes: object) -> Probe:
    return msgspec.structs.replace(FILM, **changes)


def matroska(**changes: object) -> Probe:
    return film(**{"container": MKV, "moov_first": None, "moov_bytes": None, **changes})


def sound(*codecs: str) -> tuple[AudioTrack, ...]:
    return tuple(AudioTrack(codec) for codec in codecs)


def video(
    codec: str = "h264", width_px: int = 1920, height_px: int = 1080, pixels: str = "yuv420p", tag: str | None = None
) -> VideoTrack:
    return VideoTrack(codec, width_px, height_px, pixels, tag)


@pytest.mark.parametrize(
    "probe",
    [
        film(),
        film(audio=()),
        film(audio=sound("aac", "mp3")),
        film(video=video("hevc", pixels="yuv420p10le", tag="hvc1")),
        film(video=VideoTrack("h264", 1920, 800)),
        film(size_bytes=LIMIT),
        film(moov_bytes=MOOV_BYTES_MAX),
        film(subtitles=(SubtitleTrack("mov_text"),)),
    ],
)
def test_mp4_that_plays_and_streams_is_sent_as_it_is(probe: Probe) -> None:
    decided = plan(probe, EXPECTED)
    assert (decided.kind, decided.recipe, decided.reason) == (PlanKind.DIRECT, None, None)


@pytest.mark.parametrize(
    ("probe", "recipe", "word"),
    [
        (film(moov_first=False), Recipe(), "in front"),
        (film(moov_bytes=MOOV_BYTES_MAX + 1), Recipe(), str(MOOV_BYTES_MAX + 1)),
        (film(video=video("hevc", tag="hev1")), Recipe(), "hvc1"),
        (film(video=video("hevc")), Recipe(), "hvc1"),
        (film(audio=sound("aac", "ac3")), Recipe(transcode=(1,)), "AC-3"),
        (film(audio=sound("dts")), Recipe(transcode=(0,)), "DTS"),
        (film(audio=sound("opus")), Recipe(transcode=(0,)), "Opus"),
        (film(audio=sound("pcm_s16le")), Recipe(transcode=(0,)), "PCM"),
        (film(audio=sound("aac", "ac4")), Recipe(leave=(1,)), "left behind"),
        (film(audio=sound("ac4", "truehd", "aac", "flac")), Recipe(transcode=(1, 3), leave=(0,)), "TrueHD, FLAC"),
        (matroska(), Recipe(), "Matroska"),
        (matroska(subtitles=(SubtitleTrack("subrip"),)), Recipe(), "Matroska"),
        (matroska(video=video("hevc", tag="[0][0][0][0]")), Recipe(), "Matroska"),
        (matroska(container="avi", video=video("mpeg4"), audio=sound("mp3")), Recipe(), "AVI"),
        (matroska(container="mpegts", audio=sound("aac_latm")), Recipe(transcode=(0,)), "AAC in LATM"),
    ],
)
def test_picture_that_plays_is_copied_into_an_mp4_that_does(probe: Probe, recipe: Recipe, word: str) -> None:
    decided = plan(probe, EXPECTED)
    assert (decided.kind, decided.recipe, decided.reason) == (PlanKind.REMUX, recipe, None)
    assert word in decided.why


@pytest.mark.parametrize(
    ("probe", "word"),
    [
        (matroska(video=video("vp9"), audio=sound("opus")), "VP9"),
        (matroska(video=video("av1")), "AV1"),
        (film(video=video(pixels="yuv420p10le")), "H.264 video in yuv420p10le"),
        (film(video=video(pixels="yuv444p")), "yuv444p"),
        (film(audio=sound("ac4")), "ac4 sound"),
        (film(audio=sound("unknown", "unknown")), "unknown sound"),
    ],
)
def test_what_does_not_play_is_a_document_or_nothing(probe: Probe, word: str) -> None:
    decided = plan(probe, EXPECTED)
    assert (decided.kind, decided.recipe, decided.reason) == (PlanKind.DOCUMENT, None, None)
    assert word in decided.why
    refused = plan(probe, EXPECTED, PlanSettings(documents=False))
    assert (refused.kind, refused.reason) == (PlanKind.REJECT, Reason.NOT_MEDIA)
    assert word in refused.why


def test_sound_is_left_behind_where_the_operator_wants_no_encoding() -> None:
    policy = PlanSettings(transcode_audio=False)
    assert plan(film(audio=sound("dts", "aac")), EXPECTED, policy).recipe == Recipe(leave=(0,))
    assert plan(film(audio=sound("dts", "ac3")), EXPECTED, policy).kind is PlanKind.DOCUMENT
    mute = plan(film(audio=sound("dts")), EXPECTED, PlanSettings(transcode_audio=False, documents=False))
    assert (mute.kind, mute.reason) == (PlanKind.REJECT, Reason.NOT_MEDIA)


def test_only_so_many_tracks_are_encoded() -> None:
    decided = plan(matroska(audio=sound(*["ac3"] * (TRANSCODED_TRACKS_MAX + 2))), EXPECTED)
    assert decided.recipe is not None
    assert len(decided.recipe.transcode) == TRANSCODED_TRACKS_MAX
    assert decided.recipe.leave == (TRANSCODED_TRACKS_MAX, TRANSCODED_TRACKS_MAX + 1)


@pytest.mark.parametrize(
    ("probe", "reason"),
    [
        (film(video=None), Reason.NOT_MEDIA),
        (film(duration_s=60.0), Reason.WRONG_CONTENT),
        (film(duration_s=0.79 * 6100), Reason.WRONG_CONTENT),
        (film(size_bytes=LIMIT + 1, video=video("av1")), Reason.TOO_LARGE),
        (matroska(size_bytes=LIMIT * (PART_COUNT_MAX + 1)), Reason.TOO_LARGE),
    ],
)
def test_what_cannot_be_sent_is_rejected_with_its_reason(probe: Probe, reason: Reason) -> None:
    decided = plan(probe, EXPECTED)
    assert (decided.kind, decided.reason, decided.quality) == (PlanKind.REJECT, reason, None)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_how_short_a_film_may_be_is_the_operators_to_say(share: float) -> None:
    policy = PlanSettings(runtime_share_min=share)
    assert plan(film(duration_s=6100 * share + 1), EXPECTED, policy).kind is PlanKind.DIRECT
    if share:
        assert plan(film(duration_s=6100 * share - 1), EXPECTED, policy).reason is Reason.WRONG_CONTENT


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        (film(duration_s=None), EXPECTED),
        (film(duration_s=60.0), Expectation(Quality.FULL_HD, 1 << 40)),
        (film(video=video(width_px=256, height_px=144)), Expectation(Quality.AUTO, 1 << 40)),
        (film(video=video(width_px=1080, height_px=1920)), EXPECTED),
        (film(video=video(width_px=2560, height_px=1080)), EXPECTED),
    ],
)
def test_what_is_near_enough_or_not_known_is_taken(probe: Probe, expected: Expectation) -> None:
    assert plan(probe, expected).kind is PlanKind.DIRECT


@pytest.mark.parametrize(
    ("declared", "width_px", "height_px", "measured"),
    [
        (Quality.FULL_HD, 1280, 720, Quality.HD),
        (Quality.FULL_HD, 640, 360, Quality.LOW),
        (Quality.HD, 1920, 800, Quality.FULL_HD),
        (Quality.AUTO, 1920, 1080, Quality.FULL_HD),
    ],
)
def test_link_of_another_quality_is_sent_to_the_upload_of_that_quality(
    declared: Quality, width_px: int, height_px: int, measured: Quality
) -> None:
    probe = film(video=video(width_px=width_px, height_px=height_px))
    decided = plan(probe, Expectation(declared, LIMIT))
    assert (decided.kind, decided.reason, decided.quality) == (PlanKind.REJECT, Reason.WRONG_CONTENT, measured)
    assert f"{width_px}x{height_px}" in decided.why
    assert measured.label in decided.why


def test_quality_that_is_not_to_be_corrected_may_be_a_little_lower_than_declared() -> None:
    policy = PlanSettings(correct_quality=False)
    assert plan(film(video=video(width_px=1280, height_px=720)), EXPECTED, policy).kind is PlanKind.DIRECT
    assert plan(film(), Expectation(Quality.AUTO, LIMIT), policy).kind is PlanKind.DIRECT
    low = plan(film(video=video(width_px=640, height_px=360)), EXPECTED, policy)
    assert (low.kind, low.reason, low.quality) == (PlanKind.REJECT, Reason.WRONG_CONTENT, None)


def test_picture_without_a_class_is_no_correction() -> None:
    tiny = plan(film(video=video(width_px=16, height_px=16)), EXPECTED)
    assert (tiny.kind, tiny.reason, tiny.quality) == (PlanKind.REJECT, Reason.WRONG_CONTENT, None)


@pytest.mark.parametrize(
    ("size_bytes", "part_count"),
    [(LIMIT + 1, 2), (int(LIMIT * 1.9), 2), (LIMIT * 2, 3), (8_000_000_000, 4), (40_000_000_000, 20)],
)
def test_film_over_the_limit_is_split_with_a_margin(size_bytes: int, part_count: int) -> None:
    for probe in (film(size_bytes=size_bytes), matroska(size_bytes=size_bytes)):
        decided = plan(probe, EXPECTED)
        assert decided.kind is PlanKind.SPLIT
        assert decided.recipe == Recipe(part_bytes_max=LIMIT, part_count=part_count)
        assert str(part_count) in decided.why


def test_film_is_too_large_where_nothing_is_to_be_split() -> None:
    policy = PlanSettings(split=False)
    assert plan(film(size_bytes=LIMIT + 1), EXPECTED, policy).reason is Reason.TOO_LARGE
    assert plan(matroska(size_bytes=LIMIT + 1), EXPECTED, policy).reason is Reason.TOO_LARGE
    assert plan(matroska(size_bytes=LIMIT), EXPECTED, policy).kind is PlanKind.REMUX


@pytest.mark.parametrize("probe", [film(size_bytes=None), matroska(size_bytes=None, audio=sound("ac3"))])
def test_film_of_unknown_size_fills_files_one_after_the_other(probe: Probe) -> None:
    decided = plan(probe, EXPECTED)
    assert decided.kind is PlanKind.SPLIT
    assert decided.recipe is not None
    assert (decided.recipe.part_bytes_max, decided.recipe.part_count) == (LIMIT, None)
    assert plan(probe, EXPECTED, PlanSettings(split=False)).kind in (PlanKind.DIRECT, PlanKind.REMUX)


def test_film_that_may_grow_over_the_limit_is_not_bound_to_one_file() -> None:
    opus = matroska(size_bytes=LIMIT - 1_000_000, audio=sound("opus"))
    decided = plan(opus, EXPECTED)
    assert decided.kind is PlanKind.SPLIT
    assert decided.recipe == Recipe(transcode=(0,), part_bytes_max=LIMIT, part_count=None)
    assert plan(film(size_bytes=LIMIT), EXPECTED).kind is PlanKind.DIRECT, "what is not muxed does not grow"


def test_document_of_unknown_size_is_tried() -> None:
    assert plan(matroska(size_bytes=None, video=video("av1")), EXPECTED).kind is PlanKind.DOCUMENT


def test_limits_are_telegrams_own() -> None:
    assert file_bytes_max(premium=False) == 2_097_152_000
    assert file_bytes_max(premium=True) == 4_194_304_000
    assert 524_288 % PART_BYTES == 0


codecs = st.sampled_from(
    ["h264", "hevc", "mpeg4", "vp9", "av1", "aac", "mp3", "ac3", "dts", "opus", "pcm_s16le", "unknown", ""]
)
tracks = st.builds(
    VideoTrack,
    codec=codecs,
    width_px=st.integers(0, 10_000),
    height_px=st.integers(0, 10_000),
    pixel_format=st.none() | st.sampled_from(["yuv420p", "yuv420p10le", "gray"]),
    codec_tag=st.none() | st.sampled_from(["avc1", "hvc1", "hev1"]),
)
probes = st.builds(
    Probe,
    container=st.sampled_from([MP4, MKV, "avi", "mpegts", ""]),
    size_bytes=st.none() | st.integers(0, 1 << 45),
    duration_s=st.none() | st.floats(0, 1e6),
    video=st.none() | tracks,
    audio=st.lists(st.builds(AudioTrack, codecs), max_size=12).map(tuple),
    moov_first=st.none() | st.booleans(),
    moov_bytes=st.none() | st.integers(0, 1 << 33),
)
expectations = st.builds(
    Expectation,
    quality=st.sampled_from(Quality),
    file_bytes_max=st.integers(1, 1 << 42),
    runtime_s=st.none() | st.integers(0, 1_000_000),
)
policies = st.builds(
    PlanSettings,
    transcode_audio=st.booleans(),
    split=st.booleans(),
    documents=st.booleans(),
    correct_quality=st.booleans(),
    runtime_share_min=st.floats(0, 1),
)


@given(probes, expectations, policies)
def test_every_probe_gets_a_plan_that_says_why(probe: Probe, expected: Expectation, policy: PlanSettings) -> None:
    decided = plan(probe, expected, policy)
    assert (decided.reason is not None) == (decided.kind is PlanKind.REJECT)
    assert (decided.recipe is not None) == (decided.kind in (PlanKind.REMUX, PlanKind.SPLIT))
    assert decided.why.endswith(".")
    assert decided == plan(probe, expected, policy)
    if decided.kind is PlanKind.DIRECT:
        assert probe.is_mp4
        assert probe.moov_first
        assert set(probe.audio_codecs) <= {"aac", "mp3"}
    if decided.kind is not PlanKind.REJECT:
        assert probe.video is not None
    if decided.kind not in (PlanKind.REJECT, PlanKind.SPLIT) and probe.size_bytes is not None:
        assert probe.size_bytes <= expected.file_bytes_max


@given(probes, expectations, policies)
def test_recipe_keeps_all_that_plays_and_something_that_is_heard(
    probe: Probe, expected: Expectation, policy: PlanSettings
) -> None:
    recipe = plan(probe, expected, policy).recipe
    if recipe is None:
        return
    touched = {*recipe.transcode, *recipe.leave}
    assert len(touched) == len(recipe.transcode) + len(recipe.leave)
    assert touched == {index for index, codec in enumerate(probe.audio_codecs) if codec not in ("aac", "mp3")}
    assert policy.transcode_audio or not recipe.transcode
    assert not probe.audio or len(recipe.leave) < len(probe.audio)
    if recipe.part_bytes_max is None:
        assert recipe.part_count == 1
    else:
        assert policy.split
        assert recipe.part_bytes_max == expected.file_bytes_max
        assert recipe.part_count is None or 2 <= recipe.part_count <= PART_COUNT_MAX


@given(probes, expectations, policies)
def test_corrected_quality_is_one_that_the_picture_agrees_with(
    probe: Probe, expected: Expectation, policy: PlanSettings
) -> None:
    decided = plan(probe, expected, policy)
    if decided.quality is None:
        return
    assert policy.correct_quality
    assert probe.video is not None
    assert (decided.kind, decided.reason) == (PlanKind.REJECT, Reason.WRONG_CONTENT)
    assert not agrees(expected.quality, probe.video.width_px, probe.video.height_px)
    again = plan(probe, msgspec.structs.replace(expected, quality=decided.quality), policy)
    assert again.quality is None, "a link is corrected once"
