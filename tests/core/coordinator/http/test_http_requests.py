"""Requests that are as they should be, and what comes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.coordinator.http.conftest import serving
from tests.waiting import until

from telecine.core.coordinator.http.answers import Answer
from telecine.core.coordinator.http.requests import Request

if TYPE_CHECKING:
    from tests.core.coordinator.http.conftest import Wire

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_connection_is_kept_for_the_next_request(wire: Wire) -> None:
    client = await wire.connect()
    for number in range(3):
        client.send(b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi" % number)
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"POST /%d hi" % number)
    assert wire.server.connections == 1


async def test_requests_sent_ahead_are_answered_in_order(wire: Wire) -> None:
    client = await wire.connect()
    client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(99)))
    assert [(await client.answer()).body for _ in range(99)] == [b"GET /%d " % number for number in range(99)]


async def test_client_that_asks_for_it_is_told_to_go_on_with_its_body(wire: Wire) -> None:
    client = await wire.connect()
    client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert (await client.answer()).status == 100
    client.send(b"hi")
    assert (await client.answer()).body == b"POST /a hi"


async def test_old_client_is_not_told_to_go_on(wire: Wire) -> None:
    client = await wire.connect()
    client.send(b"POST /a HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi")
    assert (await client.answer()).body == b"POST /a hi"


@pytest.mark.parametrize(
    "host", [b"x", b"a.example:8750", b"10.0.0.1:80", b"[::1]:80", b"my_host:", b"", b"%41.example"]
)
async def test_host_may_be_any(wire: Wire, host: bytes) -> None:
    assert (await wire.ask(b"GET /a HTTP/1.1\r\nHost: %b\r\n\r\n" % host)).body == b"GET /a "


async def test_chunks_are_known_however_their_coding_is_spelt(wire: Wire) -> None:
    answer = await wire.ask(CHUNKED.replace(b"chunked", b"Chunked") + b"2\r\nhi\r\n0\r\n\r\n")
    assert answer.body == b"POST / hi"


async def test_head_is_answered_without_a_body_and_with_its_length(wire: Wire) -> None:
    client = await wire.connect()
    client.send(b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n" + GET)
    assert (await client.answer(bodiless=True)).headers["content-length"] == str(len("HEAD /a "))
    assert (await client.answer()).body == b"GET /a "


@pytest.mark.parametrize(
    ("request_text", "told"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "close"),
        (b"GET / HTTP/1.0\r\n\r\n", None),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "keep-alive"),
    ],
)
async def test_client_says_whether_the_connection_is_kept(wire: Wire, request_text: bytes, told: str | None) -> None:
    client = await wire.connect()
    client.send(request_text)
    answer = await client.answer()
    assert answer.headers.get("connection") == told
    if told == "keep-alive":
        client.send(request_text)
        assert (await client.answer()).status == 200
    else:
        assert await client.rest() == b""


@pytest.mark.parametrize("status", [204, 304])
async def test_answer_that_has_no_body_announces_none(wire: Wire, status: int) -> None:
    async def empty(_: Request) -> Answer:
        return Answer(status)

    wire.service.answering = empty
    answer = await wire.ask(GET)
    assert answer.status == status
    assert not {"content-length", "content-type"} & answer.headers.keys()


async def test_whole_address_is_taken_for_its_path(wire: Wire) -> None:
    await wire.ask(b"GET http://x:1/a/b?c=d HTTP/1.1\r\nHost: x\r\n\r\n")
    assert [(request.path, request.query) for request in wire.service.heard] == [("/a/b", "c=d")]


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"anything"])
async def test_offer_of_another_protocol_is_declined_and_nothing_behind_it_is_heard(
    wire: Wire, protocol: bytes
) -> None:
    client = await wire.connect()
    offer = (
        b"POST /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %b\r\nContent-Length: 2\r\n\r\nhi" % protocol
    )
    client.send(offer + GET + b"GET /la")
    answer = await client.answer()
    assert (answer.body, answer.headers["connection"]) == (b"POST /a hi", "close")
    assert await client.rest() == b""
    assert len(wire.service.heard) == 1


async def test_trailers_change_nothing(wire: Wire) -> None:
    answer = await wire.ask(CHUNKED + b"2\r\nhi\r\n0\r\nAuthorization: Bearer x\r\nHost: y\r\n\r\n")
    assert answer.body == b"POST / hi"
    assert wire.service.heard[0].header("host") == "x"
    assert wire.service.heard[0].header("authorization") is None


async def test_repeated_header_is_joined(wire: Wire) -> None:
    await wire.ask(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nauthorization: b\r\n\r\n")
    assert wire.service.heard[0].header("authorization") == "a, b"


async def test_bytes_that_are_no_text_are_characters_that_can_be_written(wire: Wire) -> None:
    assert (await wire.ask(b"GET /\xc3\xa4?\xff HTTP/1.1\r\nHost: x\r\n\r\n")).status == 400  # in an address
    await wire.ask(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: \xff\xc3\xa4\r\n\r\n")
    assert wire.service.heard[-1].header("authorization") == "\u00ff\u00c3\u00a4"


@given(noise=st.binary(max_size=300) | st.binary(max_size=100).map(lambda noise: GET[:-2] + noise))
@settings(max_examples=150, deadline=None)
def test_no_bytes_get_past_the_connection(noise: bytes) -> None:
    """Whatever is sent, it is answered or waited for, and nothing is logged as a fault."""

    async def send() -> list[str]:
        async with serving() as wire:
            told = list[str]()
            asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(str(context)))
            client = await wire.connect()
            client.send(noise + b"\r\n\r\n" + GET)
            client.writer.write_eof()
            await client.rest()
            await until(lambda: wire.server.connections == 0)
            return told

    assert asyncio.run(send()) == []
