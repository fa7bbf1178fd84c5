"""Server-sent events."""

from __future__ import annotations

import asyncio

from aiohttp import web

from telecine.core.coordinator.calls import OPERATORS, SERVICES, Route
from telecine.core.coordinator.events import Event
from telecine.core.errors import UnauthorizedError

WRITE_WAIT_S = 30.0  # a reader that takes nothing for this long is let go


async def events(request: web.Request) -> web.StreamResponse:
    """What happens from now on, or since `Last-Event-ID`, as server-sent events."""
    with request.app[SERVICES].events.follow(request.headers.get("Last-Event-ID")) as happened:
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        try:
            await response.write(b"retry: 2000\n\n")
            async for event in happened:
                request.app[SERVICES].tokens.verify(request.headers.get("Authorization"))
                async with asyncio.timeout(WRITE_WAIT_S):
                    await response.write(_frame(event))
        except (ConnectionError, TimeoutError, UnauthorizedError):  # a stream may outlive its token
            response.force_close()
        return response


def _frame(event: Event | None) -> bytes:
    if event is None:
        return b": nothing new\n\n"
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event.id.encode(), event.kind.value.encode(), event.data)


ROUTES = (Route("GET", "/v1/events", events, OPERATORS, media_type="text/event-stream"),)
