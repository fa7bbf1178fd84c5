"""Clients that are slow, and those that leave."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.core.coordinator.http.conftest import QUICK, QUICK_WAIT_S
from tests.waiting import until

from telecine.core.coordinator.http.answers import Answer
from telecine.core.coordinator.http.requests import Request, RequestRefusedError

if TYPE_CHECKING:
    from tests.core.coordinator.http.conftest import Serve, Wire

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
AHEAD = 60  # requests, more than are read while another one is answered
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("start", [b"G", GET[:-2], CHUNKED[:-2], CHUNKED, CHUNKED + b"2\r\nh"])
async def test_request_that_does_not_arrive_in_time_is_408(quick: Wire, start: bytes) -> None:
    answer = await quick.ask(start)
    assert (answer.status, answer.headers["connection"]) == (408, "close")


async def test_bytes_that_trickle_in_win_no_time(quick: Wire) -> None:
    client = await quick.connect()
    client.send(GET[:-2])
    reading = asyncio.create_task(client.answer())
    while not reading.done():
        client.send(b"a: b\r\n")
        await asyncio.wait({reading}, timeout=0.01)
    assert (await reading).status == 408


@pytest.mark.parametrize("spoken", [b"", GET])
async def test_client_that_says_nothing_more_is_let_go_without_a_word(quick: Wire, spoken: bytes) -> None:
    client = await quick.connect()
    client.send(spoken)
    if spoken:
        await client.answer()
    assert await client.rest() == b""


async def test_start_of_a_later_request_is_timed_too(quick: Wire) -> None:
    client = await quick.connect()
    client.send(GET)
    assert (await client.answer()).status == 200
    client.send(GET[:-2])
    assert (await client.answer()).status == 408


async def test_start_that_arrives_before_the_answer_ahead_of_it_waits_no_longer_than_silence(quick: Wire) -> None:
    client = await quick.connect()
    client.send(GET + GET[:-2])
    assert (await client.answer()).status == 200
    assert await client.rest() == b""


@pytest.mark.parametrize("rest", [b"not a size\r\n", b"2\r\nhi!!\r\n"])
async def test_chunks_that_break_in_the_middle_are_waited_for_no_longer_than_others(quick: Wire, rest: bytes) -> None:
    client = await quick.connect()
    client.send(CHUNKED + b"1\r\na\r\n")
    await until(lambda: quick.service.begun)
    client.send(rest)
    assert (await client.answer()).status == 408


async def test_body_that_nobody_wanted_is_not_taken_for_a_request(quick: Wire) -> None:
    quick.service.wants_bodies = False
    client = await quick.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
    assert (await client.answer()).status == 200
    client.send(b"late")
    assert await client.rest() == b""


async def test_chunks_that_carry_nothing_do_not_go_on_for_ever(quick: Wire) -> None:
    client = await quick.connect()
    client.send(CHUNKED)
    reading = asyncio.create_task(client.answer())
    while not reading.done():
        client.send(b"1;%b\r\na\r\n" % (b"a" * 4000))
        await asyncio.wait({reading}, timeout=0.001)
    assert (await reading).status == 408


async def test_long_answer_is_not_cut_short_by_the_time_for_requests(quick: Wire) -> None:
    async def late(_: Request) -> Answer:
        assert (await quick.ask(b"G")).status == 408  # every wait there is has passed meanwhile
        return Answer(body=b"late")

    quick.service.answering = late
    assert (await quick.ask(GET)).body == b"late"


async def test_client_that_leaves_ends_what_is_done_for_it(wire: Wire) -> None:
    wire.service.answering = lambda _: asyncio.Future()
    client = await wire.connect()
    client.send(GET)
    await until(lambda: wire.service.heard)
    client.writer.close()
    async with asyncio.timeout(5):
        await wire.service.cancelled.wait()
    await until(lambda: wire.server.connections == 0)


async def test_client_that_leaves_before_it_is_told_to_go_on_with_its_body_has_sent_none(wire: Wire) -> None:
    refusals: list[RequestRefusedError] = []

    async def leave(request: Request) -> Answer:
        transport = request._head.transport
        assert transport is not None
        transport.abort()
        try:
            await request.receive()
        except RequestRefusedError as refusal:
            refusals.append(refusal)
        return Answer()

    wire.service.wants_bodies = False
    wire.service.answering = leave
    client = await wire.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert await client.rest() == b""
    assert [refusal.detail for refusal in refusals] == ["the body broke off"]


@pytest.mark.parametrize("together", [True, False])
async def test_client_that_sends_so_much_ahead_that_its_end_would_go_unheard_is_not_waited_for(
    quick: Wire, together: bool
) -> None:
    quick.service.answering = lambda _: asyncio.Future()
    client = await quick.connect()
    client.send(GET * (1 + AHEAD if together else 1))
    await until(lambda: quick.service.heard)
    if not together:
        client.send(GET * AHEAD)
    async with asyncio.timeout(5):
        await quick.service.cancelled.wait()
    await until(lambda: quick.server.connections == 0)


async def test_each_of_the_requests_that_were_sent_ahead_has_its_time(serve: Serve) -> None:
    async with serve(msgspec.structs.replace(QUICK, ahead_wait_s=3 * QUICK_WAIT_S)) as wire:

        async def late(_: Request) -> Answer:
            if len(wire.service.heard) <= 5:
                assert (await wire.ask(b"G")).status == 408  # a while has passed
            return Answer(body=b"late")

        wire.service.answering = late
        client = await wire.connect()
        client.send(GET * 2 * AHEAD)
        assert [(await client.answer()).body for _ in range(2 * AHEAD)] == 2 * AHEAD * [b"late"]


async def test_call_that_takes_long_is_waited_for_where_few_requests_are_sent_ahead(quick: Wire) -> None:
    gate = asyncio.Event()

    async def late(_: Request) -> Answer:
        await gate.wait()
        return Answer(body=b"late")

    quick.service.answering = late
    client = await quick.connect()
    client.send(GET * 8)
    await until(lambda: quick.service.heard)
    assert (await quick.ask(b"G")).status == 408  # every wait there is has passed meanwhile
    gate.set()
    assert [(await client.answer()).body for _ in range(8)] == 8 * [b"late"]


async def test_client_that_takes_nothing_is_given_up(quick: Wire) -> None:
    async def huge(_: Request) -> Answer:
        return Answer(body=b"a" * 64_000_000)

    quick.service.answering = huge
    client = await quick.connect()
    client.writer.get_extra_info("socket")  # nothing is read from it until the server is gone
    client.send(GET)
    await until(lambda: quick.service.heard)
    await until(lambda: quick.server.connections == 0)


@pytest.mark.parametrize("ending", [b"", b"Connection: close\r\n"])
async def test_client_that_does_not_take_the_end_of_its_answer_is_given_up(quick: Wire, ending: bytes) -> None:
    async def answering(_: Request) -> Answer:
        return Answer(body=b"a" * 50_000)  # more than the kernels hold, less than asyncio waits for by itself

    quick.service.answering = answering
    with narrow(quick.server.port) as client:
        client.sendall(GET[:-2] + ending + b"\r\n")
        await until(lambda: quick.service.heard)
        await until(lambda: quick.server.connections == 0)


async def test_client_that_takes_its_answer_slowly_gets_all_of_it(serve: Serve) -> None:
    body_bytes, loop = 2_000_000, asyncio.get_running_loop()
    patience = msgspec.structs.replace(QUICK, write_wait_s=5 * QUICK_WAIT_S)

    async def answering(_: Request) -> Answer:
        return Answer(body=b"a" * body_bytes)

    async with serve(patience) as wire:
        wire.service.answering = answering
        with narrow(wire.server.port) as client:
            client.sendall(GET)
            client.setblocking(False)
            began_s, taken_bytes = loop.time(), 0
            while loop.time() < began_s + 2 * patience.write_wait_s:
                for _ in range(20):
                    taken_bytes += len(await loop.sock_recv(client, 500))
                assert (await wire.ask(b"G")).status == 408  # a while has passed
            while taken_bytes < body_bytes:
                taken = await loop.sock_recv(client, body_bytes)
                assert taken
                taken_bytes += len(taken)


async def test_client_that_takes_nothing_is_cut_off_at_the_end(wire: Wire) -> None:
    async def answering(_: Request) -> Answer:
        return Answer(body=b"a" * 50_000)

    wire.service.answering = answering
    with narrow(wire.server.port) as client:
        client.sendall(GET)
        await until(lambda: wire.service.heard)
        await wire.server.stop()
        await until(lambda: wire.server.connections == 0)


def narrow(port: int) -> socket.socket:
    """A client for which the kernels hold little, so that what it does not take stays with the server."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    client.connect(("127.0.0.1", port))
    return client
