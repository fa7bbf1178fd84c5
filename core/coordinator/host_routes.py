"""Source hosts: how many read from them, and how long they are left alone."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from telecine.core.coordinator.calls import OPERATORS, Call, Route, answer
from telecine.core.coordinator.http.answers import Answer
from telecine.core.coordinator.paging import PAGE_ROWS, PageRows, last_of
from telecine.core.hosts import HOST_CHARS_MAX
from telecine.core.operator_protocol import HostLimit, HostPage, HostStatus


class HostsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of `GET /v1/hosts`."""

    after: Annotated[str, Meta(max_length=HOST_CHARS_MAX)] = ""
    limit: PageRows = PAGE_ROWS


async def hosts(call: Call) -> Answer:
    """Source hosts by name."""
    query = call.query(HostsQuery)
    page = await call.services.operations.hosts(after=query.after, limit=query.limit)
    last = last_of(page, query.limit)
    return answer(HostPage(page, after=last.name if last else None))


async def limit_host(call: Call) -> Answer:
    """Say how many uploads may read from a host at once."""
    return answer(await call.services.operations.limit_host(call.name("name"), call.body(HostLimit).leases_max))


async def unpark_host(call: Call) -> Answer:
    """Let links of a host be tried again at once."""
    return answer(await call.services.operations.unpark_host(call.name("name")))


ROUTES = (
    Route("GET", "/v1/hosts", hosts, OPERATORS, query=HostsQuery, answers=HostPage),
    Route("POST", "/v1/hosts/{name}/limit", limit_host, OPERATORS, body=HostLimit, answers=HostStatus),
    Route("POST", "/v1/hosts/{name}/unpark", unpark_host, OPERATORS, answers=HostStatus),
)
