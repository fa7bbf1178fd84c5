"""Errors as RFC 9457 problem documents."""

from __future__ import annotations

import msgspec

from telecine.core.coordinator.http.answers import PROBLEM_JSON, Answer
from telecine.core.coordinator.http.requests import RequestRefusedError
from telecine.core.errors import StoreError, TelecineError, UnauthorizedError, UnavailableError
from telecine.core.protocol import PROBLEM_TYPE, Problem

LOG_HINT = "the coordinator's log has more, under the X-Request-ID of this answer"
RETRY_AFTER_S = 2
RETRYABLE = frozenset({429, 503})


def of_error(error: TelecineError) -> Answer:
    """The answer to an error of ours. What is our own fault, or the database's, is not told to strangers."""
    if isinstance(error, StoreError):
        error = UnavailableError("the database cannot be used", hint="the coordinator's log says why")
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
    return _answer(problem, headers)


def of_refusal(refusal: RequestRefusedError) -> Answer:
    """The answer to what reaches no call: 404, 405, 413 and their like."""
    headers = dict(refusal.headers)
    if refusal.status in RETRYABLE:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    problem = Problem(
        type="about:blank", title=refusal.status.phrase, status=refusal.status.value, detail=refusal.detail
    )
    return _answer(problem, headers)


def unexpected() -> Answer:
    """The answer to a fault of ours; the log has the rest, under the request's id."""
    problem = Problem(
        type=PROBLEM_TYPE + TelecineError.code,
        title="internal error",
        status=500,
        detail="something went wrong inside",
        hint=LOG_HINT,
    )
    return _answer(problem, {})


def _answer(problem: Problem, headers: dict[str, str]) -> Answer:
    return Answer(problem.status, msgspec.json.encode(problem), PROBLEM_JSON, headers)
