"""Workers and their channels."""

from __future__ import annotations

from aiohttp import web

from telecine.core.coordinator.calls import (
    IDENTITY,
    OPERATORS,
    SERVICES,
    WORKERS,
    Route,
    answer,
    path_number,
    read_body,
)
from telecine.core.operator_protocol import Workers
from telecine.core.protocol import ChannelOpened, Hello, Welcome


async def hello(request: web.Request) -> web.Response:
    """A worker process starts: leases of its earlier boots are taken back, its channels planned."""
    told = await read_body(request, Hello)
    services, identity = request.app[SERVICES], request[IDENTITY]
    channels = await services.queue.hello(
        identity.subject, identity.account, told, channels_wanted=services.settings.channels_per_account
    )
    welcome = Welcome(
        worker=identity.subject,
        account=identity.account,
        lease_ttl_s=services.settings.lease_ttl_s,
        bot_username=services.bot_username(),
        channels=channels,
    )
    return answer(welcome)


async def channel_opened(request: web.Request) -> web.Response:
    """A planned channel exists now. Telling it again changes nothing."""
    channel_id = path_number(request, "id")
    told = await read_body(request, ChannelOpened)
    await request.app[SERVICES].queue.channel_opened(request[IDENTITY].subject, channel_id, told.telegram_id)
    return web.Response(status=204)


async def workers(request: web.Request) -> web.Response:
    """Workers, and what they are doing."""
    return answer(Workers(await request.app[SERVICES].queue.workers()))


ROUTES = (
    Route("POST", "/v1/workers/hello", hello, WORKERS, body=Hello, answers=Welcome, refusals=(409,)),
    Route("POST", "/v1/channels/{id}/opened", channel_opened, WORKERS, body=ChannelOpened, status=204, refusals=(409,)),
    Route("GET", "/v1/workers", workers, OPERATORS, answers=Workers),
)
