"""Titles and variants: search, browse, inspect, resolve; an operator's retry and cancel."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from telecine.core.catalogue import TitleDetail, VariantDetail
from telecine.core.coordinator.calls import BOTH, OPERATORS, Call, Route, answer
from telecine.core.coordinator.events import VariantChanged
from telecine.core.coordinator.http.answers import Answer
from telecine.core.delivery import Resolved
from telecine.core.leases import VariantState
from telecine.core.operator_protocol import TitlePage, VariantMoved, VariantPage
from telecine.core.protocol import Int64

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


async def titles(call: Call) -> Answer:
    """Titles whose names hold all the words of `q`, best first; all of them by name where there are none."""
    query = call.query(TitlesQuery)
    found = await call.services.catalogue.search(query.q, limit=query.limit, offset=query.offset)
    return answer(TitlePage(found))


async def title(call: Call) -> Answer:
    """A title with its episodes and upload targets."""
    return answer(await call.services.catalogue.title(call.number("id")))


async def variants(call: Call) -> Answer:
    """Upload targets in order of their codes."""
    query = call.query(VariantsQuery)
    page = await call.services.catalogue.variants(state=query.state, after=query.after, limit=query.limit)
    return answer(VariantPage(page, after=page[-1].code if len(page) == query.limit else None))


async def variant(call: Call) -> Answer:
    """An upload target with its links, what became of them, and its messages in Telegram."""
    return answer(await call.services.catalogue.variant(call.name("code")))


async def resolve(call: Call) -> Answer:
    """What a bot would send: the parts in order, with the `file_id`s that are its own."""
    query = call.query(ResolveQuery)
    return answer(await call.services.shelf.resolve(call.name("code"), bot_id=query.bot_id))


async def retry(call: Call) -> Answer:
    """Queue an upload target again, all its links untried."""
    services, code = call.services, call.name("code")
    return _moved(call, code, await services.queue.requeue(code))


async def cancel(call: Call) -> Answer:
    """Take an upload target out of the queue, and out of a worker's hands."""
    services, code = call.services, call.name("code")
    return _moved(call, code, await services.queue.cancel(code))


def _moved(call: Call, code: str, state: VariantState) -> Answer:
    call.services.events.publish(VariantChanged(code, state))
    return answer(VariantMoved(code, state))


ROUTES = (
    Route("GET", "/v1/titles", titles, OPERATORS, query=TitlesQuery, answers=TitlePage),
    Route("GET", "/v1/titles/{id}", title, OPERATORS, answers=TitleDetail),
    Route("GET", "/v1/variants", variants, OPERATORS, query=VariantsQuery, answers=VariantPage),
    # BOTH: after a crash, a worker looks up whose upload won.
    Route("GET", "/v1/variants/{code}", variant, BOTH, answers=VariantDetail),
    Route("GET", "/v1/resolve/{code}", resolve, OPERATORS, query=ResolveQuery, answers=Resolved),
    Route("POST", "/v1/variants/{code}/retry", retry, OPERATORS, answers=VariantMoved, refusals=(409,)),
    Route("POST", "/v1/variants/{code}/cancel", cancel, OPERATORS, answers=VariantMoved, refusals=(409,)),
)
