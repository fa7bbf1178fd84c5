"""The API's description of itself."""

from __future__ import annotations

from telecine.core.coordinator.calls import ANYONE, Call, Route
from telecine.core.coordinator.http.answers import Answer


async def openapi(call: Call) -> Answer:
    """This document."""
    return Answer(body=call.document)


ROUTES = (Route("GET", "/v1/openapi.json", openapi, ANYONE),)
