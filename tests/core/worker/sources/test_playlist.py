"""What playlists say, rightly or wrongly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from telecine.core.quality import Quality
from telecine.core.reasons import Reason
from telecine.core.worker.sources import playlist
from telecine.core.worker.sources.errors import SourceError
from telecine.core.worker.sources.playlist import Choice, Cipher, Film, Segment, Stretch, looks_like_playlist, parse

BASE = URL("https://films.example/night/train.m3u8?token=1")


def film(*lines: str, end: str = "#EXT-X-ENDLIST") -> Film:
    """The film of a media playlist."""
    found = parse("\n".join(("#EXTM3U", "#EXT-X-TARGETDURATION:9", *lines, end)), BASE, Quality.AUTO)
    assert isinstance(found, Film)
    return found


def refusal(*lines: str, end: str = "#EXT-X-ENDLIST") -> SourceError:
    """Why a playlist is refused."""
    with pytest.raises(SourceError) as raised:
        parse("\n".join(("#EXTM3U", *lines, end)), BASE, Quality.AUTO)
    return raised.value


def chosen(quality: Quality, *lines: str) -> str:
    """Where a master playlist leads."""
    found = parse("\n".join(("#EXTM3U", *lines)), BASE, quality)
    assert isinstance(found, Choice)
    return found.url.rpartition("/")[2]


@pytest.mark.parametrize("head", [b"#EXTM3U", b"#EXTM3U\r\n", b"\xef\xbb\xbf#EXTM3U\n"])
def test_playlist_is_known_by_its_beginning(head: bytes) -> None:
    assert looks_like_playlist(head)


@pytest.mark.parametrize("head", [b"", b"#EXTINF", b"\x47@\x00", b" #EXTM3U"])
def test_nothing_else_is_a_playlist(head: bytes) -> None:
    assert not looks_like_playlist(head)


def test_segments_are_where_the_playlist_is_and_their_lengths_add_up() -> None:
    found = film("#EXTINF:4.5,", "a.ts", "#EXTINF:3.25,", "/b.ts?x=1", "#EXTINF:1,", "https://cdn.example/c.ts")
    assert [segment.bytes_at.url for segment in found.segments] == [
        "https://films.example/night/a.ts",
        "https://films.example/b.ts?x=1",
        "https://cdn.example/c.ts",
    ]
    assert found.duration_s == 8.75
    assert found.head is None


def test_ranges_go_on_where_the_one_before_ended() -> None:
    ranges = ("#EXT-X-BYTERANGE:100@50", "#EXTINF:1,", "a.ts", "#EXT-X-BYTERANGE:30", "#EXTINF:1,", "a.ts")
    found = film(*ranges, "#EXT-X-BYTERANGE:7", "#EXTINF:1,", "b.ts")
    url = "https://films.example/night/a.ts"
    assert [segment.bytes_at for segment in found.segments] == [
        Stretch(url, 50, 100),
        Stretch(url, 150, 30),
        Stretch("https://films.example/night/b.ts", 0, 7),
    ]


def test_key_holds_until_the_next_and_segments_number_their_ivs() -> None:
    found = film(
        "#EXT-X-MEDIA-SEQUENCE:300",
        '#EXT-X-KEY:METHOD=AES-128,URI="k1"',
        "#EXTINF:1,",
        "a.ts",
        "#EXTINF:1,",
        "b.ts",
        '#EXT-X-KEY:METHOD=AES-128,URI="k2",IV=0x0F',
        "#EXTINF:1,",
        "c.ts",
        "#EXT-X-KEY:METHOD=NONE",
        "#EXTINF:1,",
        "d.ts",
    )
    place = "https://films.example/night/"
    assert [segment.cipher for segment in found.segments] == [
        Cipher(place + "k1", (300).to_bytes(16, "big")),
        Cipher(place + "k1", (301).to_bytes(16, "big")),
        Cipher(place + "k2", (15).to_bytes(16, "big")),
        None,
    ]


def test_initialization_section_comes_first() -> None:
    found = film('#EXT-X-MAP:URI="init.mp4",BYTERANGE="700@0"', "#EXTINF:1,", "a.m4s", "#EXTINF:1,", "b.m4s")
    assert found.head == Segment(Stretch("https://films.example/night/init.mp4", 0, 700))


def test_discontinuity_is_where_something_else_may_begin() -> None:
    found = film("#EXTINF:1,", "a.ts", "#EXT-X-DISCONTINUITY", "#EXTINF:1,", "b.ts")
    assert [segment.is_joint for segment in found.segments] == [False, True]


@pytest.mark.parametrize(
    "tag",
    [
        "#EXT-X-TARGETDURATION:9.6",
        "#EXT-X-VERSION:",
        "#EXT-X-PROGRAM-DATE-TIME:2024-01-01 00:00:00 UTC",
        "#EXT-X-BITRATE:812.5",
        "#EXT-X-DISCONTINUITY-SEQUENCE:none",
        "#EXT-X-DATERANGE:none",
        "#EXT-X-START:TIME-OFFSET=none",
        "#EXT-X-SESSION-KEY:none",
        "#EXT-X-CONTENT-STEERING:none",
        "#EXT-X-CUE-OUT:none",
        "# a remark",
    ],
)
def test_tags_that_no_film_is_read_off_may_say_anything(tag: str) -> None:
    assert film(tag, "#EXTINF:4,", tag, "a.ts", tag) == film("#EXTINF:4,", "a.ts")


AES = '#EXT-X-KEY:METHOD=AES-128,URI="k"'
SEGMENT = ("#EXTINF:1,", "a.ts")


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ((), "0 segments"),
        (('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k"', *SEGMENT), "SAMPLE-AES"),
        ((f'{AES},KEYFORMAT="com.apple.streamingkeydelivery"', *SEGMENT), "protected"),
        ((f"{AES},IV=0x1{'0' * 32}", *SEGMENT), "understood"),
        ((f"{AES},IV=nonsense", *SEGMENT), "understood"),
        (("#EXT-X-KEY:METHOD=AES-128", *SEGMENT), "addresses"),
        (("#EXT-X-I-FRAMES-ONLY", *SEGMENT), "pictures"),
        (('#EXT-X-MAP:URI="1"', *SEGMENT, '#EXT-X-MAP:URI="2"', *SEGMENT), "one kind"),
        ((*SEGMENT, '#EXT-X-MAP:URI="2"', *SEGMENT), "one kind"),
        (("#EXTINF:1,", "{$cdn}/a.ts"), "addresses"),
        (("#EXT-X-BYTERANGE:0@0", *SEGMENT), "range"),
        (("#EXT-X-BYTERANGE:x", *SEGMENT), "understood"),
        (("#EXTINF:inf,", "a.ts"), "length"),
        (("#EXTINF:-5,", "a.ts"), "length"),
        (("#EXTINF:x,", "a.ts"), "understood"),
        (("#EXT-X-MEDIA-SEQUENCE:x", *SEGMENT), "understood"),
    ],
)
def test_playlist_that_makes_no_film_says_why(lines: tuple[str, ...], why: str) -> None:
    found = refusal(*lines)
    assert found.reason is Reason.NOT_MEDIA
    assert why in str(found)


def test_live_stream_is_refused() -> None:
    assert "live" in str(refusal(*SEGMENT, end=""))


def test_missing_segments_leave_a_film_truncated() -> None:
    assert refusal(*SEGMENT, "#EXT-X-GAP", "#EXTINF:1,", "b.ts").reason is Reason.TRUNCATED


def test_playlist_of_too_many_segments_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playlist, "SEGMENTS_MAX", 3)
    assert len(film(*SEGMENT * 3).segments) == 3
    assert "4 segments" in str(refusal(*SEGMENT * 4))


# ---- of several qualities ----


def variant(name: str, size: str = "", bandwidth: int = 1, codecs: str = "avc1.4d,mp4a.40.2", audio: str = "") -> str:
    attributes = [f"BANDWIDTH={bandwidth}"]
    attributes += [f"RESOLUTION={size}"] if size else []
    attributes += [f'CODECS="{codecs}"'] if codecs else []
    attributes += [f'AUDIO="{audio}"'] if audio else []
    return f"#EXT-X-STREAM-INF:{','.join(attributes)}\n{name}"


LADDER = (
    variant("360", "640x360", 800),
    variant("1080", "1920x1080", 5000),
    variant("1080hq", "1920x1080", 9000),
    variant("720", "1280x720", 2500),
    variant("sound", bandwidth=9, codecs="mp4a.40.2"),
)


@pytest.mark.parametrize(
    ("quality", "name"),
    [
        (Quality.FULL_HD, "1080hq"),
        (Quality.HD, "720"),
        (Quality.LOW, "360"),
        (Quality.AUTO, "1080hq"),
        (Quality.UHD, "1080hq"),
        (Quality.SD, "1080hq"),
    ],
)
def test_variant_of_the_expected_quality_is_read_or_else_the_best(quality: Quality, name: str) -> None:
    assert chosen(quality, *LADDER) == name


def test_variant_with_its_sound_apart_is_passed_over() -> None:
    apart = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",URI="en.m3u8"'
    within = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="b",NAME="en",DEFAULT=YES'
    best, other = variant("1080", "1920x1080", 5000, audio="a"), variant("720", "1280x720", 2500, audio="b")
    assert chosen(Quality.FULL_HD, apart, within, best, other) == "720"
    with pytest.raises(SourceError, match="apart"):
        chosen(Quality.FULL_HD, apart, best)


def test_variant_with_sound_goes_before_a_larger_one_without() -> None:
    silent = variant("1080", "1920x1080", 5000, codecs="avc1.4d")
    assert chosen(Quality.AUTO, silent, variant("720", "1280x720", 2500)) == "720"
    assert chosen(Quality.FULL_HD, silent, variant("720", "1280x720", 2500)) == "1080"
    assert chosen(Quality.AUTO, silent) == "1080"


def test_playlist_of_sound_alone_names_no_film() -> None:
    with pytest.raises(SourceError, match="no film"):
        chosen(Quality.AUTO, variant("sound", codecs="mp4a.40.2"))


def test_variant_that_says_nothing_of_itself_is_read() -> None:
    assert chosen(Quality.HD, variant("only", codecs="")) == "only"


TAGS = st.sampled_from(
    [
        "#EXTM3U",
        "#EXTINF:",
        "#EXT-X-KEY:",
        "#EXT-X-MAP:",
        "#EXT-X-BYTERANGE:",
        "#EXT-X-STREAM-INF:",
        "#EXT-X-MEDIA:",
        "#EXT-X-MEDIA-SEQUENCE:",
        "#EXT-X-PROGRAM-DATE-TIME:",
        "#EXT-X-DATERANGE:",
        "#EXT-X-PART:",
        "#EXT-X-SKIP:",
        "#EXT-X-START:",
        "#EXT-X-TARGETDURATION:",
        "#EXT-X-CUE-OUT:",
        "#EXT-X-SERVER-CONTROL:",
        "#EXT-X-ENDLIST",
        "",
    ]
)
VALUES = st.sampled_from(
    ["METHOD=AES-128", 'URI="a"', "BANDWIDTH=1", "RESOLUTION=1x", "1", "1@2", ",", "=", "x.ts", "inf"]
)
LINES = st.tuples(TAGS, st.lists(VALUES | st.text(max_size=6), max_size=4).map(",".join)).map("".join)


@given(st.lists(LINES, max_size=12), st.sampled_from(Quality))
def test_any_text_makes_a_film_or_a_refusal(lines: list[str], quality: Quality) -> None:
    found: Film | Choice | Reason
    try:
        found = parse("\n".join(["#EXTM3U", *lines]), BASE, quality)
    except SourceError as error:
        found = error.reason
    assert isinstance(found, Film | Choice) or found in {Reason.NOT_MEDIA, Reason.GONE, Reason.TRUNCATED}
