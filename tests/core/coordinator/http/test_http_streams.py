"""Streams, and how a server comes to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
from tests.waiting import until

from telecine.core.coordinator.http.answers import Answer, Stream
from telecine.core.coordinator.http.requests import Request

if TYPE_CHECKING:
    from tests.core.coordinator.http.conftest import Wire

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


async def _pieces(*pieces: bytes, error: Exception | None = None) -> AsyncGenerator[bytes, None]:
    for piece in pieces:
        yield piece
    if error is not None:
        raise error


def _streaming(*pieces: bytes, error: Exception | None = None) -> Callable[[Request], Awaitable[Stream]]:
    async def answering(_: Request) -> Stream:
        return await Stream.begin(_pieces(*pieces, error=error))

    return answering


async def test_stream_comes_in_chunks_and_the_connection_is_kept(wire: Wire) -> None:
    wire.service.answering = _streaming(b"one", b"and two")
    client = await wire.connect()
    for _ in range(2):
        client.send(GET)
        assert (await client.answer()).headers["transfer-encoding"] == "chunked"
        assert await client.reader.readuntil(b"0\r\n\r\n") == b"3\r\none\r\n7\r\nand two\r\n0\r\n\r\n"


async def test_stream_to_an_old_client_ends_with_the_connection(wire: Wire) -> None:
    wire.service.answering = _streaming(b"one", b"two")
    client = await wire.connect()
    client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert (await client.answer()).headers["connection"] == "close"
    assert await client.rest() == b"onetwo"


async def test_stream_that_breaks_off_is_seen_to(wire: Wire) -> None:
    wire.service.answering = _streaming(b"one", error=RuntimeError("no more"))
    client = await wire.connect()
    client.send(GET)
    await client.answer()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await client.reader.readuntil(b"0\r\n\r\n")


async def test_stream_is_closed_when_its_reader_leaves(wire: Wire) -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            yield b"one"
            await asyncio.Future()
        finally:
            closed.set()

    async def answering(_: Request) -> Stream:
        return await Stream.begin(endless())

    wire.service.answering = answering
    client = await wire.connect()
    client.send(GET)
    await client.answer()
    client.writer.close()
    async with asyncio.timeout(5):
        await closed.wait()


async def test_closing_lets_idle_clients_go_and_running_answers_arrive(wire: Wire) -> None:
    gate = asyncio.Event()

    async def late(_: Request) -> Answer:
        await gate.wait()
        return Answer(body=b"late")

    wire.service.answering = late
    idle, busy = await wire.connect(), await wire.connect()
    busy.send(GET)
    await until(lambda: wire.service.heard and wire.server.connections == 2)
    closing = asyncio.create_task(wire.server.stop())
    assert await idle.rest() == b""
    gate.set()
    answer = await busy.answer()
    assert (answer.body, answer.headers["connection"]) == (b"late", "close")
    await closing


async def test_answer_that_is_not_ready_in_time_is_cut_off_at_the_end(wire: Wire) -> None:
    wire.service.answering = lambda _: asyncio.Future()
    client = await wire.connect()
    client.send(GET)
    await until(lambda: wire.service.heard)
    await wire.server.stop()
    assert wire.service.cancelled.is_set()
    await until(lambda: wire.server.connections == 0)
