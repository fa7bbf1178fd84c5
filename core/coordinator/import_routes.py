"""Imports from CM."""

from __future__ import annotations

from aiohttp import web

from telecine.core.catalogue import ImportRun
from telecine.core.coordinator.calls import OPERATORS, SERVICES, Route, answer, path_number


async def start_import(request: web.Request) -> web.Response:
    """Start an import from CM, which goes on in the background; 409 while one is running."""
    services = request.app[SERVICES]
    run = await services.imports.start()
    services.events.publish(run)
    return answer(run, status=202, headers={"Location": f"/v1/imports/{run.id}"})


async def import_run(request: web.Request) -> web.Response:
    """How far an import is, or how it ended."""
    return answer(await request.app[SERVICES].imports.run(path_number(request, "id")))


ROUTES = (
    Route("POST", "/v1/imports", start_import, OPERATORS, answers=ImportRun, status=202, refusals=(409, 501)),
    Route("GET", "/v1/imports/{id}", import_run, OPERATORS, answers=ImportRun),
)
