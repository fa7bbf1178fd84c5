from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from telecine.core.clock import SystemClock
from telecine.core.emulator.sources.faults import PRIVATE_ADDRESS, SourceFault, SourceFaultKind
from telecine.core.emulator.sources.host import SourceHost, serve_sources

CONTENT = bytes(range(256)) * 1024
NAME = "Night Train 1080p.mkv"


class Sources:
    """A running source host with a client in front of it."""

    def __init__(self, host: SourceHost, url: str, client: aiohttp.ClientSession) -> None:
        self.host = host
        self.url = url
        self.client = client

    def get(self, name: str = NAME, **headers: str) -> aiohttp.client._RequestContextManager:
        return self.client.get(f"{self.url}/{name}", headers=headers, allow_redirects=False)

    def break_link(self, kind: SourceFaultKind, name: str = NAME, **numbers: int | str) -> None:
        self.host.set_faults(name, [SourceFault(kind=kind, **numbers)])  # type: ignore[arg-type]


@pytest.fixture
async def sources(tmp_path: Path) -> AsyncIterator[Sources]:
    (tmp_path / NAME).write_bytes(CONTENT)
    (tmp_path / "empty.mp4").touch()
    async with serve_sources(tmp_path, SystemClock()) as (host, url), aiohttp.ClientSession() as client:
        yield Sources(host, url, client)


async def test_whole_file_comes_with_length_and_validators(sources: Sources) -> None:
    async with sources.get() as response:
        assert response.status == 200
        assert response.content_length == len(CONTENT)
        assert response.headers["Accept-Ranges"] == "bytes"
        assert response.content_type == "video/x-matroska"
        assert response.headers["ETag"].startswith('"')
        assert await response.read() == CONTENT


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("bytes=0-9", 0, 10), ("bytes=1000-", 1000, len(CONTENT)), ("bytes=-7", len(CONTENT) - 7, len(CONTENT))],
)
async def test_range_brings_only_its_bytes(sources: Sources, asked: str, start: int, stop: int) -> None:
    async with sources.get(Range=asked) as response:
        assert response.status == 206
        assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(CONTENT)}"
        assert await response.read() == CONTENT[start:stop]


async def test_range_behind_the_end_is_not_satisfiable(sources: Sources) -> None:
    async with sources.get(Range=f"bytes={len(CONTENT)}-") as response:
        assert response.status == 416
        assert response.headers["Content-Range"] == f"bytes */{len(CONTENT)}"


@pytest.mark.parametrize("asked", ["bytes=9-3", "lines=0-9", "bytes=0-1,4-5"])
async def test_range_that_is_not_understood_is_ignored(sources: Sources, asked: str) -> None:
    async with sources.get(Range=asked) as response:
        assert response.status == 200
        assert len(await response.read()) == len(CONTENT)


async def test_if_range_keeps_the_range_only_while_the_file_is_the_same(sources: Sources) -> None:
    async with sources.get() as response:
        etag, modified = response.headers["ETag"], response.headers["Last-Modified"]
    for condition, status in ((etag, 206), (modified, 206), ('"another"', 200)):
        async with sources.get(Range="bytes=5-9", **{"If-Range": condition}) as response:
            assert response.status == status


async def test_head_says_the_length_and_sends_nothing(sources: Sources) -> None:
    async with sources.client.head(f"{sources.url}/{NAME}") as response:
        assert response.content_length == len(CONTENT)
    assert sources.host.count(NAME).bytes_sent == 0
    assert sources.host.count(NAME).head_requests == 1


async def test_empty_file_is_served(sources: Sources) -> None:
    async with sources.get("empty.mp4") as response:
        assert (response.status, await response.read()) == (200, b"")


@pytest.mark.parametrize("name", ["missing.mkv", "..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd"])
async def test_nothing_outside_the_folder_is_served(sources: Sources, name: str) -> None:
    async with sources.get(name) as response:
        assert response.status == 404


@pytest.mark.parametrize("status", [403, 404, 410, 500, 503])
async def test_dead_link_answers_its_status(sources: Sources, status: int) -> None:
    sources.break_link(SourceFaultKind.DEAD, status=status)
    async with sources.get() as response:
        assert response.status == status


async def test_rate_limit_ends_after_its_count(sources: Sources) -> None:
    sources.break_link(SourceFaultKind.RATE_LIMITED, retry_after_s=2, count=1)
    async with sources.get() as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "2")
    async with sources.get() as response:
        assert response.status == 200


async def test_slow_link_keeps_to_its_speed(sources: Sources) -> None:
    sources.break_link(SourceFaultKind.SLOW, bytes_per_s=1_000_000)
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with sources.get() as response:
        assert await response.read() == CONTENT
    assert loop.time() - began >= len(CONTENT) / 1_000_000


async def test_stalled_link_stops_after_its_bytes_and_stays_open(sources: Sources) -> None:
    sources.break_link(SourceFaultKind.STALL, after_bytes=1000)
    async with sources.get() as response:
        assert await response.content.readexactly(1000) == CONTENT[:1000]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await response.content.readany()
        assert sources.host.count(NAME).open_requests == 1


async def test_truncated_link_declares_all_and_closes_early(sources: Sources) -> None:
    sources.break_link(SourceFaultKind.TRUNCATED, after_bytes=5000)
    async with sources.get() as response:
        assert response.content_length == len(CONTENT)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    assert sources.host.count(NAME).bytes_sent == 5000


async def test_lying_type_and_length_are_declared_as_told(sources: Sources) -> None:
    sources.break_link(SourceFaultKind.LYING_TYPE, content_type="image/png")
    async with sources.get() as response:
        assert response.content_type == "image/png"
    sources.break_link(SourceFaultKind.LYING_LENGTH, content_length=len(CONTENT) * 2)
    async with sources.get() as response:
        assert response.content_length == len(CONTENT) * 2
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_host_without_ranges_sends_everything(sources: Sources) -> None:
    sources.break_link(SourceFaultKind.NO_RANGES)
    async with sources.get(Range="bytes=5-9") as response:
        assert response.status == 200
        assert "Accept-Ranges" not in response.headers
        assert await response.read() == CONTENT


async def test_host_without_length_sends_chunks(sources: Sources) -> None:
    sources.break_link(SourceFaultKind.NO_LENGTH)
    async with sources.get() as response:
        assert response.content_length is None
        assert await response.read() == CONTENT


async def test_host_without_head_refuses_it(sources: Sources) -> None:
    sources.break_link(SourceFaultKind.NO_HEAD)
    async with sources.client.head(f"{sources.url}/{NAME}") as response:
        assert response.status == 405


async def test_changing_file_has_other_bytes_and_etag_after_its_requests(sources: Sources) -> None:
    sources.break_link(SourceFaultKind.CHANGING, after_requests=2)
    etags, bodies = [], []
    for _ in range(4):
        async with sources.get() as response:
            etags.append(response.headers["ETag"])
            bodies.append(await response.read())
    assert bodies[0] == bodies[1] == CONTENT
    assert len(set(etags)) == len(set(bodies)) == 3


async def test_resized_file_is_shorter_and_another_after_its_requests(sources: Sources) -> None:
    sources.break_link(SourceFaultKind.RESIZED, after_requests=1)
    answers = []
    for _ in range(3):
        async with sources.get() as response:
            answers.append((response.headers["ETag"], await response.read()))
    assert [body for _, body in answers] == [CONTENT, CONTENT[:-1], CONTENT[:-2]]
    assert len({etag for etag, _ in answers}) == 3


async def test_file_without_validators_has_ranges_all_the_same(sources: Sources) -> None:
    sources.break_link(SourceFaultKind.NO_VALIDATORS)
    async with sources.get(Range="bytes=5-9") as response:
        assert response.status == 206
        assert not {"ETag", "Last-Modified"} & set(response.headers)


async def test_wrong_range_is_named_for_bytes_behind_the_start(sources: Sources) -> None:
    sources.break_link(SourceFaultKind.WRONG_RANGE)
    async with sources.get(Range="bytes=0-9") as right, sources.get(Range="bytes=10-19") as wrong:
        assert right.headers["Content-Range"] == f"bytes 0-9/{len(CONTENT)}"
        assert wrong.headers["Content-Range"] == f"bytes 11-20/{len(CONTENT)}"


async def test_compressed_file_is_packed_for_clients_that_did_not_ask(sources: Sources) -> None:
    sources.break_link(SourceFaultKind.COMPRESSED)
    async with sources.get(**{"Accept-Encoding": "identity"}) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert await response.read() == CONTENT  # this client unpacks


@pytest.mark.parametrize("status", [429, 503])
async def test_crowded_path_refuses_whoever_comes_second(sources: Sources, status: int) -> None:
    sources.host.set_faults(
        NAME,
        [
            SourceFault(kind=SourceFaultKind.CROWDED, crowd_status=status),
            SourceFault(kind=SourceFaultKind.STALL, after_bytes=10),
        ],
    )
    async with sources.get() as first:
        assert first.status == 200
        async with sources.get() as second:
            assert second.status == status
        assert sources.host.count(NAME).most_open_requests == 2


async def test_crowded_path_may_drop_the_connection_of_whoever_comes_second(sources: Sources) -> None:
    faults = [SourceFault(kind=SourceFaultKind.STALL, after_bytes=10)]
    sources.host.set_faults(NAME, [SourceFault(kind=SourceFaultKind.CROWDED, crowd_status=0), *faults])
    async with sources.get():
        with pytest.raises(aiohttp.ClientError):
            await sources.get()


async def test_redirects_lead_where_they_should_not(sources: Sources) -> None:
    sources.break_link(SourceFaultKind.REDIRECT)
    async with sources.get() as response:
        assert (response.status, response.headers["Location"]) == (302, PRIVATE_ADDRESS)
    sources.break_link(SourceFaultKind.REDIRECT_LOOP)
    with pytest.raises(aiohttp.TooManyRedirects):
        async with sources.client.get(f"{sources.url}/{NAME}"):
            pass


async def test_html_page_hides_behind_200(sources: Sources) -> None:
    sources.break_link(SourceFaultKind.HTML_PAGE)
    async with sources.get() as response:
        assert (response.status, response.content_type) == (200, "text/html")


async def test_faults_combine_and_can_be_taken_away(sources: Sources) -> None:
    sources.host.set_faults(
        NAME,
        [
            SourceFault(kind=SourceFaultKind.NO_RANGES),
            SourceFault(kind=SourceFaultKind.LYING_TYPE, content_type="video/mp4"),
        ],
    )
    async with sources.get(Range="bytes=1-2") as response:
        assert (response.status, response.content_type) == (200, "video/mp4")
    sources.host.set_faults(NAME, [])
    assert not sources.host.faults()
    async with sources.get(Range="bytes=1-2") as response:
        assert response.status == 206
    assert sources.host.count(NAME).range_requests == 2
