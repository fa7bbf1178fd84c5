"""The leanest HTTP/1.1 client that will do: keep-alive, one request at a time, answers with a Content-Length.

A general client costs more than the server that is measured; this one costs a fraction of it.
"""

from __future__ import annotations

import asyncio
import re
from typing import NamedTuple, cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


class Reply(NamedTuple):
    status: int
    body: bytes


class Wire(asyncio.Protocol):
    """One connection. Use `dial`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._waiting: asyncio.Future[Reply] | None = None

    def request(self, head: bytes, body: bytes | None = None) -> asyncio.Future[Reply]:
        """Send a request: `head` ends after a header's CRLF, the length and the empty line are added here."""
        if self._transport is None or self._waiting is not None:
            raise ConnectionError("the connection is closed, or busy with another request")
        self._waiting = self._loop.create_future()
        self._transport.write(
            head + b"\r\n" if body is None else b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
        )
        return self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError("the server has closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        head_end = self._received.find(_HEAD_END)
        if head_end < 0 or self._waiting is None:
            return
        match = _LENGTH.search(self._received, 0, head_end)
        end = head_end + len(_HEAD_END) + (int(match[1]) if match else 0)
        if len(self._received) < end:
            return
        reply = Reply(int(self._received[9:12]), self._received[head_end + len(_HEAD_END) : end])
        self._received = self._received[end:]
        waiting, self._waiting = self._waiting, None
        if not waiting.done():
            waiting.set_result(reply)


async def dial(host: str, port: int) -> Wire:
    """A connection. Raises OSError."""
    _, wire = await asyncio.get_running_loop().create_connection(Wire, host, port)
    return wire
