"""Titles and variants: search, browse, inspect, resolve."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from telecine.core.catalogue import TitleDetail, VariantDetail
from telecine.core.coordinator.calls import BOTH, OPERATORS, WORKERS, Call, Route, answer
from telecine.core.coordinator.http.answers import Answer
from telecine.core.coordinator.paging import PAGE_ROWS, PageRows, last_of
from telecine.core.delivery import Resolved
from telecine.core.errors import InputError
from telecine.core.leases import VariantState
from telecine.core.operator_protocol import TitlePage, VariantPage
from telecine.core.protocol import Contents, Digest, Int64

TITLES_PER_PAGE_MAX = 100


class TitlesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of `GET /v1/titles`."""

    q: Annotated[str, Meta(max_length=256)] = ""
    limit: Annotated[int, Meta(ge=1, le=TITLES_PER_PAGE_MAX)] = 20
    offset: Annotated[int, Meta(ge=0, le=10**6)] = 0


class VariantsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of `GET /v1/variants`."""

    state: VariantState | None = None
    account: Annotated[str, Meta(max_length=128)] | None = None
    after: Annotated[str, Meta(max_length=64)] = ""
    limit: PageRows = PAGE_ROWS


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
    """Upload targets in order of their codes: all, those in a state, those that are pinned to an account."""
    query = call.query(VariantsQuery)
    page = await call.services.catalogue.variants(
        state=query.state, account=query.account, after=query.after, limit=query.limit
    )
    last = last_of(page, query.limit)
    return answer(VariantPage(page, after=last.code if last else None))


async def variant(call: Call) -> Answer:
    """An upload target with its links, what became of them, and its messages in Telegram."""
    return answer(await call.services.catalogue.variant(call.name("code")))


async def resolve(call: Call) -> Answer:
    """What a bot would send: the parts in order, with the `file_id`s that are its own."""
    query = call.query(ResolveQuery)
    return answer(await call.services.shelf.resolve(call.name("code"), bot_id=query.bot_id))


async def contents(call: Call) -> Answer:
    """Where the caller's account holds a file of this hash already, in channels that are open."""
    try:
        blake3 = msgspec.convert(call.name("blake3"), Digest)
    except msgspec.ValidationError as error:
        raise InputError("a hash is 64 hexadecimal digits in lower case", field="blake3") from error
    return answer(Contents(await call.services.catalogue.contents(call.identity.account, blake3)))


ROUTES = (
    Route("GET", "/v1/titles", titles, OPERATORS, query=TitlesQuery, answers=TitlePage),
    Route("GET", "/v1/titles/{id}", title, OPERATORS, answers=TitleDetail),
    Route("GET", "/v1/variants", variants, OPERATORS, query=VariantsQuery, answers=VariantPage, refusals=(404,)),
    # BOTH: after a crash, a worker looks up whose upload won.
    Route("GET", "/v1/variants/{code}", variant, BOTH, answers=VariantDetail),
    Route("GET", "/v1/contents/{blake3}", contents, WORKERS, answers=Contents),
    Route("GET", "/v1/resolve/{code}", resolve, OPERATORS, query=ResolveQuery, answers=Resolved),
)
