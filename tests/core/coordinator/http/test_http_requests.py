"""Requests that are as they should be, and what comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telecine.core.coordinator.http.answers import Answer, DateLine
from telecine.core.coordinator.http.limits import Limits
from telecine.core.coordinator.http.parser import Request, RequestParser, RequestRefusedError

if TYPE_CHECKING:
    from tests.core.coordinator.http.conftest import Wire

LIMITS = Limits()
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
    client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(9)))
    assert [(await client.answer()).body for _ in range(9)] == [b"GET /%d " % number for number in range(9)]


async def test_too_many_requests_sent_ahead_are_refused_behind_the_others(wire: Wire) -> None:
    client = await wire.connect()
    client.send(GET * (LIMITS.pipelined_max + 5))
    told = (await client.rest()).split(b"HTTP/1.1 ")[1:]
    assert [each[:3] for each in told] == [b"200"] * (LIMITS.pipelined_max + 1) + [b"400"]


async def test_client_that_asks_for_it_is_told_to_go_on_with_its_body(wire: Wire) -> None:
    client = await wire.connect()
    client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert (await client.answer()).status == 100
    client.send(b"hi")
    assert (await client.answer()).body == b"POST /a hi"


async def test_head_is_answered_without_a_body_and_with_its_length(wire: Wire) -> None:
    client = await wire.connect()
    client.send(b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n" + GET)
    assert (await client.answer(bodiless=True)).headers["content-length"] == str(len("HEAD /a "))
    assert (await client.answer()).body == b"GET /a "


@pytest.mark.parametrize(
    ("request_text", "kept"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
    ],
)
async def test_client_says_whether_the_connection_is_kept(wire: Wire, request_text: bytes, kept: bool) -> None:
    client = await wire.connect()
    client.send(request_text)
    answer = await client.answer()
    assert answer.headers.get("connection") == ("keep-alive" if kept else "close")
    if kept:
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


async def test_offer_of_another_protocol_is_declined(wire: Wire) -> None:
    client = await wire.connect()
    client.send(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nnot HTTP")
    assert (await client.answer()).body == b"GET /a "
    assert await client.rest() == b""


async def test_trailers_change_nothing(wire: Wire) -> None:
    answer = await wire.ask(CHUNKED + b"2\r\nhi\r\n0\r\nAuthorization: Bearer x\r\nHost: y\r\n\r\n")
    assert answer.body == b"POST / hi"
    assert wire.service.heard[0].headers[b"host"] == b"x"
    assert b"authorization" not in wire.service.heard[0].headers


async def test_repeated_header_is_joined(wire: Wire) -> None:
    await wire.ask(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nauthorization: b\r\n\r\n")
    assert wire.service.heard[0].header(b"authorization") == "a, b"


def test_date_is_written_once_a_second() -> None:
    line = DateLine()
    assert line.at(784_111_777_123) == b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    assert line.at(784_111_777_999) is line.at(784_111_777_000)
    assert line.at(784_111_778_000) == b"Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n"


_BODIES = st.lists(st.binary(max_size=60), max_size=4)


@given(bodies=_BODIES, cuts=st.lists(st.integers(1, 40), min_size=1, max_size=50))
@settings(max_examples=80, deadline=None)
def test_requests_are_the_same_however_they_are_cut(bodies: list[bytes], cuts: list[int]) -> None:
    data = b"".join(b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (n, len(body), body)
                    for n, body in enumerate(bodies))  # fmt: skip
    parser = RequestParser(LIMITS)
    at = 0
    for number in range(len(data)):
        parser.feed(data[at : at + cuts[number % len(cuts)]])
        at += cuts[number % len(cuts)]
    assert [(request.path, request.body) for request in parser.requests] == [
        (f"/{number}", body) for number, body in enumerate(bodies)
    ]


@given(data=st.binary(max_size=300) | st.binary(max_size=100).map(lambda noise: GET[:-2] + noise))
@settings(max_examples=150, deadline=None)
def test_no_bytes_make_the_parser_fail(data: bytes) -> None:
    parser = RequestParser(LIMITS)
    try:
        parser.feed(data)
    except RequestRefusedError as refusal:
        assert 400 <= refusal.status < 500  # noqa: PT017 - most of the noise is refused, not all
