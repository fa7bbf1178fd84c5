"""What is no request, or too much of one."""

from __future__ import annotations

import asyncio
import logging
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest
from tests.waiting import until

from telecine.core.coordinator.http.answers import Answer
from telecine.core.coordinator.http.limits import Limits
from telecine.core.coordinator.http.requests import Request

if TYPE_CHECKING:
    from tests.core.coordinator.http.conftest import Serve, Wire

LIMITS = Limits()
GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # TLS
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/9.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/0.9\r\nHost: x\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a b/@\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: user@x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x:port\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x, y:1/\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nHost: x/\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nBroken\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\x00y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 6\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400),
        (CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n") + b"0\r\n\r\n", 400),
        (CHUNKED.replace(b"chunked", b"chunked, gzip"), 400),
        (CHUNKED.replace(b"chunked", b"gzip, chunked") + b"0\r\n\r\n", 501),
        (CHUNKED.replace(b"1.1", b"1.0").replace(b"chunked", b"chunked\r\nConnection: keep-alive") + b"0\r\n\r\n", 400),
        (CHUNKED + b"not a size\r\n", 400),
        (CHUNKED + b"ffffffffffffffffff\r\n", 400),
        (CHUNKED + b"2\r\nhi!!\r\n", 400),
        (b"GET /" + b"a" * LIMITS.target_bytes_max + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * (LIMITS.header_bytes_max + 1) + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * LIMITS.headers_max + b"\r\n", 400),
        (CHUNKED + b"0\r\n" + b"a: b\r\n" * (LIMITS.headers_max + 1) + b"\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (LIMITS.body_bytes_max + 1), 413),
        (CHUNKED + b"10000\r\n%b\r\n" % (b"a" * 0x10000) * 17, 413),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip!", 415),
        (b"POST / HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\nContent-Length: 1\r\n\r\n", 417),
    ],
)
async def test_what_is_no_request_is_refused_and_hung_up_on(wire: Wire, request_text: bytes, status: int) -> None:
    client = await wire.connect()
    client.send(request_text)
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (status, "close")
    assert await client.rest() == b""
    assert not wire.service.heard


async def test_address_that_is_not_percent_encoded_is_told_so(wire: Wire) -> None:
    refusal = await wire.ask("GET /v1/titles?q=amélie HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert refusal.status == 400
    assert b"percent-encoded" in refusal.body


async def test_header_without_an_end_is_refused_before_it_ends(wire: Wire) -> None:
    client = await wire.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\nA: ")
    reading = asyncio.create_task(client.answer())
    while not reading.done():
        client.send(b"a" * 4096)
        await asyncio.sleep(0)
    assert (await reading).status == 431


async def test_chunks_that_arrive_with_their_head_are_bounded_too(serve: Serve) -> None:
    async with serve(Limits(body_bytes_max=8)) as wire:
        assert (await wire.ask(CHUNKED + b"8\r\n12345678\r\n0\r\n\r\n")).status == 200
        assert (await wire.ask(CHUNKED + b"9\r\n123456789\r\n0\r\n\r\n")).status == 413


async def test_refusal_reaches_a_client_that_goes_on_sending(wire: Wire) -> None:
    client = await wire.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n" + b" " * 9_000_000)
    assert (await client.answer()).status == 413


async def test_refusal_waits_for_the_answers_before_it(wire: Wire) -> None:
    gate = asyncio.Event()

    async def late(_: Request) -> Answer:
        await gate.wait()
        return Answer(body=b"late")

    wire.service.answering = late
    client = await wire.connect()
    client.send(GET)
    await until(lambda: wire.service.heard)
    client.send(b"nonsense\r\n\r\n")
    gate.set()
    assert (await client.answer()).body == b"late"
    assert (await client.answer()).status == 400


async def test_what_a_client_sent_does_not_get_into_the_log(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for broken in (
        b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization hunter2\r\n\r\n",
        CHUNKED + b"hunter2\r\n",
        b"hunter2\r\n",
    ):
        assert (await wire.ask(broken)).status == 400
    client = await wire.connect()
    client.send(CHUNKED + b"2\r\n")
    client.send(b"hunter2")
    client.writer.close()
    await until(lambda: wire.server.connections == 0)
    assert "hunter2" not in caplog.text


async def test_bad_host_of_a_later_request_is_refused_too(wire: Wire) -> None:
    client = await wire.connect()
    for host, status in ((b"x", 200), (b"x", 200), (b"y:80", 200), (b"a b", 400)):
        client.send(GET.replace(b"Host: x", b"Host: " + host))
        assert (await client.answer()).status == status
    assert await client.rest() == b""


async def test_one_client_too_many_is_told_so(serve: Serve) -> None:
    async with serve(Limits(connections_max=2)) as wire:
        for _ in range(2):
            client = await wire.connect()
            client.send(GET)
            await client.answer()
        refusal = await (await wire.connect()).answer()
        assert (refusal.status, refusal.headers["connection"]) == (503, "close")
        assert parsedate_to_datetime(refusal.headers["date"])
