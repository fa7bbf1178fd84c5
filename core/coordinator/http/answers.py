"""From answers to bytes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

import msgspec

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
EVENT_STREAM = "text/event-stream"

# Neither has a body, and an answer to them that announced one would leave the client waiting for it.
EMPTY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class Answer(msgspec.Struct):
    """What goes back, whole."""

    status: int = 200
    body: bytes = b""
    media_type: str = JSON
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    """Further ones. What values they get is ours: nothing that a client sent may get here unchecked."""


class Stream(msgspec.Struct):
    """What goes back piece by piece, status 200, for as long as `pieces` has more after the `first`."""

    first: bytes
    pieces: AsyncGenerator[bytes, None]
    media_type: str = EVENT_STREAM
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    status: int = 200

    @classmethod
    async def begin(cls, pieces: AsyncGenerator[bytes, None], headers: dict[str, str] | None = None) -> Stream:
        """Wait for the first piece, so that what goes wrong before it can still be answered with an error."""
        return cls(await anext(pieces), pieces, headers=headers or {})


def render(answer: Answer, date: bytes, *, keep_alive: bool, bodiless: bool = False) -> bytes:
    """An answer as it goes over the wire. `bodiless`: to a HEAD, where the body is announced and not sent."""
    length = b"" if answer.status in EMPTY else b"Content-Length: %d\r\n" % len(answer.body)
    head = b"".join(
        (
            _opening(answer.status, answer.media_type if answer.body else ""),
            date,
            length,
            _lines(answer.headers),
            b"\r\n" if keep_alive else b"Connection: close\r\n\r\n",
        )
    )
    return head if bodiless else head + answer.body


def render_head(stream: Stream, date: bytes, *, chunked: bool) -> bytes:
    """The head of a stream: in chunks, or to the end of the connection for a client that knows none (HTTP/1.0)."""
    framing = b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Connection: close\r\n\r\n"
    return b"".join((_opening(stream.status, stream.media_type), date, _lines(stream.headers), framing))


class DateLine:
    """The header `Date`, written once a second however many answers carry it."""

    def __init__(self) -> None:
        self._second = -1
        self._line = b""

    def at(self, now_ms: int) -> bytes:
        second = now_ms // 1000
        if second != self._second:
            self._second = second
            self._line = f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
        return self._line


@lru_cache(maxsize=256)
def _opening(status: int, media_type: str) -> bytes:
    """Status line and media type, of which there are few pairs."""
    line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nServer: telecine\r\n"
    return (f"{line}Content-Type: {media_type}\r\n" if media_type else line).encode()


def _lines(headers: dict[str, str]) -> bytes:
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode("latin-1")
