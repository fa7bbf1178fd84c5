"""Imports from CM."""

from __future__ import annotations

from telecine.core.catalogue import ImportRun
from telecine.core.coordinator.calls import OPERATORS, Call, Route, answer
from telecine.core.coordinator.http.answers import Answer


async def start_import(call: Call) -> Answer:
    """Start an import from CM, which goes on in the background; 409 while one is running."""
    run = await call.services.imports.start()
    return answer(run, status=202, headers={"Location": f"/v1/imports/{run.id}"})


async def import_run(call: Call) -> Answer:
    """How far an import is, or how it ended."""
    return answer(await call.services.imports.run(call.number("id")))


ROUTES = (
    Route("POST", "/v1/imports", start_import, OPERATORS, answers=ImportRun, status=202, refusals=(409, 501)),
    Route("GET", "/v1/imports/{id}", import_run, OPERATORS, answers=ImportRun),
)
