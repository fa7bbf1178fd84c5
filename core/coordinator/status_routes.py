"""How the coordinator is: for operators, for probes, for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from aiohttp import web

from telecine.core.coordinator.calls import ANYONE, CLAIMS, OPERATORS, SERVICES, Route, answer
from telecine.core.coordinator.services import Services
from telecine.core.errors import UnavailableError
from telecine.core.protocol import Status

READY_WAIT_S = 5.0


async def status(request: web.Request) -> web.Response:
    """`GET /v1/status`."""
    return answer(await _status(request.app[SERVICES]))


async def healthz(_: web.Request) -> web.Response:
    """`GET /healthz`: the process turns its event loop."""
    return web.Response(text="ok\n")


async def readyz(request: web.Request) -> web.Response:
    """`GET /readyz`: the database answers and the coordinator is not about to stop."""
    if request.app[CLAIMS].is_closing:
        raise UnavailableError("the coordinator is stopping")
    try:
        async with asyncio.timeout(READY_WAIT_S):
            await request.app[SERVICES].queue.accounts()
    except TimeoutError:
        raise UnavailableError("the database does not answer") from None
    return web.Response(text="ready\n")


async def metrics(request: web.Request) -> web.Response:
    """`GET /metrics`: Prometheus text."""
    services = request.app[SERVICES]
    text = services.metrics.render(_gauges(await _status(services), services.settings.lease_ttl_s))
    return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


async def _status(services: Services) -> Status:
    return Status(
        version=services.version,
        counts=await services.catalogue.counts(),
        workers=await services.queue.workers(),
        accounts=await services.queue.accounts(),
        channels=len(await services.queue.channels()),
    )


def _gauges(status: Status, lease_ttl_s: float) -> Iterator[tuple[str, dict[str, str], float]]:
    for state, count in status.counts.variants_by_state.items():
        yield "telecine_variants", {"state": state}, count
    for fate, count in status.counts.links_by_fate.items():
        yield "telecine_links", {"fate": fate}, count
    yield "telecine_objects", {}, status.counts.objects
    yield "telecine_deliveries", {}, status.counts.deliveries
    ages_s = [worker.seen_ago_s for worker in status.workers]
    yield "telecine_workers_seen", {}, sum(age_s is not None and age_s <= lease_ttl_s for age_s in ages_s)
    for account in status.accounts:
        yield "telecine_account_parked_seconds", {"account": account.name}, account.parked_s


ROUTES = (
    Route("GET", "/v1/status", status, OPERATORS),
    Route("GET", "/healthz", healthz, ANYONE),
    Route("GET", "/readyz", readyz, ANYONE),
    Route("GET", "/metrics", metrics, ANYONE),
)
