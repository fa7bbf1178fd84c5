"""How the coordinator is: for operators, for probes, for Prometheus."""

from __future__ import annotations

import asyncio

from aiohttp import web

from telecine.core.coordinator.calls import ANYONE, CLAIMS, OPERATORS, OVERVIEW, SERVICES, Route, answer
from telecine.core.errors import UnavailableError
from telecine.core.operator_protocol import Status

READY_WAIT_S = 5.0


async def status(request: web.Request) -> web.Response:
    """Counts, workers, accounts: everything in one look."""
    return answer(await request.app[OVERVIEW].status())


async def healthz(_: web.Request) -> web.Response:
    """The process turns its event loop."""
    return web.Response(text="ok\n")


async def readyz(request: web.Request) -> web.Response:
    """The database answers and the coordinator is not about to stop."""
    if request.app[CLAIMS].is_closing:
        raise UnavailableError("the coordinator is stopping")
    try:
        async with asyncio.timeout(READY_WAIT_S):
            await request.app[SERVICES].queue.accounts()
    except TimeoutError:
        raise UnavailableError("the database does not answer") from None
    return web.Response(text="ready\n")


async def metrics(request: web.Request) -> web.Response:
    """What the coordinator counts, as Prometheus reads it."""
    gauges = await request.app[OVERVIEW].gauges()
    text = request.app[SERVICES].metrics.render(gauges)
    return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


ROUTES = (
    Route("GET", "/v1/status", status, OPERATORS, answers=Status),
    Route("GET", "/healthz", healthz, ANYONE, media_type="text/plain"),
    Route("GET", "/readyz", readyz, ANYONE, media_type="text/plain"),
    Route("GET", "/metrics", metrics, ANYONE, media_type="text/plain"),
)
