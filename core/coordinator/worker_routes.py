"""Workers and their channels."""

from __future__ import annotations

from telecine.core.coordinator.calls import OPERATORS, WORKERS, Call, Route, answer, nothing
from telecine.core.coordinator.http.answers import Answer
from telecine.core.operator_protocol import Workers
from telecine.core.protocol import ChannelOpened, Hello, Welcome


async def hello(call: Call) -> Answer:
    """A worker process starts: leases of its earlier boots are taken back, its channels planned."""
    told = call.body(Hello)
    services, identity = call.services, call.identity
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


async def channel_opened(call: Call) -> Answer:
    """A planned channel exists now. Telling it again changes nothing."""
    channel_id = call.number("id")
    told = call.body(ChannelOpened)
    await call.services.queue.channel_opened(call.caller, channel_id, told.telegram_id)
    return nothing()


async def workers(call: Call) -> Answer:
    """Workers, and what they are doing."""
    return answer(Workers(await call.services.queue.workers()))


ROUTES = (
    Route("POST", "/v1/workers/hello", hello, WORKERS, body=Hello, answers=Welcome, refusals=(409,)),
    Route("POST", "/v1/channels/{id}/opened", channel_opened, WORKERS, body=ChannelOpened, status=204, refusals=(409,)),
    Route("GET", "/v1/workers", workers, OPERATORS, answers=Workers),
)
