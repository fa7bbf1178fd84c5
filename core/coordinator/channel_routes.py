"""Storage channels: workers open and lose them, operators plan and retire them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from telecine.core.coordinator.calls import OPERATORS, WORKERS, Call, Route, answer, nothing
from telecine.core.coordinator.http.answers import Answer
from telecine.core.coordinator.paging import PAGE_ROWS, PageRows, last_of
from telecine.core.operator_protocol import ChannelPage, ChannelPlan, ChannelStatus
from telecine.core.protocol import ChannelLost, ChannelOpened, Int64


class ChannelsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of `GET /v1/channels`."""

    account: Annotated[str, Meta(max_length=128)] | None = None
    after: Int64 = 0
    limit: PageRows = PAGE_ROWS


async def channel_opened(call: Call) -> Answer:
    """A planned channel exists now. Telling it again changes nothing."""
    channel_id = call.number("id")
    told = call.body(ChannelOpened)
    await call.services.queue.channel_opened(call.caller, channel_id, told.telegram_id)
    return nothing()


async def channel_lost(call: Call) -> Answer:
    """The worker's account cannot post to a channel any more: it is retired. Telling it again changes nothing."""
    channel_id = call.number("id")
    told = call.body(ChannelLost)
    await call.services.queue.channel_lost(call.caller, channel_id, told.detail)
    return nothing()


async def channels(call: Call) -> Answer:
    """Storage channels by id."""
    query = call.query(ChannelsQuery)
    page = await call.services.operations.channels(account=query.account, after=query.after, limit=query.limit)
    last = last_of(page, query.limit)
    return answer(ChannelPage(page, after=last.id if last else None))


async def plan_channel(call: Call) -> Answer:
    """Plan one more channel for an account; its worker creates it when it is needed."""
    return answer(await call.services.operations.plan_channel(call.body(ChannelPlan).account), status=201)


async def retire_channel(call: Call) -> Answer:
    """Put nothing more into a channel; what it holds is delivered still."""
    return answer(await call.services.operations.retire_channel(call.number("id")))


ROUTES = (
    Route("POST", "/v1/channels/{id}/opened", channel_opened, WORKERS, body=ChannelOpened, status=204, refusals=(409,)),
    Route("POST", "/v1/channels/{id}/lost", channel_lost, WORKERS, body=ChannelLost, status=204),
    Route("GET", "/v1/channels", channels, OPERATORS, query=ChannelsQuery, answers=ChannelPage, refusals=(404,)),
    Route(
        "POST",
        "/v1/channels",
        plan_channel,
        OPERATORS,
        body=ChannelPlan,
        answers=ChannelStatus,
        status=201,
        refusals=(404, 409),
    ),
    Route("POST", "/v1/channels/{id}/retire", retire_channel, OPERATORS, answers=ChannelStatus),
)
