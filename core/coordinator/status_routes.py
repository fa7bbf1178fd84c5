"""How the coordinator is: for operators, for probes, for Prometheus."""

from __future__ import annotations

import asyncio

from telecine.core.coordinator.calls import ANYONE, OPERATORS, Call, Route, answer
from telecine.core.coordinator.http.answers import Answer
from telecine.core.errors import UnavailableError
from telecine.core.operator_protocol import Status

READY_WAIT_S = 5.0
PLAIN_TEXT = "text/plain; charset=utf-8"
PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8"


async def status(call: Call) -> Answer:
    """Counts, workers, accounts: everything in one look."""
    return answer(await call.overview.status())


async def healthz(_: Call) -> Answer:
    """The process turns its event loop."""
    return Answer(200, b"ok\n", PLAIN_TEXT)


async def readyz(call: Call) -> Answer:
    """The database answers and the coordinator is not about to stop."""
    if call.claims.is_closing:
        raise UnavailableError("the coordinator is stopping")
    try:
        async with asyncio.timeout(READY_WAIT_S):
            await call.services.operations.accounts()
    except TimeoutError:
        raise UnavailableError("the database does not answer") from None
    return Answer(200, b"ready\n", PLAIN_TEXT)


async def metrics(call: Call) -> Answer:
    """What the coordinator counts, as Prometheus reads it."""
    gauges = await call.overview.gauges()
    text = call.services.metrics.render(gauges)
    return Answer(200, text.encode(), PROMETHEUS_TEXT)


ROUTES = (
    Route("GET", "/v1/status", status, OPERATORS, answers=Status),
    Route("GET", "/healthz", healthz, ANYONE, media_type=PLAIN_TEXT),
    Route("GET", "/readyz", readyz, ANYONE, media_type=PLAIN_TEXT),
    Route("GET", "/metrics", metrics, ANYONE, media_type=PROMETHEUS_TEXT),
)
