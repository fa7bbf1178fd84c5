"""Errors as RFC 9457 problem documents."""

from __future__ import annotations

import msgspec
from aiohttp import web

from telecine.core.errors import TelecineError, UnauthorizedError, UnavailableError
from telecine.core.protocol import PROBLEM_TYPE, Problem

RETRY_AFTER_S = 2

_DETAILS = {
    404: "there is no such call",
    405: "this call takes another method",
    408: "the body did not arrive in time",
    413: "the body is too large",
}


def of_error(error: TelecineError) -> web.Response:
    """The answer to an error of ours. What is our own fault is not told to strangers."""
    if error.http_status == 500:
        return unexpected()
    headers: dict[str, str] = {}
    if isinstance(error, UnauthorizedError):
        headers["WWW-Authenticate"] = 'Bearer realm="telecine"'
    if isinstance(error, UnavailableError):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    problem = Problem(
        type=PROBLEM_TYPE + error.code,
        title=error.code.replace("_", " "),
        status=error.http_status,
        detail=error.message,
        hint=error.hint,
        field=error.field,
    )
    return _response(problem, headers)


def of_http(error: web.HTTPException) -> web.Response:
    """The answer to a request that reached no call: 404, 405, 413 and their like."""
    headers = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
    problem = Problem(
        type="about:blank",
        title=error.reason,
        status=error.status,
        detail=_DETAILS.get(error.status, error.reason),
    )
    return _response(problem, headers)


def unexpected() -> web.Response:
    """The answer to a fault of ours; the log has the rest, under the request's id."""
    problem = Problem(
        type=PROBLEM_TYPE + TelecineError.code,
        title="internal error",
        status=500,
        detail="something went wrong inside",
        hint="the coordinator's log has more, under the X-Request-ID of this answer",
    )
    return _response(problem, {})


def _response(problem: Problem, headers: dict[str, str]) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(problem),
        status=problem.status,
        headers=headers,
        content_type="application/problem+json",
    )
