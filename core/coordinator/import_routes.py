"""Imports from CM."""

from __future__ import annotations

from aiohttp import web

from telecine.core.coordinator.calls import OPERATORS, SERVICES, Route, answer, path_number


async def start(request: web.Request) -> web.Response:
    """`POST /v1/imports`: 202 with the run, which goes on in the background; 409 while one is running."""
    services = request.app[SERVICES]
    run = await services.imports.start()
    services.events.publish(run)
    return answer(run, status=202, headers={"Location": f"/v1/imports/{run.id}"})


async def run(request: web.Request) -> web.Response:
    """`GET /v1/imports/{id}`."""
    return answer(await request.app[SERVICES].imports.run(path_number(request, "id")))


ROUTES = (
    Route("POST", "/v1/imports", start, OPERATORS),
    Route("GET", "/v1/imports/{id}", run, OPERATORS),
)
