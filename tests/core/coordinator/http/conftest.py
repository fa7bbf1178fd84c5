"""HTTP as the coordinator serves it, with nothing of the coordinator behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec
import pytest

from telecine.core.coordinator.http.answers import Answer, Stream
from telecine.core.coordinator.http.limits import Limits
from telecine.core.coordinator.http.requests import Request, RequestRefusedError
from telecine.core.coordinator.http.server import HttpServer

QUICK_WAIT_S = 0.2
QUICK = Limits(
    head_wait_s=QUICK_WAIT_S,
    body_wait_s=QUICK_WAIT_S,
    ahead_wait_s=QUICK_WAIT_S,
    idle_wait_s=2 * QUICK_WAIT_S,
    write_wait_s=QUICK_WAIT_S,
    linger_s=QUICK_WAIT_S,
)
PATIENT = Limits(linger_s=QUICK_WAIT_S)
GRACE_S = 0.5


class Recorder:
    """Answers every request that has its body with method, path and body, or as the test says."""

    def __init__(self) -> None:
        self.heard: list[Request] = []
        self.begun = 0
        self.wants_bodies = True
        self.answering: Callable[[Request], Awaitable[Answer | Stream]] | None = None
        self.cancelled = asyncio.Event()

    async def handle(self, request: Request) -> Answer | Stream:
        self.begun += 1
        try:
            if self.wants_bodies:
                await request.receive()
        except RequestRefusedError as refusal:
            return self.refuse(refusal)
        self.heard.append(request)
        if self.answering is None:
            text = f"{request.method} {request.path} ".encode()
            return Answer(body=text + request.body, media_type="text/plain")
        try:
            return await self.answering(request)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    def refuse(self, refusal: RequestRefusedError) -> Answer:
        return Answer(refusal.status, refusal.detail.encode(), "text/plain")


class Told(msgspec.Struct):
    """An answer as it arrived."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """A client that sends what it is told to, byte for byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self, *, bodiless: bool = False) -> Told:
        """The next answer."""
        async with asyncio.timeout(5):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            line, *lines = head.strip().splitlines()
            headers = dict(each.lower().split(": ", 1) for each in lines)
            length = 0 if bodiless else int(headers.get("content-length", 0))
            return Told(int(line.split(" ")[1]), headers, await self.reader.readexactly(length))

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        async with asyncio.timeout(5):
            return await self.reader.read()


class Wire:
    """A server, and clients in front of it."""

    def __init__(self, server: HttpServer, service: Recorder) -> None:
        self.server = server
        self.service = service
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        self._writers.append(writer)
        return Client(reader, writer)

    async def ask(self, data: bytes) -> Told:
        """The answer to one request on a connection of its own."""
        client = await self.connect()
        client.send(data)
        return await client.answer()

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def serving(limits: Limits = PATIENT) -> AsyncIterator[Wire]:
    service = Recorder()
    server = HttpServer(service, limits, shutdown_grace_s=GRACE_S)
    await server.start("127.0.0.1", 0)
    wire = Wire(server, service)
    try:
        yield wire
    finally:
        wire.hang_up()
        await server.stop()


Serve = Callable[[Limits], AbstractAsyncContextManager[Wire]]


@pytest.fixture
def serve() -> Serve:
    """For tests with limits of their own."""
    return serving


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with serving() as running:
        yield running


@pytest.fixture
async def quick() -> AsyncIterator[Wire]:
    async with serving(QUICK) as running:
        yield running
