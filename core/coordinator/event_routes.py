"""Server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from telecine.core.coordinator.calls import OPERATORS, Call, Route
from telecine.core.coordinator.events import Event
from telecine.core.coordinator.http.answers import EVENT_STREAM, Stream
from telecine.core.errors import UnauthorizedError

RECONNECT = b"retry: 2000\n\n"  # milliseconds
UNBUFFERED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the second is for nginx


async def events(call: Call) -> Stream:
    """What happens from now on, or since `Last-Event-ID`, as server-sent events."""
    return await Stream.begin(_frames(call), dict(UNBUFFERED))


async def _frames(call: Call) -> AsyncGenerator[bytes, None]:
    with call.services.events.follow(call.header(b"last-event-id")) as happened:
        yield RECONNECT
        async for event in happened:
            try:
                call.services.tokens.verify(call.header(b"authorization"))
            except UnauthorizedError:  # a stream does not outlive its token
                return
            yield _frame(event)


def _frame(event: Event | None) -> bytes:
    if event is None:
        return b": nothing new\n\n"
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event.id.encode(), event.kind.value.encode(), event.data)


ROUTES = (Route("GET", "/v1/events", events, OPERATORS, media_type=EVENT_STREAM),)
