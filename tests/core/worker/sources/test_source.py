from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from tests.clocks import JumpingClock

from telecine.core.emulator.sources.faults import SourceFaultKind as Fault
from telecine.core.reasons import Reason
from telecine.core.worker.sources.body import Stamp
from telecine.core.worker.sources.errors import RETRY_AFTER_S_MAX, OrderError, refusal
from telecine.core.worker.sources.source import Source, SourceError
from telecine.core.worker.sources.streamed import BLOCK_BYTES, RESTARTS_MAX, StreamedSource

from .conftest import PATIENT, QUICK, Hosted, whole

NAME = "film.mkv"
CONTENT = random.Random(7).randbytes(3_000_000)


@pytest.fixture(autouse=True)
def film(sources: Hosted) -> None:
    sources.add(NAME, CONTENT)


async def to_and_fro(source: Source) -> None:
    for _ in range(10):
        await source.read(2_000_000, 10)
        await source.read(200_000, 10)
        assert isinstance(source, StreamedSource)
        source._blocks.clear()


# ---- reading ----


async def test_source_says_what_the_host_says(sources: Hosted) -> None:
    async with sources.open(NAME) as source:
        assert source.size_bytes == len(CONTENT)
        assert source.supports_ranges
        assert source.content_type == "video/x-matroska"


async def test_whole_file_comes_in_order_with_few_requests(sources: Hosted) -> None:
    async with sources.open(NAME) as source:
        assert await whole(source) == CONTENT
        assert source.bytes_read == len(CONTENT)
    assert sources.host.count(NAME).requests == 2
    assert sources.host.count(NAME).bytes_sent == len(CONTENT)


@pytest.mark.parametrize("start", [1, BLOCK_BYTES, 100_000, 1_000_001, len(CONTENT) - 1, len(CONTENT)])
async def test_file_comes_from_any_start(start: int, sources: Hosted) -> None:
    async with sources.open(NAME) as source:
        assert await whole(source, start) == CONTENT[start:]


async def test_reads_anywhere_bring_the_bytes_that_are_there(sources: Hosted) -> None:
    places = random.Random(3)
    async with sources.open(NAME) as source:
        for _ in range(60):
            offset, length = places.randrange(len(CONTENT) + 10_000), places.randrange(1, 400_000)
            assert await source.read(offset, length) == CONTENT[offset : offset + length]
        assert await whole(source) == CONTENT
        assert await source.read(5, 7) == CONTENT[5:12]


async def test_reading_on_asks_for_more_each_time_until_it_asks_for_the_rest(sources: Hosted) -> None:
    async with sources.open(NAME) as source:
        for offset in range(0, len(CONTENT), 300_000):
            assert await source.read(offset, 300_000) == CONTENT[offset : offset + 300_000]
    assert sources.host.count(NAME).requests <= 6


async def test_head_and_tail_are_asked_for_once(sources: Hosted) -> None:
    async with sources.open(NAME) as source:
        for _ in range(3):
            await source.read(0, 1000)
            await source.read(len(CONTENT) - 1000, 1000)
        assert source.bytes_read <= 4 * BLOCK_BYTES
    assert sources.host.count(NAME).requests == 2


async def test_small_jump_ahead_reads_through(sources: Hosted) -> None:
    async with sources.open(NAME) as source:
        await source.read(0, BLOCK_BYTES)
        assert await source.read(BLOCK_BYTES + 10, 10) == CONTENT[BLOCK_BYTES + 10 : BLOCK_BYTES + 20]
    assert sources.host.count(NAME).requests == 1


@pytest.mark.parametrize("fault", [Fault.NO_RANGES, Fault.NO_LENGTH])
async def test_host_without_ranges_is_read_from_its_start_again(fault: Fault, sources: Hosted) -> None:
    sources.break_link(NAME, fault)
    async with sources.open(NAME) as source:
        assert not source.supports_ranges
        assert source.size_bytes == (len(CONTENT) if fault is Fault.NO_RANGES else None)
        assert await source.read(2_000_000, 1000) == CONTENT[2_000_000:2_001_000]
        assert await source.read(200_000, 1000) == CONTENT[200_000:201_000]
        assert await source.read(len(CONTENT) - 5, 1000) == CONTENT[-5:]
        assert await source.read(len(CONTENT) + BLOCK_BYTES, 1000) == b""
        assert await whole(source) == CONTENT


async def test_host_without_ranges_is_not_asked_for_the_start_for_ever(sources: Hosted) -> None:
    sources.break_link(NAME, Fault.NO_RANGES)
    async with sources.open(NAME) as source:
        with pytest.raises(OrderError):
            await to_and_fro(source)
    assert sources.host.count(NAME).requests == 1 + RESTARTS_MAX


async def test_unread_rest_is_given_up_when_the_source_is_closed(sources: Hosted) -> None:
    async with sources.boot() as boot:
        async with boot.open(sources.of(NAME)) as source:
            async for _ in source.chunks():
                break
        async with boot.open(sources.of(NAME)) as source:
            assert await whole(source) == CONTENT


# ---- what goes wrong ----


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (404, Reason.GONE),
        (410, Reason.GONE),
        (401, Reason.FORBIDDEN),
        (403, Reason.FORBIDDEN),
        (451, Reason.FORBIDDEN),
        (408, Reason.NETWORK),
        (429, Reason.RATE_LIMITED),
        (500, Reason.NETWORK),
        (503, Reason.NETWORK),
    ],
)
async def test_dead_link_says_why(status: int, reason: Reason, sources: Hosted) -> None:
    sources.break_link(NAME, Fault.DEAD, status=status)
    error = await sources.failure(NAME)
    assert error.reason is reason
    assert str(status) in str(error)


async def test_missing_file_is_gone(sources: Hosted) -> None:
    assert (await sources.failure("missing.mkv")).reason is Reason.GONE


NOW_MS = 1_800_000_000_000  # Fri, 15 Jan 2027 08:00:00 GMT


@pytest.mark.parametrize(
    ("status", "retry_after", "seconds"),
    [
        (429, None, None),
        (429, "soon", None),
        (429, "90", 90),
        (503, "90", 90),
        (503, "Fri, 15 Jan 2027 08:05:00 GMT", 300),
        (503, "Fri, 15 Jan 2027 07:00:00 GMT", 0),
        (429, "999999999", RETRY_AFTER_S_MAX),
        (429, "Fri, 15 Jan 2038 08:05:00 GMT", RETRY_AFTER_S_MAX),
    ],
)
def test_busy_host_limits_the_rate_and_says_for_how_long(
    status: int, retry_after: str | None, seconds: float | None
) -> None:
    busy = refusal(status, retry_after, NOW_MS)
    assert busy is not None
    assert (busy.reason, busy.retry_after_s) == (Reason.RATE_LIMITED, seconds)


@pytest.mark.parametrize("status", [200, 206])
def test_an_answer_with_a_body_is_no_refusal_whatever_else_it_says(status: int) -> None:
    assert refusal(status, "90", NOW_MS) is None


def test_a_host_in_trouble_that_says_nothing_is_the_networks_fault() -> None:
    trouble = refusal(503, None, NOW_MS)
    assert trouble is not None
    assert (trouble.reason, trouble.retry_after_s) == (Reason.NETWORK, None)


async def test_rate_limit_is_told(sources: Hosted) -> None:
    sources.break_link(NAME, Fault.RATE_LIMITED, retry_after_s=7)
    error = await sources.failure(NAME)
    assert (error.reason, error.retry_after_s) == (Reason.RATE_LIMITED, 7)


async def test_page_of_html_is_no_media_whatever_its_type(sources: Hosted) -> None:
    sources.break_link(NAME, Fault.HTML_PAGE)
    assert (await sources.failure(NAME)).reason is Reason.NOT_MEDIA
    sources.add("page.mkv", b"\n  <html><body>sorry</body></html>")
    assert (await sources.failure("page.mkv")).reason is Reason.NOT_MEDIA


async def test_media_that_is_called_html_is_media(sources: Hosted) -> None:
    sources.break_link(NAME, Fault.LYING_TYPE, content_type="text/html")
    async with sources.open(NAME) as source:
        assert source.content_type == "text/html"
        assert await whole(source) == CONTENT


async def test_empty_file_is_no_media(sources: Hosted) -> None:
    sources.add("empty.mkv", b"")
    assert (await sources.failure("empty.mkv")).reason is Reason.NOT_MEDIA


async def test_source_that_stops_sending_has_stalled(sources: Hosted) -> None:
    sources.break_link(NAME, Fault.STALL, after_bytes=500_000)
    error = await sources.failure(NAME)
    assert error.reason is Reason.STALLED


async def test_source_that_trickles_has_stalled(sources: Hosted) -> None:
    sources.break_link(NAME, Fault.SLOW, bytes_per_s=100_000)
    assert (await sources.failure(NAME)).reason is Reason.STALLED


async def test_slow_consumer_is_not_a_stalled_source(sources: Hosted) -> None:
    clock = JumpingClock()
    async with sources.open(NAME, PATIENT, clock) as source:
        received = b""
        async for chunk in source.chunks():
            clock.now_s += 60.0
            received += chunk
    assert received == CONTENT


async def test_lost_connection_is_taken_up_again_where_it_broke(sources: Hosted) -> None:
    sources.break_link(NAME, Fault.TRUNCATED, after_bytes=1_100_000)
    async with sources.open(NAME) as source:
        assert await whole(source) == CONTENT
    assert sources.host.count(NAME).bytes_sent == len(CONTENT)


async def test_source_that_never_gets_further_is_truncated(sources: Hosted) -> None:
    sources.break_link(NAME, Fault.TRUNCATED, after_bytes=10_000)
    error = await sources.failure(NAME)
    assert error.reason is Reason.TRUNCATED
    assert sources.host.count(NAME).requests == 1 + QUICK.resumes_max


async def test_source_that_ends_early_without_ranges_is_truncated(sources: Hosted) -> None:
    sources.break_link(NAME, Fault.TRUNCATED, after_bytes=1_000_000)
    sources.break_link(NAME, Fault.NO_RANGES)
    assert (await sources.failure(NAME)).reason is Reason.TRUNCATED
    assert sources.host.count(NAME).requests == 1


async def test_chunked_body_that_breaks_off_is_truncated(sources: Hosted) -> None:
    sources.break_link(NAME, Fault.TRUNCATED, after_bytes=1_000_000)
    sources.break_link(NAME, Fault.NO_LENGTH)
    assert (await sources.failure(NAME)).reason is Reason.TRUNCATED


async def test_body_shorter_than_declared_is_truncated(sources: Hosted) -> None:
    sources.break_link(NAME, Fault.NO_RANGES)
    sources.break_link(NAME, Fault.LYING_LENGTH, content_length=2 * len(CONTENT))
    assert (await sources.failure(NAME)).reason is Reason.TRUNCATED


async def test_file_that_changes_while_it_is_read_is_refused(sources: Hosted) -> None:
    sources.break_link(NAME, Fault.CHANGING, after_requests=1)
    assert (await sources.failure(NAME)).reason is Reason.WRONG_CONTENT


async def test_host_that_is_down_for_a_moment_is_asked_again(sources: Hosted) -> None:
    sources.break_link(NAME, Fault.TRUNCATED, after_bytes=500_000, count=2)
    async with sources.open(NAME) as source:
        assert len(await source.read(0, 1000)) == 1000
        sources.break_link(NAME, Fault.DEAD, status=502, count=2)
        assert await whole(source) == CONTENT


async def test_redirect_is_followed(sources: Hosted) -> None:
    sources.break_link("old.mkv", Fault.REDIRECT, location=f"/media/{NAME}")
    async with sources.open("old.mkv") as source:
        assert await whole(source) == CONTENT
    assert sources.host.count("old.mkv").requests == 1


async def test_redirect_is_walked_again_where_its_target_has_expired(sources: Hosted) -> None:
    sources.add("one.mkv", CONTENT)
    sources.break_link("old.mkv", Fault.REDIRECT, location="/media/one.mkv")
    async with sources.open("old.mkv") as source:
        sources.break_link("one.mkv", Fault.DEAD, status=403, count=1)
        assert await source.read(2_000_000, 10) == CONTENT[2_000_000:2_000_010]
    assert sources.host.count("old.mkv").requests == 2


async def test_redirect_loop_leads_nowhere(sources: Hosted) -> None:
    sources.break_link(NAME, Fault.REDIRECT_LOOP)
    assert (await sources.failure(NAME)).reason is Reason.GONE
    assert sources.host.count(NAME).requests == 1 + QUICK.redirects_max


@pytest.mark.parametrize("location", ["file:///etc/passwd", "javascript:alert(1)", "ftp://host/film.mkv"])
async def test_redirect_out_of_http_is_refused(location: str, sources: Hosted) -> None:
    sources.break_link(NAME, Fault.REDIRECT, location=location)
    assert (await sources.failure(NAME)).reason is Reason.FORBIDDEN


async def test_refused_connection_is_the_networks_fault(sources: Hosted, unused_tcp_port: int) -> None:
    with pytest.raises(SourceError) as raised:
        async with sources.open(f"http://127.0.0.1:{unused_tcp_port}/a.mkv?token=secret"):
            pass
    assert raised.value.reason is Reason.NETWORK
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["http://", "http:///film.mkv", "http://[::1"])
async def test_what_is_no_url_is_refused(url: str, sources: Hosted) -> None:
    with pytest.raises(SourceError) as raised:
        async with sources.open(url):
            pass
    assert raised.value.reason in (Reason.GONE, Reason.FORBIDDEN)


# ---- hosts with habits ----


@pytest.fixture
async def odd_host(unused_tcp_port: int) -> AsyncIterator[str]:
    """Answers ranges without telling the size of the file, or not at all."""

    async def unsized(request: web.Request) -> web.Response:
        if "Range" not in request.headers:
            return web.Response(body=CONTENT)
        return web.Response(status=206, body=CONTENT[:1000], headers={"Content-Range": "bytes 0-999/*"})

    async def silent(request: web.Request) -> web.Response:
        return web.Response(status=206, body=CONTENT[:1000])

    app = web.Application()
    app.add_routes([web.get("/unsized", unsized), web.get("/silent", silent)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    yield f"http://127.0.0.1:{unused_tcp_port}"
    await runner.cleanup()


async def test_ranges_of_a_file_without_size_are_not_used(odd_host: str, sources: Hosted) -> None:
    async with sources.open(f"{odd_host}/unsized") as source:
        assert not source.supports_ranges
        assert await whole(source) == CONTENT


async def test_range_that_is_not_named_is_refused(odd_host: str, sources: Hosted) -> None:
    with pytest.raises(SourceError) as raised:
        async with sources.open(f"{odd_host}/silent"):
            pass
    assert raised.value.reason is Reason.NETWORK


def test_stamps_contradict_only_where_both_speak() -> None:
    known = Stamp('"a"', "Mon", 5)
    assert not known.contradicts(Stamp(None, None, None))
    assert not known.contradicts(Stamp('"a"', "Tue", 5))
    assert known.contradicts(Stamp('"b"', "Mon", 5))
    assert known.contradicts(Stamp('"a"', "Mon", 6))
    assert known.contradicts(Stamp(None, "Tue", 5))
    assert Stamp('W/"a"', "Mon", 5).if_range == "Mon"
    assert known.if_range == '"a"'
