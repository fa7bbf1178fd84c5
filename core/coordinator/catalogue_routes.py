"""Titles and variants: search, browse, inspect, resolve; an operator's retry and cancel."""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from telecine.core.coordinator.calls import BOTH, OPERATORS, SERVICES, Route, answer, path_number, read_query
from telecine.core.coordinator.events import VariantChanged
from telecine.core.leases import VariantState
from telecine.core.protocol import Int64, TitlePage, VariantMoved, VariantPage

TITLES_PER_PAGE_MAX = 100
VARIANTS_PER_PAGE_MAX = 1000


class TitlesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of `GET /v1/titles`."""

    q: Annotated[str, Meta(max_length=256)] = ""
    limit: Annotated[int, Meta(ge=1, le=TITLES_PER_PAGE_MAX)] = 20
    offset: Annotated[int, Meta(ge=0, le=10**6)] = 0


class VariantsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of `GET /v1/variants`."""

    state: VariantState | None = None
    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=VARIANTS_PER_PAGE_MAX)] = 100


class ResolveQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of `GET /v1/resolve/{code}`."""

    bot_id: Int64


async def titles(request: web.Request) -> web.Response:
    """`GET /v1/titles`."""
    query = read_query(request, TitlesQuery)
    found = await request.app[SERVICES].catalogue.search(query.q, limit=query.limit, offset=query.offset)
    return answer(TitlePage(found))


async def title(request: web.Request) -> web.Response:
    """`GET /v1/titles/{id}`."""
    return answer(await request.app[SERVICES].catalogue.title(path_number(request, "id")))


async def variants(request: web.Request) -> web.Response:
    """`GET /v1/variants`."""
    query = read_query(request, VariantsQuery)
    page = await request.app[SERVICES].catalogue.variants(state=query.state, after=query.after, limit=query.limit)
    return answer(VariantPage(page, after=page[-1].code if len(page) == query.limit else None))


async def variant(request: web.Request) -> web.Response:
    """`GET /v1/variants/{code}`."""
    return answer(await request.app[SERVICES].catalogue.variant(request.match_info["code"]))


async def resolve(request: web.Request) -> web.Response:
    """`GET /v1/resolve/{code}`."""
    query = read_query(request, ResolveQuery)
    return answer(await request.app[SERVICES].shelf.resolve(request.match_info["code"], bot_id=query.bot_id))


async def retry(request: web.Request) -> web.Response:
    """`POST /v1/variants/{code}/retry`: queue it again, all its links untried."""
    services, code = request.app[SERVICES], request.match_info["code"]
    return _moved(request, code, await services.queue.requeue(code))


async def cancel(request: web.Request) -> web.Response:
    """`POST /v1/variants/{code}/cancel`: take it out of the queue."""
    services, code = request.app[SERVICES], request.match_info["code"]
    return _moved(request, code, await services.queue.cancel(code))


def _moved(request: web.Request, code: str, state: VariantState) -> web.Response:
    request.app[SERVICES].events.publish(VariantChanged(code, state))
    return answer(VariantMoved(code, state))


ROUTES = (
    Route("GET", "/v1/titles", titles, OPERATORS),
    Route("GET", "/v1/titles/{id}", title, OPERATORS),
    Route("GET", "/v1/variants", variants, OPERATORS),
    Route("GET", "/v1/variants/{code}", variant, BOTH),  # a worker looks up whose upload won, after a crash
    Route("GET", "/v1/resolve/{code}", resolve, OPERATORS),
    Route("POST", "/v1/variants/{code}/retry", retry, OPERATORS),
    Route("POST", "/v1/variants/{code}/cancel", cancel, OPERATORS),
)
