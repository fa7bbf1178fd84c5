"""One TCP connection's bytes, both ways.

asyncio's own streams copy what comes in three times before it can be read. Half a megabyte a packet goes through here,
so what has come is kept as it came, and put together once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, cast

HELD_BYTES_MAX = 4 * 1024 * 1024  # what is read ahead; the peer waits beyond it


class Stream(asyncio.Protocol):
    """A connection from when it is made; `serve` runs beside it as a task."""

    def __init__(self, serve: Callable[[Stream], Coroutine[Any, Any, None]]) -> None:
        self._serve = serve
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._begun = 0  # how much of the first chunk has been taken
        self._ended = False
        self._reading_paused = False
        self._arrived: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None

    # ---- asyncio.Protocol --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._task = asyncio.get_running_loop().create_task(self._serve(self))

    def data_received(self, data: bytes) -> None:
        self._chunks.append(data)
        self._held += len(data)
        if self._held > HELD_BYTES_MAX and self._transport is not None and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._ended = True
        self._wake()
        return True  # answers may still go out

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._wake()
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # ---- for who serves it -------------------------------------------------------------------------

    async def readexactly(self, count: int) -> bytes:
        """The next `count` bytes. IncompleteReadError where the connection ends before."""
        while self._held < count:
            if self._ended:
                raise asyncio.IncompleteReadError(b"".join(self._chunks), count)
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        return self._taken(count)

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the peer has taken enough of what was written."""
        await self._writable.wait()

    @property
    def is_closing(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _taken(self, count: int) -> bytes:
        pieces: list[memoryview] = []
        self._held -= count
        while count:
            piece = memoryview(self._chunks[0])[self._begun : self._begun + count]
            pieces.append(piece)
            count -= len(piece)
            self._begun += len(piece)
            if self._begun == len(self._chunks[0]):
                self._chunks.popleft()
                self._begun = 0
        self._read_on()
        return b"".join(pieces)

    def _read_on(self) -> None:
        if self._reading_paused and self._held < HELD_BYTES_MAX // 2 and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)
