"""What surrounds every call: its id and measure, its errors, and who may make it."""

from __future__ import annotations

import logging
import re

from aiohttp import web

from telecine.core.coordinator import problems
from telecine.core.coordinator.calls import IDENTITY, REQUEST_ID, SERVICES, Handler
from telecine.core.coordinator.tokens import Scope
from telecine.core.errors import ForbiddenError, TelecineError

logger = logging.getLogger(__name__)

Scopes = dict[web.AbstractRoute, frozenset[Scope]]
SCOPES: web.AppKey[Scopes] = web.AppKey("scopes", dict)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


@web.middleware
async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id (its own `X-Request-ID` where that is one), count and log it. Never logs a query."""
    services = request.app[SERVICES]
    given = request.headers.get("X-Request-ID", "")
    request[REQUEST_ID] = given if _REQUEST_ID.fullmatch(given) else services.new_id()
    started_s = services.clock.monotonic_s()
    response = await handler(request)
    seconds = services.clock.monotonic_s() - started_s
    resource = request.match_info.route.resource
    call = f"{request.method} {resource.canonical}" if resource is not None else "none"
    services.metrics.count("telecine_http_requests_total", call=call, status=str(response.status))
    services.metrics.add_seconds("telecine_http_request_seconds_total", seconds, call=call)
    logger.debug("%s: %d in %.0f ms, request %s", call, response.status, seconds * 1000, request[REQUEST_ID])
    return response


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into a problem document."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return problems.of_http(error)
    except TelecineError as error:
        if error.http_status == 500:
            logger.exception("request %s failed", request[REQUEST_ID])
        elif error.http_status > 500:
            logger.warning("request %s cannot be served: %s", request[REQUEST_ID], error)
        return problems.of_error(error)
    except Exception:  # the edge: whatever it is, the caller gets a problem document
        logger.exception("request %s failed", request[REQUEST_ID])
        return problems.unexpected()


@web.middleware
async def authorize(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let through only whom the call is for. What is no call at all passes, to be answered 404 or 405."""
    scopes = request.app[SCOPES].get(request.match_info.route)
    if not scopes:
        return await handler(request)
    identity = request.app[SERVICES].tokens.verify(request.headers.get("Authorization"))
    if identity.scope not in scopes:
        wanted = " or ".join(sorted(scopes))
        raise ForbiddenError(f"this call needs a token of scope {wanted}, not {identity.scope.value}")
    request[IDENTITY] = identity
    return await handler(request)


async def name_request(request: web.Request, response: web.StreamResponse) -> None:
    """Put the request's id on its answer. A signal, so that it reaches streams before they start."""
    response.headers["X-Request-ID"] = request.get(REQUEST_ID, "")
