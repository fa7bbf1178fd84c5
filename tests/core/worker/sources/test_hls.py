"""Films that come as playlists, read as one stream."""

from __future__ import annotations

import io
import random
from pathlib import Path

import av
import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from hypothesis import given
from hypothesis import strategies as st

from telecine.core.emulator.media.files import generate
from telecine.core.emulator.media.specs import SAMPLES
from telecine.core.emulator.sources.faults import SourceFaultKind as Fault
from telecine.core.quality import Quality
from telecine.core.reasons import Reason
from telecine.core.worker.sources import hls
from telecine.core.worker.sources.decipher import Decipher
from telecine.core.worker.sources.errors import OrderError, SourceError
from telecine.core.worker.sources.source import Source
from telecine.core.worker.sources.streamed import StreamedSource
from telecine.core.worker.sources.transport import kinds_of_tracks

from .conftest import PATIENT, Hosted, Names, Proxy, running, whole

KEY, IV = b"sixteen byte key", bytes(range(16))
SIZES = (700_000, 1, 188 * 5000, 65_536, 300_001)
SEGMENTS = [b"\x47" + random.Random(size).randbytes(size - 1) for size in SIZES]


def encrypted(plain: bytes, key: bytes = KEY, iv: bytes = IV) -> bytes:
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES128(key), modes.CBC(iv)).encryptor()
    return encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()


def playlist(sources: Hosted, *lines: str, name: str = "film.m3u8") -> str:
    """Has the host serve a playlist of these lines."""
    text = "\n".join(("#EXTM3U", "#EXT-X-TARGETDURATION:9", *lines, "#EXT-X-ENDLIST"))
    sources.add(name, text.encode())
    return name


def film(sources: Hosted, name: str = "film.m3u8") -> str:
    """Has the host serve a film in segments."""
    for number, segment in enumerate(SEGMENTS):
        sources.add(f"{number}.ts", segment)
    lines = [line for number in range(len(SEGMENTS)) for line in ("#EXTINF:4.5,", f"{number}.ts")]
    return playlist(sources, *lines, name=name)


@pytest.mark.parametrize("name", ["film.m3u8", "film.mp4", "film"])
async def test_segments_make_one_stream_whatever_the_link_is_called(name: str, sources: Hosted) -> None:
    async with sources.open(film(sources, name)) as source:
        assert (source.size_bytes, source.supports_ranges, source.stamp) == (None, False, None)
        assert source.duration_s == 4.5 * len(SEGMENTS)
        assert source.content_type == "video/mp2t"
        assert await source.read(0, 1000) == SEGMENTS[0][:1000]
        assert await whole(source) == b"".join(SEGMENTS)


async def test_stream_is_read_to_and_fro_from_its_start(sources: Hosted) -> None:
    stream = b"".join(SEGMENTS)
    async with sources.open(film(sources)) as source:
        assert await source.read(1_000_000, 100) == stream[1_000_000:1_000_100]
        assert await source.read(5, 100) == stream[5:105]
        assert await source.read(len(stream) - 5, 100) == stream[-5:]
        assert await whole(source) == stream


async def test_each_segment_is_asked_for_once(sources: Hosted) -> None:
    async with sources.open(film(sources)) as source:
        await source.read(0, 500_000)
        await whole(source)
        assert source.bytes_read >= sum(SIZES)
    assert [sources.host.count(f"{number}.ts").requests for number in range(1, len(SIZES))] == [1] * (len(SIZES) - 1)


@pytest.mark.parametrize("segment_type", ["mpegts", "fmp4"])
async def test_film_that_was_segmented_by_ffmpeg_decodes_as_before(
    segment_type: str, sources: Hosted, tmp_path: Path
) -> None:
    original = generate(msgspec.structs.replace(SAMPLES["mp4"], width_px=320, height_px=180), tmp_path)
    pictures = segmented(original, sources.folder / "film.m3u8", segment_type)
    async with sources.open("film.m3u8") as source:
        stream = await whole(source)
        declared_s = source.duration_s or 0.0
    with av.open(io.BytesIO(stream), "r") as container:
        assert len(list(container.decode(video=0))) == pictures
    with av.open(str(original), "r") as container:
        assert declared_s == pytest.approx((container.duration or 0) / av.time_base, abs=0.5)


def segmented(original: Path, target: Path, segment_type: str) -> int:
    """Cuts a film into segments beside their playlist; the number of its pictures."""
    options = {"hls_time": "1", "hls_playlist_type": "vod", "hls_segment_type": segment_type}
    with av.open(str(original)) as film, av.open(str(target), "w", format="hls", options=options) as made:
        streams = {stream: made.add_stream_from_template(stream) for stream in film.streams if stream.type == "video"}
        pictures = 0
        for packet in film.demux(list(streams)):
            if packet.dts is not None:
                pictures += 1
                packet.stream = streams[packet.stream]
                made.mux(packet)
    return pictures


def transport_stream(tmp_path: Path, **spec: object) -> bytes:
    """A short film as a transport stream."""
    small = msgspec.structs.replace(SAMPLES["mp4"], width_px=320, height_px=180, **spec)
    with av.open(str(generate(small, tmp_path)), "r") as film, av.open(str(tmp_path / "a.ts"), "w") as made:
        streams = {stream: made.add_stream_from_template(stream) for stream in film.streams}
        for packet in film.demux(list(streams)):
            if packet.dts is not None:
                packet.stream = streams[packet.stream]
                made.mux(packet)
    return (tmp_path / "a.ts").read_bytes()


async def test_what_is_joined_has_to_have_the_same_tracks(sources: Hosted, tmp_path: Path) -> None:
    spoken = sources.add("spoken.ts", transport_stream(tmp_path))
    silent = sources.add("silent.ts", transport_stream(tmp_path, audio_codec=None))
    assert kinds_of_tracks(spoken) == (0x1B, 0x0F)  # H.264 and AAC
    assert kinds_of_tracks(silent) == (0x1B,)
    same = playlist(sources, "#EXTINF:1,", "spoken.ts", "#EXT-X-DISCONTINUITY", "#EXTINF:1,", "spoken.ts")
    async with sources.open(same) as source:
        assert await whole(source) == spoken * 2
    other = playlist(sources, "#EXTINF:1,", "spoken.ts", "#EXT-X-DISCONTINUITY", "#EXTINF:1,", "silent.ts")
    assert (await sources.failure(other)).reason is Reason.NOT_MEDIA


@given(st.binary(max_size=600))
def test_any_bytes_have_tracks_or_none(data: bytes) -> None:
    packets = b"".join(b"G@\0\x10\0" + data[at : at + 183].ljust(183, b"\xff") for at in range(0, len(data), 183))
    for found in (kinds_of_tracks(data), kinds_of_tracks(packets)):
        assert found is None or all(0 <= kind < 256 for kind in found)


# ---- encryption and ranges ----


async def test_encrypted_segments_are_decrypted(sources: Hosted) -> None:
    sources.add("key", KEY)
    for number, segment in enumerate(SEGMENTS):
        sources.add(f"{number}.ts", encrypted(segment, iv=number.to_bytes(16, "big")))
    sources.add("last.ts", encrypted(SEGMENTS[0]))
    lines = [line for number in range(len(SEGMENTS)) for line in ("#EXTINF:1,", f"{number}.ts")]
    last = (f'#EXT-X-KEY:METHOD=AES-128,URI="key",IV=0x{IV.hex()}', "#EXTINF:1,", "last.ts")
    name = playlist(sources, '#EXT-X-KEY:METHOD=AES-128,URI="key"', *lines, *last)
    async with sources.open(name) as source:
        assert await whole(source) == b"".join(SEGMENTS) + SEGMENTS[0]
    assert sources.host.count("key").requests <= 4  # not once a segment


async def test_segments_that_are_ranges_of_one_file_are_read(sources: Hosted) -> None:
    sources.add("all.ts", b"".join(SEGMENTS))
    ranges = [line for size in SIZES for line in (f"#EXT-X-BYTERANGE:{size}", "#EXTINF:1,", "all.ts")]
    async with sources.open(playlist(sources, *ranges)) as source:
        assert await whole(source) == b"".join(SEGMENTS)


@pytest.mark.parametrize("is_encrypted", [True, False])
async def test_initialization_section_may_or_may_not_be_encrypted(is_encrypted: bool, sources: Hosted) -> None:
    head = b"\0\0\0\x18ftyp" + bytes(16)
    sources.add("key", KEY)
    sources.add("init.mp4", encrypted(head) if is_encrypted else head)
    sources.add("a.m4s", encrypted(SEGMENTS[0]))
    key = f'#EXT-X-KEY:METHOD=AES-128,URI="key",IV=0x{IV.hex()}'
    name = playlist(sources, key, '#EXT-X-MAP:URI="init.mp4"', "#EXTINF:1,", "a.m4s")
    async with sources.open(name) as source:
        assert source.content_type == "video/mp4"
        assert await whole(source) == head + SEGMENTS[0]


@pytest.mark.parametrize(
    ("key", "segment", "reason"),
    [
        (KEY[:15], encrypted(SEGMENTS[3]), Reason.NOT_MEDIA),
        (KEY + b"\n", encrypted(SEGMENTS[3]), Reason.NOT_MEDIA),
        (KEY, encrypted(SEGMENTS[3])[:-5], Reason.TRUNCATED),
        (KEY, encrypted(SEGMENTS[3])[:-16], Reason.TRUNCATED),
    ],
)
async def test_what_cannot_be_decrypted_is_refused(key: bytes, segment: bytes, reason: Reason, sources: Hosted) -> None:
    sources.add("key", key)
    sources.add("a.ts", segment)
    iv = f"IV=0x{IV.hex()}"
    name = playlist(sources, f'#EXT-X-KEY:METHOD=AES-128,URI="key",{iv}', "#EXTINF:1,", "a.ts")
    assert (await sources.failure(name)).reason is reason


@pytest.mark.parametrize("step", [1, 15, 16, 17, 4096])
def test_decryption_does_not_depend_on_how_bytes_come(step: int) -> None:
    plain, decipher = SEGMENTS[3][:5000], Decipher(KEY, IV)
    packed = encrypted(plain)
    pieces = [decipher.update(packed[at : at + step]) for at in range(0, len(packed), step)]
    assert b"".join(pieces) + decipher.finish() == plain


# ---- choices ----


async def test_quality_that_is_asked_for_is_read(sources: Hosted) -> None:
    film(sources, "720.m3u8")
    sources.add("large.ts", b"\x47large")
    playlist(sources, "#EXTINF:1,", "large.ts", name="1080.m3u8")
    master = (
        "#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=1280x720\n720.m3u8",
        "#EXT-X-STREAM-INF:BANDWIDTH=2,RESOLUTION=1920x1080\n1080.m3u8",
    )
    name = playlist(sources, *master)
    async with sources.open(name, quality=Quality.HD) as source:
        assert await whole(source) == b"".join(SEGMENTS)
    async with sources.open(name) as source:
        assert await whole(source) == b"\x47large"


async def test_playlist_that_leads_to_itself_is_refused(sources: Hosted) -> None:
    name = playlist(sources, "#EXT-X-STREAM-INF:BANDWIDTH=1\nfilm.m3u8")
    assert (await sources.failure(name)).reason is Reason.NOT_MEDIA


async def test_choice_that_is_no_playlist_is_refused(sources: Hosted) -> None:
    sources.add("720.m3u8", b"\x47 nothing of the kind")
    name = playlist(sources, "#EXT-X-STREAM-INF:BANDWIDTH=1\n720.m3u8")
    assert (await sources.failure(name)).reason is Reason.NOT_MEDIA


# ---- what goes wrong ----


@pytest.mark.parametrize(
    ("fault", "numbers", "reason"),
    [
        (Fault.DEAD, {}, Reason.GONE),
        (Fault.DEAD, {"status": 403}, Reason.FORBIDDEN),
        (Fault.RATE_LIMITED, {}, Reason.RATE_LIMITED),
        (Fault.HTML_PAGE, {}, Reason.NOT_MEDIA),
        (Fault.COMPRESSED, {}, Reason.NOT_MEDIA),
        (Fault.STALL, {"after_bytes": 100}, Reason.STALLED),
        (Fault.TRUNCATED, {"after_bytes": 10}, Reason.TRUNCATED),
        (Fault.REDIRECT_LOOP, {}, Reason.GONE),
        (Fault.REDIRECT, {"location": "file:///etc/passwd"}, Reason.FORBIDDEN),
    ],
)
async def test_segment_that_fails_is_the_links_failure(
    fault: Fault, numbers: dict[str, object], reason: Reason, sources: Hosted
) -> None:
    name = film(sources)
    sources.break_link("2.ts", fault, **numbers)
    assert (await sources.failure(name)).reason is reason


@pytest.mark.parametrize(
    "page", [b"\r\n <!DOCTYPE html><p>gone", b"\xef\xbb\xbf<html>", b'<?xml version="1.0"?><Error/>', b""]
)
async def test_page_in_place_of_a_segment_is_no_part_of_the_film(page: bytes, sources: Hosted) -> None:
    name = film(sources)
    sources.add("2.ts", page)
    assert (await sources.failure(name)).reason is Reason.NOT_MEDIA


async def test_segment_that_breaks_off_is_taken_up_again(sources: Hosted) -> None:
    name = film(sources)
    sources.break_link("2.ts", Fault.TRUNCATED, after_bytes=300_000, count=1)
    sources.break_link("4.ts", Fault.TRUNCATED, after_bytes=100_000, count=1)
    sources.break_link("4.ts", Fault.NO_RANGES)
    async with sources.open(name, PATIENT) as source:
        assert await whole(source) == b"".join(SEGMENTS)


@pytest.mark.parametrize("what", ["segment", "key", "init", "variant"])
@pytest.mark.parametrize("place", ["http://169.254.169.254/secret", "file:///etc/passwd"])
async def test_playlist_does_not_lead_into_the_own_network(what: str, place: str, sources: Hosted) -> None:
    sources.add("a.ts", SEGMENTS[0])
    lines = {
        "segment": ("#EXTINF:1,", place),
        "key": (f'#EXT-X-KEY:METHOD=AES-128,URI="{place}"', "#EXTINF:1,", "a.ts"),
        "init": (f'#EXT-X-MAP:URI="{place}"', "#EXTINF:1,", "a.ts"),
        "variant": (f"#EXT-X-STREAM-INF:BANDWIDTH=1\n{place}",),
    }[what]
    name = playlist(sources, *lines)
    async with running(proxy := Proxy()) as address:
        url = f"http://films.example:{sources.port}/media/{name}"
        with pytest.raises(SourceError) as raised:
            await sources.read(url, Names("8.8.8.8"), proxy=address, allow_private_sources=False)
    assert raised.value.reason is Reason.FORBIDDEN
    assert all("films.example" in asked for asked in proxy.asked)


async def test_segment_without_bounds_is_cut_off(sources: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hls, "SEGMENT_BYTES_MAX", 500_000)
    assert (await sources.failure(film(sources))).reason is Reason.NOT_MEDIA


async def test_stream_that_has_to_be_read_in_another_order_says_so(sources: Hosted) -> None:
    async with sources.open(film(sources)) as source:
        with pytest.raises(OrderError):
            await to_and_fro(source)


async def to_and_fro(source: Source) -> None:
    """Reads what is not remembered any more, again and again."""
    assert isinstance(source, StreamedSource)
    for _ in range(9):
        await source.read(1_900_000, 10)
        source._blocks.clear()
