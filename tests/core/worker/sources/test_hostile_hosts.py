"""Links and answers that are made to upset whoever reads them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from telecine.core.config import SourceHostSettings
from telecine.core.reasons import Reason
from telecine.core.worker.sources.playlist import SEGMENTS_MAX

from .conftest import Hosted, whole

BODY = b"the film"


class Answering:
    """A host that answers every request with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self._answer)
            await writer.drain()


class Sparing:
    """A host that sends no more than so many bytes at once, whatever range it is asked for."""

    def __init__(self, film: bytes, bytes_max: int, unit: bytes = b"bytes") -> None:
        self._film = film
        self._bytes_max = bytes_max
        self._unit = unit

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            asked = re.search(rb"Range: bytes=([0-9]+)-([0-9]*)", await reader.readuntil(b"\r\n\r\n"))
            assert asked
            start, last = int(asked[1]), int(asked[2] or len(self._film) - 1)
            piece = self._film[start : last + 1][: self._bytes_max]
            extent = b"%s %d-%d/%d" % (self._unit, start, start + len(piece) - 1, len(self._film))
            head = b'HTTP/1.1 206 Partial Content\r\nETag: "1"\r\nContent-Range: %s\r\nContent-Length: %d\r\n\r\n'
            writer.write(head % (extent, len(piece)) + piece)
            await writer.drain()


@asynccontextmanager
async def serving(host: Answering | Sparing) -> AsyncIterator[str]:
    """The address of such a host."""
    server = await asyncio.start_server(host.serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def answering(status: bytes, *headers: bytes, body: bytes = BODY) -> AsyncIterator[tuple[Answering, str]]:
    """Such a host, and its address."""
    host = Answering(b"\r\n".join((b"HTTP/1.1 " + status, *headers, b"", body)))
    async with serving(host) as address:
        yield host, address


@pytest.mark.parametrize(
    ("login", "sent"),
    [
        ("anna:secret", "anna:secret"),
        ("Łukasz:żółw", "Łukasz:żółw"),
        ("an%3Ana:sec%3Aret", "an:na:sec:ret"),
        ("anna", "anna:"),
        (":secret", ":secret"),
    ],
)
async def test_login_in_a_link_is_sent_whatever_its_letters(login: str, sent: str, sources: Hosted) -> None:
    async with answering(b"200 OK", b"Content-Length: 8") as (asked, host):
        assert await sources.read(f"http://{login}@{host}/film") == BODY
    header = b"Authorization: Basic " + base64.b64encode(sent.encode()) + b"\r\n"
    assert all(header in head and b"@" not in head for head in asked.heads)


async def test_login_in_a_redirect_is_sent_whatever_its_letters(sources: Hosted) -> None:
    async with answering(b"200 OK", b"Content-Length: 8") as (asked, host):
        location = f"Location: http://Ł:ż@{host}/film".encode()
        async with answering(b"302 Found", location, b"Content-Length: 0", body=b"") as (_, first):
            assert await sources.read(f"http://{first}/film") == BODY
    assert all(base64.b64encode("Ł:ż".encode()) in head for head in asked.heads)


@pytest.mark.parametrize(
    "url", ["http://.films.example/", f"http://{'a' * 64}.example/", "http://films..example/", "http://xn--a/"]
)
async def test_link_with_a_name_that_cannot_be_is_gone(url: str, sources: Hosted) -> None:
    assert (await sources.failure(url)).reason is Reason.GONE


async def test_redirect_to_a_name_that_cannot_be_is_gone(sources: Hosted) -> None:
    location = b"Location: http://%s.example/" % (b"a" * 64)
    async with answering(b"302 Found", location, b"Content-Length: 0", body=b"") as (_, host):
        assert (await sources.failure(f"http://{host}/film")).reason is Reason.GONE


async def test_file_link_that_is_no_url_is_gone(sources: Hosted) -> None:
    assert (await sources.failure("file://[films/night.mkv")).reason is Reason.GONE


@pytest.mark.parametrize("size", [b"18446744073709551615", b"9223372036854775807"])
async def test_size_that_no_file_has_is_not_believed(size: bytes, sources: Hosted) -> None:
    async with answering(b"200 OK", b"Content-Length: " + size) as (_, host):
        assert (await sources.failure(f"http://{host}/film")).reason is Reason.NOT_MEDIA


@pytest.mark.parametrize("total", [b"9" * 19, b"9" * 50, b"9" * 5000])
async def test_range_that_no_file_has_is_a_failure_of_the_link(total: bytes, sources: Hosted) -> None:
    extent = b"Content-Range: bytes 0-7/" + total
    async with answering(b"206 Partial Content", b"Content-Length: 8", extent) as (_, host):
        assert (await sources.failure(f"http://{host}/film")).reason in (Reason.NOT_MEDIA, Reason.NETWORK)


@pytest.mark.parametrize("bytes_max", [50_000, 65_536, 1_000_000])
async def test_host_that_sends_less_at_once_than_it_is_asked_for_is_asked_on(bytes_max: int, sources: Hosted) -> None:
    film = random.Random(bytes_max).randbytes(3_000_000)
    async with serving(Sparing(film, bytes_max)) as host:
        assert await sources.read(f"http://{host}/film") == film


async def test_range_may_be_told_in_letters_of_any_size(sources: Hosted) -> None:
    async with serving(Sparing(BODY, 100, unit=b"Bytes")) as host:
        assert await sources.read(f"http://{host}/film") == BODY


async def test_validators_that_no_header_may_hold_are_none(sources: Hosted) -> None:
    headers = (b"Content-Length: 8", b'ETag: "\xff\xfe"', b"Last-Modified: \xed\xa0\x80")
    async with answering(b"200 OK", *headers) as (_, host), sources.open(f"http://{host}/film") as source:
        assert source.stamp is None
        assert await whole(source) == BODY


async def test_failure_can_be_told_whatever_the_host_calls_its_compression(sources: Hosted) -> None:
    async with answering(b"200 OK", b"Content-Length: 8", b"Content-Encoding: \xff\xfe") as (_, host):
        error = await sources.failure(f"http://{host}/film")
    assert error.reason is Reason.NOT_MEDIA
    assert error.message.encode().decode() == error.message


async def test_login_in_a_link_gives_way_to_what_is_set_for_its_host(sources: Hosted) -> None:
    hosts = {"127.0.0.1": SourceHostSettings(headers={"authorization": "Bearer ours"})}
    async with answering(b"200 OK", b"Content-Length: 8") as (asked, host):
        assert await sources.read(f"http://them:secret@{host}/film", hosts=hosts) == BODY
    assert all(b"Bearer ours" in head and b"Basic" not in head for head in asked.heads)


async def test_playlist_of_too_many_segments_is_refused_before_it_is_parsed(
    sources: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parsed(text: str) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr("telecine.core.worker.sources.playlist.m3u8.loads", parsed)
    sources.add("film.m3u8", b"#EXTM3U\n" + b"#EXTINF:1,\na\n" * (SEGMENTS_MAX + 1))
    assert (await sources.failure("film.m3u8")).reason is Reason.NOT_MEDIA
