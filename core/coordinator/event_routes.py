"""Server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated

import msgspec
from msgspec import Meta

from telecine.core.coordinator.calls import OPERATORS, Call, Route
from telecine.core.coordinator.events import EVERY_KIND, Event
from telecine.core.coordinator.http.answers import EVENT_STREAM, Stream
from telecine.core.errors import InputError, UnauthorizedError
from telecine.core.events import EventKind

RECONNECT = b"retry: 2000\n\n"  # milliseconds
UNBUFFERED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the second is for nginx


class EventsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of `GET /v1/events`. `kinds`: only these, separated by commas; all where it is empty."""

    kinds: Annotated[str, Meta(max_length=256)] = ""


async def events(call: Call) -> Stream:
    """What happens from now on, or since `Last-Event-ID`, as server-sent events."""
    wanted = _kinds(call.query(EventsQuery).kinds)
    return await Stream.begin(_frames(call, wanted), dict(UNBUFFERED))


async def _frames(call: Call, wanted: frozenset[EventKind]) -> AsyncGenerator[bytes, None]:
    happening, last_id = call.services.events, call.header("last-event-id")
    begin = happening.latest_id if last_id is None else last_id
    with happening.follow(begin, wanted=wanted) as happened:
        # Whoever loses the connection before the first event comes back with this id, and misses nothing.
        yield RECONNECT if last_id is not None else b"id: %b\n%b" % (begin.encode(), RECONNECT)
        async for event in happened:
            try:
                call.readmit()
            except UnauthorizedError:  # a stream does not outlive its token
                return
            yield _frame(event)


def _kinds(names: str) -> frozenset[EventKind]:
    """Which events are asked for; that some were missed is told in any case."""
    if not names:
        return EVERY_KIND
    try:
        return frozenset(map(EventKind, names.split(","))) | {EventKind.RESET}
    except ValueError as error:
        known = ", ".join(EventKind)
        raise InputError(f"{error}; there are {known}", field="kinds") from error


def _frame(event: Event | None) -> bytes:
    if event is None:
        return b": nothing new\n\n"
    number = b"" if event.id is None else b"id: %b\n" % event.id.encode()
    return b"%bevent: %b\ndata: %b\n\n" % (number, event.kind.value.encode(), event.data)


ROUTES = (Route("GET", "/v1/events", events, OPERATORS, query=EventsQuery, media_type=EVENT_STREAM),)
