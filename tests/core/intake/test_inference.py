from __future__ import annotations

import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.core.intake.inference import TEXT_CHARS_MAX, Evidence, Inferred, infer, of_declared, of_playlist
from telecine.core.quality import Quality

CDN = "https://cdn.example"
HEIGHTS = [quality for quality in Quality if quality is not Quality.AUTO]


@pytest.mark.parametrize(
    ("path", "quality", "evidence"),
    [
        # sizes
        ("/Film.1920x800.mkv", Quality.FULL_HD, Evidence.SIZE),
        ("/film_1280x534.mp4", Quality.HD, Evidence.SIZE),
        ("/film 3840×1600.mp4", Quality.UHD, Evidence.SIZE),
        ("/reel_1080x1920.mp4", Quality.FULL_HD, Evidence.SIZE),
        ("/film.1280x720p50.ts", Quality.HD, Evidence.SIZE),
        ("/film.1280x720.mp4?quality=1080", Quality.HD, Evidence.SIZE),
        ("/film 640x264.mp4", Quality.LOW, Evidence.SIZE),
        # tokens
        ("/Night.Train.2019.1080p.WEB-DL.mkv", Quality.FULL_HD, Evidence.TOKEN),
        ("/Night%20Train%20%282019%29%20%5B720p%5D.mkv", Quality.HD, Evidence.TOKEN),
        ("/NIGHT_TRAIN_576I.avi", Quality.PAL, Evidence.TOKEN),
        ("/night.train.1080p60.mp4", Quality.FULL_HD, Evidence.TOKEN),
        ("/night.train.720p25fps.mp4", Quality.HD, Evidence.TOKEN),
        ("/night.train.816p.mp4", Quality.HD, Evidence.TOKEN),
        ("/night.train.1080pHEVC.mkv", Quality.FULL_HD, Evidence.TOKEN),
        ("/video480p.mp4", Quality.SD, Evidence.TOKEN),
        ("/night.HD720p.mp4", Quality.HD, Evidence.TOKEN),
        ("/night/hd1080/film", Quality.FULL_HD, Evidence.TOKEN),
        ("/电影1080p高清.mp4", Quality.FULL_HD, Evidence.TOKEN),
        ("/1080p/night.train.480p.mkv", Quality.SD, Evidence.TOKEN),
        ("/480p.the.film.1080p.mkv", Quality.FULL_HD, Evidence.TOKEN),
        ("/night.720p.x264-FHD.mkv", Quality.HD, Evidence.TOKEN),
        ("/night.4K.remastered.1080p.mkv", Quality.FULL_HD, Evidence.TOKEN),
        ("/get?file=Night.Train.1080p.mkv", Quality.FULL_HD, Evidence.TOKEN),
        ("/get?url=https%3A%2F%2Fother.example%2FNight.720p.mkv%3Fid%3D1", Quality.HD, Evidence.TOKEN),
        ("/Night.360p.mkv?quality=1080", Quality.LOW, Evidence.TOKEN),
        # the query
        ("/play?quality=1080", Quality.FULL_HD, Evidence.QUERY),
        ("/play?id=7&Quality=fhd", Quality.FULL_HD, Evidence.QUERY),
        ("/play?res=ultra+hd", Quality.UHD, Evidence.QUERY),
        ("/uhd/play?height=720", Quality.HD, Evidence.QUERY),
        # words
        ("/Night.Train.UHD.BluRay.mkv", Quality.UHD, Evidence.WORD),
        ("/4k/night-train.mkv", Quality.UHD, Evidence.WORD),
        ("/night-train-FullHD.mkv", Quality.FULL_HD, Evidence.WORD),
        ("/4k/night-train-fhd.mkv", Quality.FULL_HD, Evidence.WORD),
        # bare numbers
        ("/hls/abc/1080/index.m3u8", Quality.FULL_HD, Evidence.NUMBER),
        ("/hls/720/1080.m3u8", Quality.FULL_HD, Evidence.NUMBER),
        ("/night_train_480.mp4", Quality.SD, Evidence.NUMBER),
        ("/night train 2019 720 x264-CREW.mkv", Quality.HD, Evidence.NUMBER),
        ("/night train 480 x265.mkv", Quality.SD, Evidence.NUMBER),
        ("/show.s01e03.720.mkv", Quality.HD, Evidence.NUMBER),
        ("/abc/360.mp4", Quality.LOW, Evidence.NUMBER),
    ],
)
def test_quality_is_read_off_the_url(path: str, quality: Quality, evidence: Evidence) -> None:
    assert infer(CDN + path) == Inferred(quality, evidence)


@pytest.mark.parametrize(
    "path",
    [
        "/play?id=1080",
        "/play%3Fid%3D1080",
        "/play?w=1080&h=720",
        "/channel/720/play",
        "/channel/720/index.m3u8",
        "/channels/720.mp4",
        "/s/720.mp4",
        "/news/1080",
        "/episode-720.mp4",
        "/One Piece - 720.mkv",
        "/720.Degrees.mkv",
        "/v/1a480bXyz720p",
        "/1a480bXyz720p.mp4",
        "/dQw4w9WgXcQ1080pA.mp4",
        "/night.hd.mkv",
        "/night-SD.mp4",
        "/HDTV/night.mkv",
        "/night.2k.mkv",
        "/night.4K.Remaster.mkv",
        "/night.DS4K.mkv",
        "/thumb_9999x100.jpg",
        "/1080.Film.mkv",
        "/night.144p.mp4",
        "/night.9999p.mp4",
        "/release-1080px.mp4",
        "/user/1080",
        "",
        "/",
    ],
)
def test_nothing_is_invented_where_no_quality_is_spelled(path: str) -> None:
    assert infer(CDN + path) == Inferred(Quality.AUTO, Evidence.NONE)


@pytest.mark.parametrize("url", ["https://1080p.example/film.mkv", "https://u:720p@cdn.example/film"])
def test_host_and_scheme_are_no_evidence(url: str) -> None:
    assert infer(url).quality is Quality.AUTO


@pytest.mark.parametrize(
    ("declared", "quality"),
    [
        ("1080p", Quality.FULL_HD),
        (" 1080 ", Quality.FULL_HD),
        ("1920x800", Quality.FULL_HD),
        ("WEB-DL 720p", Quality.HD),
        ("4K", Quality.UHD),
        ("Full HD", Quality.FULL_HD),
        ("2160P", Quality.UHD),
        ("HD 720p", Quality.HD),
        ("hd", None),
        ("SD", None),
        ("auto", None),
        ("", None),
        ("7", None),
        ("12345", None),
        ("best", None),
    ],
)
def test_declared_quality_counts_where_it_names_one(declared: str, quality: Quality | None) -> None:
    assert of_declared(declared) is quality


def test_field_of_cm_comes_before_everything_else() -> None:
    inferred = infer(f"{CDN}/film.1920x1080.2160p.mkv", declared="480p", name="film.720p")
    assert inferred == Inferred(Quality.SD, Evidence.FIELD)


def test_field_that_decides_nothing_leaves_it_to_the_url() -> None:
    assert infer(f"{CDN}/film.1080p.mkv", declared="HD") == Inferred(Quality.FULL_HD, Evidence.TOKEN)


def test_name_given_by_cm_comes_before_the_url() -> None:
    assert infer(f"{CDN}/film.1080p.mkv", name="Film 720p") == Inferred(Quality.HD, Evidence.TOKEN)


def test_stronger_kind_in_the_url_comes_before_a_weaker_one_in_the_name() -> None:
    assert infer(f"{CDN}/film.1280x720.mkv", name="Film 1080p") == Inferred(Quality.HD, Evidence.SIZE)


PLAYLIST = """#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=640x360,CODECS="avc1"
360/index.m3u8
#EXT-X-STREAM-INF:RESOLUTION=1920x800,BANDWIDTH=4000000
1080/index.m3u8
"""


def test_playlist_gives_its_tallest_resolution() -> None:
    assert infer(f"{CDN}/film.480p.m3u8", playlist=PLAYLIST) == Inferred(Quality.FULL_HD, Evidence.PLAYLIST)


@pytest.mark.parametrize(
    "text", ["", "<html>1080p</html>", "#EXTM3U\n#EXTINF:9,\na.ts", "#EXT-X-STREAM-INF:RESOLUTION=0x0"]
)
def test_text_that_lists_no_resolution_gives_none(text: str) -> None:
    assert of_playlist(text) is None


@given(
    quality=st.sampled_from(HEIGHTS), title=st.from_regex(r"[A-Za-z ]{1,20}", fullmatch=True), times=st.integers(0, 3)
)
def test_token_is_found_however_often_the_name_was_encoded(quality: Quality, title: str, times: int) -> None:
    name = f"{title} [{quality.label}] film.mkv"
    for _ in range(times):
        name = urllib.parse.quote(name, safe="")
    assert infer(f"{CDN}/{name}") == Inferred(quality, Evidence.TOKEN)


@given(url=st.text(max_size=300), declared=st.none() | st.text(max_size=40), name=st.none() | st.text(max_size=80))
def test_no_text_is_too_strange(url: str, declared: str | None, name: str | None) -> None:
    inferred = infer(url, declared=declared, name=name)
    assert (inferred.quality is Quality.AUTO) == (inferred.evidence is Evidence.NONE)


@given(st.text(alphabet="%0123456789xXpPiK4kfhdFHDuU-_./ ?&=qt", max_size=200))
def test_texts_full_of_half_tokens_are_read_without_error(url: str) -> None:
    assert infer(url) == infer(url)


@pytest.mark.parametrize("unit", ["1080", "hd", "%25", "1x", "4k ", "a1080pB", "/720", "Aa"])
def test_long_texts_take_no_longer_than_their_length(unit: str) -> None:
    infer(f"{CDN}/" + unit * TEXT_CHARS_MAX)
