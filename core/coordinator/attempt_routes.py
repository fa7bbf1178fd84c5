"""The history of leases."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from telecine.core.coordinator.calls import OPERATORS, Call, Route, answer
from telecine.core.coordinator.http.answers import Answer
from telecine.core.coordinator.paging import PAGE_ROWS, PageRows, last_of
from telecine.core.leases import AttemptOutcome
from telecine.core.operator_protocol import AttemptPage
from telecine.core.protocol import Int64


class AttemptsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of `GET /v1/attempts`."""

    code: Annotated[str, Meta(max_length=64)] | None = None
    worker: Annotated[str, Meta(max_length=128)] | None = None
    outcome: AttemptOutcome | None = None
    before: Int64 | None = None
    limit: PageRows = PAGE_ROWS


async def attempts(call: Call) -> Answer:
    """What was tried, by whom, and how it ended; the newest first."""
    query = call.query(AttemptsQuery)
    page = await call.services.operations.attempts(
        code=query.code, worker=query.worker, outcome=query.outcome, before=query.before, limit=query.limit
    )
    last = last_of(page, query.limit)
    return answer(AttemptPage(page, before=last.id if last else None))


ROUTES = (Route("GET", "/v1/attempts", attempts, OPERATORS, query=AttemptsQuery, answers=AttemptPage, refusals=(404,)),)
